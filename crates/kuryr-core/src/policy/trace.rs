//! From one end to another: every packet that the groups of a pod have to let pass, and what they do.
//!
//! ```text
//!   pod ── egress ──► ingress ── pod
//!   pod ── egress to the Service's address ─┬─► egress to an endpoint ──► ingress ── its pod
//!                                           └─► …                         each that the Service leads to
//! ```
//!
//! OVN matches the first packet of a flow with the Service's address and later ones with the endpoint's: a client needs both. Who is its
//! own endpoint meets itself with the Service's address.

use super::explain::{Packet, Verdict};
use super::index::Index;
use super::model::{Direction, Family, Name, Protocol};
use std::net::IpAddr;
use thiserror::Error;

/// An end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A pod with addresses of its own.
    Pod(Name),
    /// An address that is no pod's and no Service's.
    Address(IpAddr),
    /// A Service. It can only be connected to.
    Service(Name),
}

/// A packet that the groups of a pod let pass, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The pod.
    pub pod: Name,
    /// The pod's address on this way.
    pub address: IpAddr,
    /// What it is asked for.
    pub packet: Packet,
    /// The Service or the pod at the other end.
    pub other: End,
    /// What they do.
    pub verdict: Verdict,
}

/// A way from the one address to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// Where connections come from.
    pub from: IpAddr,
    /// Where they go to: a Service's address, if it is one.
    pub to: IpAddr,
    /// In the order in which a packet meets them. Empty: no policy has a say.
    pub steps: Vec<Step>,
}

/// Why there is no way.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// Nobody has that name, or it has no address of its own.
    #[error(
        "there is no pod {0} with an address of its own (policies are for no pod of its node's network, nor for one that has ended)"
    )]
    FindPod(Name),
    /// Nobody has that name.
    #[error("there is no Service {0} with an address")]
    FindService(Name),
    /// A Service does not send connections.
    #[error("a Service answers connections and begins none")]
    FromService,
    /// The Service does not listen there.
    #[error("Service {0} has no port {2}/{1}")]
    FindPort(Name, &'static str, u16),
    /// The Service leads nowhere.
    #[error("Service {0} has no endpoint that takes connections at that port")]
    FindEndpoint(Name),
    /// One has addresses of IPv4, the other of IPv6.
    #[error("the two have no addresses of one family")]
    FindFamily,
}

impl Way {
    /// A connection comes about.
    pub fn is_pass(&self) -> bool {
        self.steps.iter().all(|step| step.verdict.is_pass())
    }
}

impl Index {
    /// Whose an address is.
    pub fn end_at(&self, address: IpAddr) -> End {
        let pod = self.pod_at(address).cloned().map(End::Pod);
        let service = || self.service_at(address).cloned().map(End::Service);
        pod.or_else(service).unwrap_or(End::Address(address))
    }

    /// The ways from one end to a port of the other, one for each family that both have.
    ///
    /// # Errors
    /// There is none.
    pub fn trace(&self, from: &End, to: &End, protocol: Protocol, port: u16) -> Result<Vec<Way>, Error> {
        let (sources, targets) = (self.sources(from)?, self.targets(to)?);
        let mut ways = Vec::new();
        for target in targets {
            let of_family = |source: &&IpAddr| Family::of(**source) == Family::of(target);
            let Some(source) = sources.iter().find(of_family).copied() else { continue };
            let steps = match to {
                End::Service(service) => self.through(from, source, service, target, (protocol, port))?,
                _ => self.direct((from, source), (to, target), (protocol, port)),
            };
            ways.push(Way { from: source, to: target, steps });
        }
        if ways.is_empty() { Err(Error::FindFamily) } else { Ok(ways) }
    }

    fn sources(&self, from: &End) -> Result<Vec<IpAddr>, Error> {
        match from {
            End::Service(_) => Err(Error::FromService),
            _ => self.targets(from),
        }
    }

    /// One address of each family, as connections are made to.
    fn targets(&self, to: &End) -> Result<Vec<IpAddr>, Error> {
        let all: Vec<IpAddr> = match to {
            End::Address(address) => vec![*address],
            End::Pod(name) => {
                let pod = self.pod(name).filter(|pod| !pod.addresses.is_empty());
                pod.ok_or_else(|| Error::FindPod(name.clone()))?.addresses.clone()
            }
            End::Service(name) => {
                let service = self.service(name).filter(|service| !service.vips.is_empty());
                let service = service.ok_or_else(|| Error::FindService(name.clone()))?;
                service.vips.iter().copied().collect()
            }
        };
        let first = |family| all.iter().find(|address| Family::of(**address) == family).copied();
        Ok([Family::V4, Family::V6].into_iter().filter_map(first).collect())
    }

    fn direct(&self, from: (&End, IpAddr), to: (&End, IpAddr), front: (Protocol, u16)) -> Vec<Step> {
        // What a pod says to itself does not leave it.
        if from.0 == to.0 {
            return Vec::new();
        }
        let out = self.step(from, to, Direction::Egress, front);
        let into = self.step(to, from, Direction::Ingress, front);
        out.into_iter().chain(into).collect()
    }

    fn through(
        &self,
        from: &End,
        source: IpAddr,
        service: &Name,
        vip: IpAddr,
        front: (Protocol, u16),
    ) -> Result<Vec<Step>, Error> {
        let known = self.service(service).ok_or_else(|| Error::FindService(service.clone()))?;
        let mut ports = known.ports.iter().filter(|port| (port.protocol, port.number) == front);
        let port =
            ports.next().ok_or_else(|| Error::FindPort(service.clone(), front.0.in_rules(), front.1))?;
        let of_family = |(address, _): &&(IpAddr, u16)| Family::of(*address) == Family::of(vip);
        let ends: Vec<_> = port.endpoints.iter().filter(of_family).copied().collect();
        if ends.is_empty() {
            return Err(Error::FindEndpoint(service.clone()));
        }
        let whole = End::Service(service.clone());
        let mut steps: Vec<Step> =
            self.step((from, source), (&whole, vip), Direction::Egress, front).into_iter().collect();
        for (address, number) in ends {
            let end = self.end_at(address);
            let (end, back) = ((&end, address), (front.0, number));
            if end.0 == from {
                steps.extend(self.step(end, (&whole, vip), Direction::Ingress, back));
            } else {
                steps.extend(self.direct((from, source), end, back));
            }
        }
        Ok(steps)
    }

    /// What a pod's groups do; nothing where no pod is.
    fn step(
        &self,
        at: (&End, IpAddr),
        other: (&End, IpAddr),
        direction: Direction,
        (protocol, port): (Protocol, u16),
    ) -> Option<Step> {
        let End::Pod(pod) = at.0 else { return None };
        let packet = Packet { direction, other: other.1, protocol, port };
        let verdict = self.decide(pod, &packet);
        Some(Step { pod: pod.clone(), address: at.1, packet, other: other.0.clone(), verdict })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::testing::{VIP, WEB, cluster, confine_client, name};

    fn pod(of: &str) -> End {
        End::Pod(name(of))
    }

    fn passes(index: &Index, from: &End, to: &End, port: u16) -> Vec<bool> {
        let ways = index.trace(from, to, Protocol::Tcp, port).unwrap();
        assert_eq!(ways.len(), 1);
        ways[0].steps.iter().map(|step| step.verdict.is_pass()).collect()
    }

    #[test]
    fn both_ends_have_a_say() {
        let mut index = cluster();
        assert_eq!(passes(&index, &pod("client"), &pod("web"), 80), [true, true]);
        assert_eq!(passes(&index, &pod("other"), &pod("web"), 80), [true, false]);
        confine_client(&mut index, "other");
        assert_eq!(passes(&index, &pod("client"), &pod("web"), 80), [false, true]);
        let outside = End::Address("192.0.2.1".parse().unwrap());
        assert_eq!(passes(&index, &outside, &pod("web"), 80), [false]);
        assert_eq!(passes(&index, &pod("client"), &outside, 80), [false]);
        assert!(passes(&index, &outside, &outside, 80).is_empty());
        assert!(passes(&index, &pod("web"), &pod("web"), 80).is_empty());
    }

    #[test]
    fn a_service_is_passed_before_its_endpoints() {
        let mut index = cluster();
        let service = End::Service(name("web"));
        assert_eq!(passes(&index, &pod("client"), &service, 8080), [true, true, true]);
        assert_eq!(passes(&index, &pod("other"), &service, 8080), [true, true, false]);
        confine_client(&mut index, "web");
        assert_eq!(passes(&index, &pod("client"), &service, 8080), [true, true, true]);
        confine_client(&mut index, "other");
        assert_eq!(passes(&index, &pod("client"), &service, 8080), [false, false, true]);
        // Itself: from the Service's address.
        let ways = index.trace(&pod("web"), &service, Protocol::Tcp, 8080).unwrap();
        let others: Vec<_> = ways[0].steps.iter().map(|step| step.packet.other.to_string()).collect();
        assert_eq!((others, ways[0].is_pass()), (vec![VIP.to_owned(), VIP.to_owned()], true));
    }

    #[test]
    fn an_address_is_whose_it_is() {
        let index = cluster();
        assert_eq!(index.end_at(WEB.parse().unwrap()), pod("web"));
        assert_eq!(index.end_at(VIP.parse().unwrap()), End::Service(name("web")));
        let none = "192.0.2.1".parse().unwrap();
        assert_eq!(index.end_at(none), End::Address(none));
    }

    #[test]
    fn what_is_not_there_is_told() {
        let index = cluster();
        let trace = |from: &End, to: &End, port| index.trace(from, to, Protocol::Tcp, port).unwrap_err();
        let (client, service) = (pod("client"), End::Service(name("web")));
        assert_eq!(trace(&client, &pod("gone"), 80), Error::FindPod(name("gone")));
        assert_eq!(trace(&client, &service, 81), Error::FindPort(name("web"), "tcp", 81));
        assert_eq!(trace(&service, &client, 80), Error::FromService);
        let six = End::Address("fd00::1".parse().unwrap());
        assert_eq!(trace(&client, &six, 80), Error::FindFamily);
    }
}
