//! From Kubernetes' and Neutron's words to the planners', and back.

use ipnet::IpNet;
use k8s_openapi::api::networking::v1 as networking;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kuryr_api::{AddressGroupId, ProjectId, SecurityGroupId};
use kuryr_core::policy::key::{GroupRule, Remote};
use kuryr_core::policy::model::{
    Block, Direction, Family, NamedPort, Namespaces, Peer, Policy, Port, Protocol, Rule, Service,
    ServicePort, Which,
};
use kuryr_core::policy::plan::HeldRule;
use kuryr_core::policy::selector::{Labels, Requirement, Selector, Test};
use kuryr_k8s::slim;
use kuryr_openstack::neutron;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Labels.
pub fn labels(labels: &slim::Labels) -> Labels {
    labels.iter().cloned().collect()
}

/// Ports that have names. One of a protocol that Kubernetes does not know is none.
pub fn named_ports(ports: &[slim::NamedPort]) -> Vec<NamedPort> {
    let read = |port: &slim::NamedPort| {
        let protocol = Protocol::read(&port.protocol)?;
        Some(NamedPort { name: port.name.clone(), protocol, number: port.number })
    };
    ports.iter().filter_map(read).collect()
}

/// A policy, and what is wrong with what it says: the parts that allow nothing because of that.
pub fn policy(spec: &networking::NetworkPolicySpec) -> (Policy, Vec<String>) {
    let mut wrong = Vec::new();
    let types = spec.policy_types.iter().flatten().map(String::as_str).collect::<BTreeSet<_>>();
    let has = |kind: &str, otherwise: bool| if types.is_empty() { otherwise } else { types.contains(kind) };
    let ingress = spec.ingress.iter().flatten().map(|rule| (&rule.from, &rule.ports));
    let egress = spec.egress.iter().flatten().map(|rule| (&rule.to, &rule.ports));
    // As the API server fills it in, which takes an empty list of rules for none.
    let has_egress = spec.egress.as_ref().is_some_and(|rules| !rules.is_empty());
    let policy = Policy {
        subjects: spec
            .pod_selector
            .as_ref()
            .map(|one| selector(one, "podSelector", &mut wrong))
            .unwrap_or_default(),
        ingress: has("Ingress", true).then(|| rules(ingress, "ingress", &mut wrong)),
        egress: has("Egress", has_egress).then(|| rules(egress, "egress", &mut wrong)),
    };
    (policy, wrong)
}

type RuleParts<'a> =
    (&'a Option<Vec<networking::NetworkPolicyPeer>>, &'a Option<Vec<networking::NetworkPolicyPort>>);

fn rules<'a>(
    written: impl Iterator<Item = RuleParts<'a>>,
    field: &str,
    wrong: &mut Vec<String>,
) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (at, (peers, ports)) in written.enumerate() {
        let field = format!("{field}[{at}]");
        // An empty list says as much as none.
        let peers = peers.as_ref().filter(|peers| !peers.is_empty());
        let ports = ports.as_ref().filter(|ports| !ports.is_empty());
        rules.push(Rule {
            peers: peers.map(|peers| peers.iter().filter_map(|one| peer(one, &field, wrong)).collect()),
            ports: ports.map(|ports| ports.iter().filter_map(|one| port(one, &field, wrong)).collect()),
        });
    }
    rules
}

fn peer(peer: &networking::NetworkPolicyPeer, field: &str, wrong: &mut Vec<String>) -> Option<Peer> {
    if let Some(block) = &peer.ip_block {
        let except: Option<BTreeSet<IpNet>> =
            block.except.iter().flatten().map(|text| prefix(text, field, wrong)).collect();
        let cidr = prefix(&block.cidr, field, wrong)?;
        return Some(Peer::Block(Block { cidr, except: except? }));
    }
    let namespaces = match &peer.namespace_selector {
        None => Namespaces::Own,
        Some(one) => Namespaces::Of(selector(one, field, wrong)),
    };
    let pods = peer.pod_selector.as_ref().map(|one| selector(one, field, wrong)).unwrap_or_default();
    if peer.namespace_selector.is_none() && peer.pod_selector.is_none() {
        wrong.push(format!("{field} has a peer that names nobody"));
        return None;
    }
    Some(Peer::Pods { namespaces, pods })
}

fn prefix(text: &str, field: &str, wrong: &mut Vec<String>) -> Option<IpNet> {
    let read = text.parse::<IpNet>();
    if read.is_err() {
        wrong.push(format!("{field}: `{text}` is no prefix of addresses (like 10.0.0.0/8)"));
    }
    read.ok().map(|prefix| prefix.trunc())
}

fn port(port: &networking::NetworkPolicyPort, field: &str, wrong: &mut Vec<String>) -> Option<Port> {
    let text = port.protocol.as_deref().unwrap_or("TCP");
    let Some(protocol) = Protocol::read(text) else {
        wrong.push(format!("{field}: protocol `{text}` is not TCP, UDP or SCTP"));
        return None;
    };
    let number = |number: i32| u16::try_from(number).ok().filter(|number| *number > 0);
    let which = match (&port.port, port.end_port) {
        (None, None) => Some(Which::All),
        (Some(IntOrString::String(name)), None) => Some(Which::Named(name.as_str().into())),
        (Some(IntOrString::Int(first)), last) => {
            let (first, last) = (number(*first), number(last.unwrap_or(*first)));
            first
                .zip(last)
                .filter(|(first, last)| first <= last)
                .map(|(first, last)| Which::Range(first, last))
        }
        (None | Some(IntOrString::String(_)), Some(_)) => None,
    };
    if which.is_none() {
        wrong.push(format!("{field}: a port or endPort is no number, or they are no range"));
    }
    Some(Port { protocol, which: which? })
}

/// A selector. One that can't be read matches nothing.
fn selector(selector: &LabelSelector, field: &str, wrong: &mut Vec<String>) -> Selector {
    let equal = selector.match_labels.iter().flatten();
    let equal = equal.map(|(key, value)| Requirement::equals(key.as_str(), value.as_str()));
    let mut all: Vec<Requirement> = equal.collect();
    for one in selector.match_expressions.iter().flatten() {
        let values: BTreeSet<Box<str>> =
            one.values.iter().flatten().map(|value| value.as_str().into()).collect();
        let test = match one.operator.as_str() {
            "In" => Test::In(values),
            "NotIn" => Test::NotIn(values),
            "Exists" => Test::Exists,
            "DoesNotExist" => Test::DoesNotExist,
            other => {
                wrong.push(format!("{field}: operator `{other}` is none that Kubernetes knows"));
                Test::In(BTreeSet::new())
            }
        };
        all.push(Requirement { key: one.key.as_str().into(), test });
    }
    Selector::new(all)
}

/// A Service with the endpoints that connections may be sent to: those that are ready, and those that serve on while they end.
pub fn service(service: &slim::Service, slices: &[Arc<slim::EndpointSlice>]) -> Service {
    let ports = service.ports.iter().filter_map(|port| {
        let protocol = Protocol::read(&port.protocol)?;
        let endpoints = slices.iter().flat_map(|slice| endpoints(slice, port)).collect();
        Some(ServicePort { protocol, number: port.port, endpoints })
    });
    Service { vips: service.cluster_ips.iter().copied().collect(), ports: ports.collect() }
}

fn endpoints<'a>(
    slice: &'a slim::EndpointSlice,
    port: &'a slim::ServicePort,
) -> impl Iterator<Item = (std::net::IpAddr, u16)> + 'a {
    let is_its = |its: &&slim::EndpointPort| its.name == port.name && its.protocol == port.protocol;
    let numbers = slice.ports.iter().filter(is_its).map(|its| its.port.unwrap_or(port.port));
    let serving = || slice.endpoints.iter().filter(|endpoint| endpoint.ready || endpoint.serving);
    numbers.flat_map(move |number| serving().map(move |endpoint| (endpoint.address, number)))
}

/// A rule that a group has.
pub fn held(rule: &neutron::HeldRule) -> HeldRule {
    HeldRule { id: rule.id.clone(), rule: read(&rule.rule) }
}

/// What a rule allows, if it is one that we would ask for.
fn read(rule: &neutron::Rule) -> Option<GroupRule<AddressGroupId>> {
    let remote =
        match (&rule.remote_address_group_id, rule.remote_ip_prefix.as_deref(), &rule.remote_group_id) {
            (Some(id), None, None) => Remote::Group(id.clone()),
            (None, None, None) => Remote::Anyone,
            (None, Some(text), None) => Remote::Prefix(read_prefix(text)?),
            _ => return None,
        };
    let protocol = match rule.protocol.as_deref() {
        None => None,
        Some("tcp" | "6") => Some(Protocol::Tcp),
        Some("udp" | "17") => Some(Protocol::Udp),
        Some("sctp" | "132") => Some(Protocol::Sctp),
        Some(_) => return None,
    };
    let ports = match (rule.port_range_min, rule.port_range_max) {
        (Some(first), Some(last)) => Some((first, last)),
        (None, None) => None,
        _ => return None,
    };
    Some(GroupRule {
        direction: match rule.direction {
            neutron::Direction::Ingress => Direction::Ingress,
            neutron::Direction::Egress => Direction::Egress,
        },
        family: match rule.ethertype {
            neutron::EtherType::IPv4 => Family::V4,
            neutron::EtherType::IPv6 => Family::V6,
        },
        protocol,
        ports,
        remote: match remote {
            Remote::Prefix(prefix) if prefix.prefix_len() == 0 => Remote::Anyone,
            other => other,
        },
    })
}

fn read_prefix(text: &str) -> Option<IpNet> {
    text.parse().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from)).ok()
}

/// A rule to be made.
pub fn new_rule(
    group: &SecurityGroupId,
    rule: &GroupRule<AddressGroupId>,
    project: Option<&ProjectId>,
) -> neutron::NewRule {
    let direction = match rule.direction {
        Direction::Ingress => neutron::Direction::Ingress,
        Direction::Egress => neutron::Direction::Egress,
    };
    let family = match rule.family {
        Family::V4 => neutron::EtherType::IPv4,
        Family::V6 => neutron::EtherType::IPv6,
    };
    let (prefix, address_group) = match &rule.remote {
        Remote::Anyone => (None, None),
        Remote::Prefix(prefix) => (Some(prefix.to_string()), None),
        Remote::Group(id) => (None, Some(id.clone())),
    };
    neutron::NewRule {
        project_id: project.cloned(),
        protocol: rule.protocol.map(|protocol| protocol.in_rules().to_owned()),
        port_range_min: rule.ports.map(|(first, _)| first),
        port_range_max: rule.ports.map(|(_, last)| last),
        remote_ip_prefix: prefix,
        remote_address_group_id: address_group,
        ..neutron::NewRule::open(group.clone(), direction, family)
    }
}

/// Whether a rule is for something that has ports.
pub fn has_ports(rule: &neutron::Rule) -> bool {
    let names = ["tcp", "6", "udp", "17", "sctp", "132", "any", "0"];
    rule.protocol.as_deref().is_none_or(|protocol| names.contains(&protocol))
}
