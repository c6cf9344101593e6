//! Rules in words.

use kuryr_core::policy::{
    explain::Reach,
    key::{GroupRule, PeerKey, Pods, Remote, Scope},
    model::{Direction, Family, Protocol},
};

pub(super) fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}

pub(super) fn family(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

/// `tcp 80`, `udp 1-9`, `sctp`, `all protocols`.
pub(super) fn ports(protocol: Option<Protocol>, ports: Option<(u16, u16)>) -> String {
    let protocol = protocol.map_or("all protocols", Protocol::in_rules);
    match ports {
        None => protocol.to_owned(),
        Some((first, last)) if first == last => format!("{protocol} {first}"),
        Some((first, last)) => format!("{protocol} {first}-{last}"),
    }
}

/// `tcp 80 from pods of x with app=client (2 addresses)`.
pub(super) fn reach(reach: &Reach) -> String {
    let count =
        reach.addresses.as_ref().map(|all| format!(" ({})", counted(all.len(), "address", "addresses")));
    format!("{}{}", rule(&reach.rule, peer), count.unwrap_or_default())
}

/// `tcp 80 from anybody`.
pub(super) fn rule<K>(rule: &GroupRule<K>, group: impl FnOnce(&K) -> String) -> String {
    let to = match rule.direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    format!("{} {to} {}", ports(rule.protocol, rule.ports), remote(&rule.remote, group))
}

pub(super) fn remote<K>(remote: &Remote<K>, group: impl FnOnce(&K) -> String) -> String {
    match remote {
        Remote::Anyone => "anybody".to_owned(),
        Remote::Prefix(prefix) => prefix.to_string(),
        Remote::Group(key) => group(key),
    }
}

/// Whom an address group means.
pub(super) fn peer(key: &PeerKey) -> String {
    match key {
        PeerKey::Nodes => "the cluster's nodes".to_owned(),
        PeerKey::Services => "the cluster's Services (a pod that reaches itself)".to_owned(),
        PeerKey::Stray(name) => format!("address group {name}"),
        PeerKey::Pods(key, None) => pods(key),
        PeerKey::Pods(key, Some(number)) => {
            let port = key.port.as_ref().map(|(_, name)| &**name).unwrap_or_default();
            format!("{} that call their port {number} {port}", pods(key))
        }
        PeerKey::Vips(policy, ..) => format!("Services that lead to nothing but what {policy} allows"),
    }
}

fn pods(key: &Pods) -> String {
    let pods = if key.pods.is_everything() { String::new() } else { format!(" with {}", key.pods) };
    let scope = match &key.scope {
        Scope::One(namespace) => format!(" of {namespace}"),
        Scope::Matching(all) if all.is_everything() => " of all namespaces".to_owned(),
        Scope::Matching(some) => format!(" of namespaces with {some}"),
    };
    let within = key.within.as_ref().map(|block| {
        let except: Vec<_> = block.except.iter().map(ToString::to_string).collect();
        let but = if except.is_empty() { String::new() } else { format!(" but {}", except.join(" ")) };
        format!(" in {}{but}", block.cidr)
    });
    let all = if pods.is_empty() { "all " } else { "" };
    format!("{all}pods{scope}{pods}{}", within.unwrap_or_default())
}

/// `1 address`, `2 addresses`.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
