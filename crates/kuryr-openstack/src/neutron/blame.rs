//! Which requests of a refused bulk are to blame.
//!
//! Neutron makes all ports of a request or none, and names in its message what it stumbled over. A request that alone
//! has what is named is to blame; where nothing tells them apart, the bulk is halved.

use super::NewPort;
use crate::{Error, Kind};
use kuryr_api::ids::{NetworkId, ProjectId, SubnetId};
use std::{collections::HashSet, net::IpAddr};

/// What to do with the members (places in the list of requests) of a bulk that was refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// None of them can be made now, nor is any of them to blame.
    Nobody,
    /// These fail; the others are worth another request.
    Guilty { guilty: Vec<usize>, others: Vec<usize> },
    /// Ask for each part by itself.
    Split(Vec<usize>, Vec<usize>),
}

/// What can be used up, so that after one request has failed for want of it others need not be tried.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Scarce {
    Quota(Option<ProjectId>),
    Addresses(NetworkId, Vec<SubnetId>),
}

/// Tells who is to blame for `error`.
pub(super) fn judge(error: &Error, members: &[usize], wanted: &[NewPort]) -> Verdict {
    if !is_about_the_request(error.kind()) {
        return Verdict::Nobody;
    }
    if let [_] = members {
        return Verdict::Guilty { guilty: members.to_vec(), others: Vec::new() };
    }
    let Some(named) = named(error, members, wanted) else {
        let (first, second) = halves(members);
        return Verdict::Split(first, second);
    };
    let (suspects, others) = members.iter().copied().partition::<Vec<_>, _>(|member| named.contains(member));
    // What does not exist fails all who ask for it. What is taken (an address) may still be had by one of several.
    if suspects.len() == 1 || error.kind() == Kind::NotFound {
        return Verdict::Guilty { guilty: suspects, others };
    }
    Verdict::Split(others, suspects)
}

/// What `error` says is used up, as far as it concerns `port`.
pub(super) fn scarce(error: &Error, port: &NewPort) -> Option<Scarce> {
    match error.kind() {
        Kind::OverQuota => Some(Scarce::Quota(port.project_id.clone())),
        Kind::NoFreeAddress => {
            let subnets = port.fixed_ips.iter().map(|ip| ip.subnet_id.clone()).collect();
            Some(Scarce::Addresses(port.network_id.clone(), subnets))
        }
        _ => None,
    }
}

pub(super) fn halves(members: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let (first, second) = members.split_at(members.len().div_ceil(2));
    (first.to_vec(), second.to_vec())
}

fn is_about_the_request(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::NotFound
            | Kind::Conflict
            | Kind::OverQuota
            | Kind::NoFreeAddress
            | Kind::Forbidden
            | Kind::Invalid
            | Kind::Fault
    )
}

/// The members that have something that the message names and others have not; of several such things, the rarest.
fn named(error: &Error, members: &[usize], wanted: &[NewPort]) -> Option<HashSet<usize>> {
    let words = words(&error.refusal()?.message);
    let having = |word: &Word<'_>| -> HashSet<usize> {
        members.iter().copied().filter(|member| word.occurs_in(&wanted[*member])).collect()
    };
    words
        .iter()
        .map(having)
        .filter(|set| !set.is_empty() && set.len() < members.len())
        .min_by_key(HashSet::len)
}

enum Word<'a> {
    Address(IpAddr),
    Text(&'a str),
}

fn words(message: &str) -> Vec<Word<'_>> {
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '.' | ':' | '-' | '_');
    let words = message
        .split(|c| !in_word(c))
        .map(|word| word.trim_end_matches(['.', ':']))
        .filter(|w| !w.is_empty());
    words.map(|word| word.parse().map_or(Word::Text(word), Word::Address)).collect()
}

impl Word<'_> {
    fn occurs_in(&self, port: &NewPort) -> bool {
        match self {
            Self::Address(address) => port.fixed_ips.iter().any(|ip| ip.ip_address == Some(*address)),
            Self::Text(text) => names(port).any(|name| name == *text),
        }
    }
}

fn names(port: &NewPort) -> impl Iterator<Item = &str> {
    let groups = port.security_groups.iter().flatten().map(AsRef::as_ref);
    let subnets = port.fixed_ips.iter().map(|ip| ip.subnet_id.as_str());
    let project = port.project_id.as_ref().map(AsRef::as_ref);
    let own = [port.network_id.as_str(), port.device_id.as_str(), port.name.as_str()];
    groups.chain(subnets).chain(project).chain(port.host.as_deref()).chain(own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Refusal, Service, Target, neutron::FixedIpRequest};
    use http::{Method, StatusCode};
    use std::sync::Arc;

    fn error(status: u16, name: &str, message: &str) -> Error {
        let call = Target { service: Service::Network, method: Method::POST, path: "/ports".into() };
        let body =
            format!(r#"{{"NeutronError": {{"type": "{name}", "message": "{message}", "detail": ""}}}}"#);
        let status = StatusCode::from_u16(status).unwrap();
        Error::Refused(Arc::new(Refusal::read(call, status, None, None, body.as_bytes())))
    }

    fn port(device: &str, address: Option<&str>, group: &str) -> NewPort {
        let ip_address = address.map(|text| text.parse().unwrap());
        NewPort {
            fixed_ips: vec![FixedIpRequest { subnet_id: "subnet".into(), ip_address }],
            device_id: device.into(),
            security_groups: Some(vec![group.into()]),
            ..NewPort::on("net".into())
        }
    }

    #[test]
    fn the_one_with_the_named_address_is_guilty() {
        let wanted =
            [port("a", Some("10.0.0.7"), "g"), port("b", Some("10.0.0.77"), "g"), port("c", None, "g")];
        let taken = "IP address 10.0.0.7 already allocated in subnet subnet";
        assert_eq!(
            judge(&error(409, "IpAddressAlreadyAllocated", taken), &[0, 1, 2], &wanted),
            Verdict::Guilty { guilty: vec![0], others: vec![1, 2] }
        );
    }

    #[test]
    fn an_address_is_known_in_any_spelling() {
        let wanted = [port("a", Some("fd00::0:7"), "g"), port("b", None, "g")];
        let verdict =
            judge(&error(400, "InvalidIpForSubnet", "IP address fd00::7 is not valid."), &[0, 1], &wanted);
        assert_eq!(verdict, Verdict::Guilty { guilty: vec![0], others: vec![1] });
    }

    #[test]
    fn all_who_name_a_missing_group_are_guilty() {
        let wanted = [port("a", None, "gone"), port("b", None, "g"), port("c", None, "gone")];
        let verdict = judge(
            &error(404, "SecurityGroupNotFound", "Security group gone does not exist"),
            &[0, 1, 2],
            &wanted,
        );
        assert_eq!(verdict, Verdict::Guilty { guilty: vec![0, 2], others: vec![1] });
    }

    #[test]
    fn of_those_who_want_the_same_address_one_may_have_it() {
        let wanted =
            [port("a", Some("10.0.0.7"), "g"), port("b", Some("10.0.0.7"), "g"), port("c", None, "g")];
        let verdict =
            judge(&error(409, "IpAddressAlreadyAllocated", "IP address 10.0.0.7 taken"), &[0, 1, 2], &wanted);
        assert_eq!(verdict, Verdict::Split(vec![2], vec![0, 1]));
    }

    #[test]
    fn without_a_name_the_bulk_is_halved() {
        let wanted = [port("a", None, "g"), port("b", None, "g"), port("c", None, "g")];
        let quota = error(409, "OverQuota", "Quota exceeded for resources: ['port'].");
        assert_eq!(judge(&quota, &[0, 1, 2], &wanted), Verdict::Split(vec![0, 1], vec![2]));
        assert_eq!(judge(&quota, &[2], &wanted), Verdict::Guilty { guilty: vec![2], others: vec![] });
        assert_eq!(scarce(&quota, &wanted[0]), Some(Scarce::Quota(None)));
    }

    #[test]
    fn nobody_is_to_blame_for_a_server_that_is_down() {
        let wanted = [port("a", None, "g"), port("b", None, "g")];
        assert_eq!(judge(&error(503, "ServiceUnavailable", "down"), &[0, 1], &wanted), Verdict::Nobody);
    }
}
