//! Keeps ports wired that wait for pods, so that a pod's ADD waits neither for OVN nor for Neutron, and has nothing to tell its neighbours.
//!
//! ```text
//!   KuryrNode, spec.ports ──► vacant ports of Open vSwitch ──► OVN claims them, Neutron calls them ACTIVE, neighbours are told
//!                                │        ▲
//!                   ADD: a veth pair      DEL: the pair goes,
//!                   behind the port       the port stays
//!                                ▼        │
//!                             ports of pods
//! ```
//!
//! Nothing of a pod stays with the port: its link is made for the pod and goes with it. To park a link of the pod's and to move it into
//! the next one's namespace costs the kernel more, and one link waits for the other (`make bench FIGURES=plugging` has the figures).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use kuryr_api::{names, node::KeptPort};
use kuryr_k8s::{Cache, Key, slim::NodeRecord};
use kuryr_ovsdb::{Device, Interface, NewPort, OvsdbError, Received, Removed, Switch};
use tokio::time::{Instant, sleep};

use crate::{
    announce,
    failure::Chain,
    mark::{Afterwards, IFACE_ID, Mark, OF_POD},
    node::Node,
    plug::Neighbours,
    wiring::Wiring,
};

/// A port that nobody asks to be kept goes after this time: the API server may tell of a port later than of its pod.
const UNWANTED_FOR: Duration = Duration::from_secs(5);
/// Between two looks while there is something to do.
const PAUSE: Duration = Duration::from_secs(1);

/// What is asked for, and since when something is there that is not.
pub struct Keeper {
    said: Cache<NodeRecord>,
    key: Key,
    unwanted: Unwanted,
    /// Names of vacant ports whose neighbours could not be told: their first pods will do it.
    silent: BTreeSet<String>,
}

/// Since when vacant ports are there that nobody asks for, by their names.
#[derive(Debug, Default)]
struct Unwanted(BTreeMap<String, Instant>);

/// How what is there differs from what is asked for.
#[derive(Debug, Default, PartialEq)]
struct Look {
    /// Ports to be made, by the ids of Neutron's.
    missing: BTreeMap<String, KeptPort>,
    /// Names of vacant ports that nobody asks for.
    unwanted: BTreeSet<String>,
    /// Those that are wired and whose neighbours may remember an earlier owner of their addresses.
    untold: BTreeMap<String, Announcement>,
}

/// What is to be told of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Announcement {
    ofport: u32,
    kept: KeptPort,
}

impl Keeper {
    /// Keeps what the KuryrNode of this name asks for.
    pub fn new(said: Cache<NodeRecord>, key: Key) -> Self {
        Self { said, key, unwanted: Unwanted::default(), silent: BTreeSet::new() }
    }

    /// Works for ever.
    pub async fn run(mut self, node: &Node) {
        node.own.has_switch().await;
        node.records.ports.complete().await;
        self.said.complete().await;
        loop {
            // What is waited for below says nothing of a port that is wanted again.
            self.unwanted.see(&node.ovsdb.look(|switch| self.look(node, switch)).unwanted, Instant::now());
            let something = |look: Look| (look != Look::default()).then_some(look);
            let look = tokio::select! {
                look = self.said.wait_for(|_| something(node.ovsdb.look(|switch| self.look(node, switch)))) => look,
                look = node.ovsdb.wait_for(|switch| something(self.look(node, switch))) => look,
                look = node.records.ports.wait_for(|_| something(node.ovsdb.look(|switch| self.look(node, switch)))) => look,
            };
            if let Err(error) = self.act(node, look).await {
                tracing::warn!(error = %Chain(&error), "could not keep ports wired");
            }
            sleep(PAUSE).await;
        }
    }

    /// A port whose pod is there is ADD's affair, and DEL's.
    fn look(&self, node: &Node, switch: &Switch) -> Look {
        if !switch.is_up() {
            return Look::default();
        }
        let (said, nothing) = (self.said.get(&self.key), BTreeMap::new());
        let asked = said.as_ref().map_or(&nothing, |record| &record.spec.ports);
        let records = node.records.ports.all();
        let vifs = records.iter().flat_map(|record| record.content.vifs());
        let of_pods: BTreeSet<_> = vifs.map(|(_, entry)| entry.vif.base().id.as_str()).collect();
        let mut look = look(asked, &of_pods, switch.interfaces());
        look.untold.retain(|name, _| !self.silent.contains(name));
        look
    }

    async fn act(&mut self, node: &Node, look: Look) -> Result<(), OvsdbError> {
        for (id, kept) in &look.missing {
            let name = names::tap_name(id);
            let external_ids = Mark::of_vacant(id, &kept.mac);
            let port = NewPort { bridge: &kept.bridge, name: &name, device: Device::Link, external_ids };
            match node.ovsdb.add_vacant(&port).await {
                Ok(()) => tracing::info!(port = id, link = name, "wired before a pod needs it"),
                // A pod was faster.
                Err(OvsdbError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let now = Instant::now();
        self.unwanted.see(&look.unwanted, now);
        for name in self.unwanted.due(now) {
            node.ovsdb.del_port(name).await?;
            tracing::info!(link = name, "no longer wired: nobody needs it");
        }
        self.silent.retain(|name| node.ovsdb.look(|switch| switch.interface(name).is_some()));
        self.tell(node, look.untold).await
    }

    async fn tell(&mut self, node: &Node, untold: BTreeMap<String, Announcement>) -> Result<(), OvsdbError> {
        let bridges: BTreeSet<_> = untold.values().map(|one| one.kept.bridge.as_str()).collect();
        for bridge in bridges {
            let of_bridge: BTreeMap<_, _> =
                untold.iter().filter(|(_, one)| one.kept.bridge == bridge).collect();
            let names: Vec<_> = of_bridge.keys().map(|name| name.as_str()).collect();
            let frames: Vec<_> = of_bridge.into_values().flat_map(Announcement::frames).collect();
            match node.ovsdb.receive(bridge, &frames).await {
                Ok(()) => node.ovsdb.write_beside(&names, &Mark::of_left(Neighbours::Told)).await?,
                Err(error) => {
                    let error = Chain(&error);
                    tracing::warn!(%error, ports = names.len(), "could not tell the neighbours of ports: their first pods will do it");
                    self.silent.extend(names.into_iter().map(str::to_owned));
                }
            }
        }
        Ok(())
    }
}

impl Announcement {
    /// None if there is nothing to tell, or nothing that can be read.
    fn of(interface: &Interface, kept: &KeptPort) -> Option<Self> {
        if !interface.is_installed() || Mark::neighbours(interface) == Neighbours::Told {
            return None;
        }
        let ofport = interface.ofport.and_then(|number| u32::try_from(number).ok())?;
        Some(Self { ofport, kept: kept.clone() }).filter(|this| this.frames().next().is_some())
    }

    fn frames(&self) -> impl Iterator<Item = Received> {
        let addresses = self.kept.addresses.iter().filter_map(|address| address.parse().ok());
        let frames = self.kept.mac.parse().map(|mac| announce::frames(mac, addresses)).unwrap_or_default();
        frames.into_iter().map(|frame| Received { ofport: self.ofport, frame })
    }
}

impl Unwanted {
    /// These are unwanted now. One that was wanted meanwhile has its whole time again.
    fn see(&mut self, names: &BTreeSet<String>, now: Instant) {
        self.0.retain(|name, _| names.contains(name));
        for name in names {
            self.0.entry(name.clone()).or_insert(now);
        }
    }

    /// Those that are to go.
    fn due(&self, now: Instant) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(_, since)| now - **since >= UNWANTED_FOR).map(|(name, _)| name.as_str())
    }
}

impl Node {
    /// Makes a link a port of the switch: that which waits for it, or a new one.
    pub async fn take_port(&self, port: &NewPort<'_>) -> Result<(), OvsdbError> {
        match self.take_port_seen(port).await {
            // It was made, or removed, at the same moment.
            Err(OvsdbError::Refused(_)) => self.take_port_seen(port).await,
            outcome => outcome,
        }
    }

    async fn take_port_seen(&self, port: &NewPort<'_>) -> Result<(), OvsdbError> {
        let waits = self.ovsdb.look(|switch| {
            let interface = switch.interface(port.name)?;
            (Mark::read_vacant(interface) == port.external_ids.get(IFACE_ID).map(String::as_str))
                .then_some(())
        });
        match waits {
            Some(()) => self.ovsdb.occupy(port.name, &port.external_ids).await,
            None => self.ovsdb.add_port(port).await,
        }
    }

    /// What the neighbours of an interface know. Only a port that was kept for it remembers what it told them.
    pub fn neighbours(&self, wiring: &Wiring) -> Neighbours {
        let Some(port) = wiring.plug.ovs_port() else { return Neighbours::ToBeTold };
        let known = self.ovsdb.look(|switch| switch.interface(port.name).map(Mark::neighbours));
        known.unwrap_or(Neighbours::ToBeTold)
    }

    /// Takes a port from its pod, which has told the neighbours of it, or may not have: it goes, or waits for the next one.
    pub async fn release(&self, name: &str, neighbours: Neighbours) -> Result<Removed, OvsdbError> {
        let found = self.ovsdb.look(|switch| {
            let interface = switch.interface(name)?;
            Some((Mark::read_vacant(interface).is_some(), Afterwards::of(interface)))
        });
        match found {
            None | Some((true, _)) => Ok(Removed::Nothing),
            Some((false, Afterwards::Removed)) => self.ovsdb.del_port(name).await,
            Some((false, Afterwards::Kept)) => {
                let left = self.ovsdb.vacate(name, &OF_POD, &Mark::of_left(neighbours)).await;
                left.map(|()| Removed::Port)
            }
        }
    }
}

/// Neutron's ports that wait for pods and are wired.
pub fn count_warm(switch: &Switch) -> u32 {
    let warm = switch.interfaces().filter(|found| Mark::read_vacant(found).is_some() && found.is_installed());
    u32::try_from(warm.count()).unwrap_or(u32::MAX)
}

fn look<'a>(
    asked: &BTreeMap<String, KeptPort>,
    of_pods: &BTreeSet<&str>,
    interfaces: impl Iterator<Item = &'a Interface>,
) -> Look {
    let (mut names, mut unwanted, mut untold) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
    for interface in interfaces {
        names.insert(interface.name.as_str());
        let Some(port) = Mark::read_vacant(interface) else { continue };
        match asked.get(port) {
            Some(kept) => {
                let news = Announcement::of(interface, kept).filter(|_| !of_pods.contains(port));
                untold.extend(news.map(|news| (interface.name.clone(), news)));
            }
            None if of_pods.contains(port) => {}
            None => {
                unwanted.insert(interface.name.clone());
            }
        }
    }
    let is_missing = |port: &str| !of_pods.contains(port) && !names.contains(&*names::tap_name(port));
    let missing = asked.iter().filter(|(port, _)| is_missing(port));
    Look { missing: missing.map(|(port, kept)| (port.clone(), kept.clone())).collect(), unwanted, untold }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vacant(port: &str) -> Interface {
        let external_ids = Mark::of_vacant(port, "fa:16:3e:00:00:01");
        Interface { name: names::tap_name(port), kind: "patch".into(), external_ids, ..Interface::default() }
    }

    #[test]
    fn what_no_pod_has_is_made_and_what_nobody_asks_for_goes() {
        let asked: BTreeMap<_, _> =
            ["new", "there", "of-pod"].map(|port| (port.to_owned(), KeptPort::default())).into();
        let of_pods = ["of-pod", "going"].into();
        let foreign = Interface { name: "tapforeign".into(), kind: "patch".into(), ..Interface::default() };
        let there = ["there", "going", "old"].map(vacant).into_iter().chain([foreign]).collect::<Vec<_>>();
        let found = look(&asked, &of_pods, there.iter());
        assert_eq!(found.missing.keys().collect::<Vec<_>>(), ["new"]);
        assert_eq!(found.unwanted, [names::tap_name("old")].into());
    }

    #[test]
    fn what_is_wired_and_of_nobody_is_told_of_if_there_is_something_to_tell() {
        let kept = |addresses: &[&str]| KeptPort {
            mac: "fa:16:3e:00:00:01".into(),
            addresses: addresses.iter().map(ToString::to_string).collect(),
            ..KeptPort::default()
        };
        let wired = |port: &str| {
            let mut interface = Interface { ofport: Some(7), ..vacant(port) };
            interface.external_ids.insert("ovn-installed".into(), "true".into());
            interface
        };
        let mut told = wired("told");
        told.external_ids.extend(Mark::of_left(Neighbours::Told));
        let there = [wired("news"), vacant("not-wired"), told, wired("of-pod"), wired("odd"), wired("none")];
        let good = ["news", "not-wired", "told", "of-pod"].map(|port| (port, kept(&["10.0.0.1", "fd00::1"])));
        let asked = good.into_iter().chain([("odd", kept(&["x"])), ("none", kept(&[]))]);
        let asked = asked.map(|(port, kept)| (port.to_owned(), kept)).collect();
        let found = look(&asked, &["of-pod"].into(), there.iter());
        assert_eq!(found.untold.keys().collect::<Vec<_>>(), [&names::tap_name("news")]);
        assert_eq!(found.untold.values().flat_map(Announcement::frames).count(), 2);
    }

    #[test]
    fn a_port_that_is_wanted_again_has_its_whole_time_when_it_is_unwanted_once_more() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut unwanted = Unwanted::default();
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let due = |unwanted: &Unwanted, at| unwanted.due(at).map(str::to_owned).collect::<Vec<_>>();
        for (passed, seen) in [(0, &["back", "old"][..]), (1, &["old"]), (2, &["back", "old"])] {
            unwanted.see(&names(seen), start + passed * second);
        }
        let end = start + UNWANTED_FOR;
        assert_eq!(due(&unwanted, end - second), [""; 0]);
        assert_eq!(due(&unwanted, end), ["old"]);
        assert_eq!(due(&unwanted, end + 2 * second), ["back", "old"]);
        unwanted.see(&names(&[]), end);
        assert_eq!(due(&unwanted, end + 9 * second), [""; 0], "what nobody has is not remembered");
    }
}
