//! Where Neutron differs from what policies want there. The planner puts the same right, step by step; this tells all of it at once.

use super::index::Groups;
use super::key::{GroupKey, GroupRule, PeerKey};
use super::model::Name;
use super::plan::{Held, HeldPeer, the_one};
use ipnet::IpNet;
use kuryr_api::{AddressGroupId, PortId, SecurityGroupId, SecurityGroupRuleId};
use std::collections::{BTreeMap, BTreeSet};

/// What is wanted, and what is there.
#[derive(Clone, Debug)]
pub struct Audited<'a> {
    /// Groups that should be there.
    pub wanted: &'a Groups,
    /// Groups of ours that are there.
    pub held: &'a [Held],
    /// Address groups that should be there.
    pub peers: &'a BTreeMap<PeerKey, BTreeSet<IpNet>>,
    /// Address groups of ours that are there.
    pub held_peers: &'a [(PeerKey, HeldPeer)],
    /// Ports of pods.
    pub ports: &'a [PodPort],
    /// The groups of pods that no policy is for.
    pub default: &'a BTreeSet<SecurityGroupId>,
}

/// A port of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodPort {
    /// The pod.
    pub pod: Name,
    /// Its port.
    pub port: PortId,
    /// What it carries.
    pub carries: BTreeSet<SecurityGroupId>,
    /// What it should carry. None: no policy is for the pod.
    pub wanted: Option<BTreeSet<GroupKey>>,
}

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// A group is missing.
    NoGroup(GroupKey),
    /// A group of ours that nobody needs, or that is there twice.
    StrangeGroup(GroupKey, SecurityGroupId),
    /// A rule is missing.
    NoRule(GroupKey, GroupRule<PeerKey>),
    /// A rule that nobody asked for.
    StrangeRule(GroupKey, SecurityGroupRuleId, Option<GroupRule<AddressGroupId>>),
    /// An address group is missing.
    NoAddressGroup(PeerKey),
    /// An address group of ours that nobody needs, or that is there twice.
    StrangeAddressGroup(PeerKey, AddressGroupId),
    /// Addresses are missing in an address group.
    NoAddresses(PeerKey, Vec<IpNet>),
    /// An address group has addresses that are not meant.
    StrangeAddresses(PeerKey, Vec<IpNet>),
    /// A port of a pod carries other groups than it should.
    Port(Name, PortId, Carried),
}

/// How what a port carries differs from what it should.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Groups that it lacks: names, and ids of the cluster's default ones.
    pub lacks: BTreeSet<String>,
    /// Groups that it should not carry.
    pub strange: BTreeSet<SecurityGroupId>,
}

/// All differences; none: Neutron does what policies say.
pub fn audit(seen: &Audited<'_>) -> Vec<Drift> {
    let mut drift = Vec::new();
    let kept_peers = address_groups(seen, &mut drift);
    groups(seen, &kept_peers, &mut drift);
    for port in seen.ports {
        let carried = carried(seen.held, seen.default, port);
        let is_drift = carried != Carried::default();
        drift.extend(is_drift.then(|| Drift::Port(port.pod.clone(), port.port.clone(), carried)));
    }
    drift
}

fn groups(seen: &Audited<'_>, peers: &BTreeMap<&PeerKey, &AddressGroupId>, drift: &mut Vec<Drift>) {
    let mut kept = BTreeSet::new();
    for (key, rules) in seen.wanted {
        match the_one(seen.held, key) {
            Some(held) => {
                kept.insert(&held.id);
                rule_drift(held, rules, peers, drift);
            }
            None => drift.push(Drift::NoGroup(key.clone())),
        }
    }
    let strange = seen.held.iter().filter(|held| !kept.contains(&held.id));
    drift.extend(strange.map(|held| Drift::StrangeGroup(held.key.clone(), held.id.clone())));
}

fn rule_drift(
    held: &Held,
    wanted: &BTreeSet<GroupRule<PeerKey>>,
    peers: &BTreeMap<&PeerKey, &AddressGroupId>,
    drift: &mut Vec<Drift>,
) {
    let there: BTreeSet<_> = held.rules.iter().filter_map(|held| held.rule.as_ref()).collect();
    let mut meant = BTreeSet::new();
    for rule in wanted {
        let in_neutron = rule.with_group(|key| peers.get(key).map(|id| (*id).clone()));
        match in_neutron.filter(|rule| there.contains(rule)) {
            Some(rule) => {
                meant.insert(rule);
            }
            None => drift.push(Drift::NoRule(held.key.clone(), rule.clone())),
        }
    }
    let strange =
        held.rules.iter().filter(|held| held.rule.as_ref().is_none_or(|rule| !meant.contains(rule)));
    drift.extend(strange.map(|one| Drift::StrangeRule(held.key.clone(), one.id.clone(), one.rule.clone())));
}

/// Returned are those that rules should name.
fn address_groups<'a>(
    seen: &Audited<'a>,
    drift: &mut Vec<Drift>,
) -> BTreeMap<&'a PeerKey, &'a AddressGroupId> {
    let mut kept = BTreeMap::new();
    for (key, wanted) in seen.peers {
        let there = seen.held_peers.iter().filter(|(held, _)| held == key).map(|(_, held)| held);
        let Some(held) = there.min_by_key(|held| &held.id) else {
            drift.push(Drift::NoAddressGroup(key.clone()));
            continue;
        };
        kept.insert(key, &held.id);
        let missing: Vec<_> = wanted.difference(&held.addresses).copied().collect();
        let strange: Vec<_> = held.addresses.difference(wanted).copied().collect();
        drift.extend((!missing.is_empty()).then(|| Drift::NoAddresses(key.clone(), missing)));
        drift.extend((!strange.is_empty()).then(|| Drift::StrangeAddresses(key.clone(), strange)));
    }
    let strange = seen.held_peers.iter().filter(|(key, held)| kept.get(key) != Some(&&held.id));
    drift.extend(strange.map(|(key, held)| Drift::StrangeAddressGroup(key.clone(), held.id.clone())));
    kept
}

/// How what a port carries differs from what it should. `held` are groups of ours that are there, `default` those of pods that no
/// policy is for.
pub fn carried(held: &[Held], default: &BTreeSet<SecurityGroupId>, port: &PodPort) -> Carried {
    let (mut lacks, mut meant) = (BTreeSet::new(), BTreeSet::new());
    let keys = port.wanted.iter().flatten();
    let by_key = keys.map(|key| (key.name(), the_one(held, key).map(|held| &held.id)));
    let default = port.wanted.is_none().then_some(default).into_iter().flatten();
    let default = default.map(|id| (id.to_string(), Some(id)));
    for (name, id) in by_key.chain(default) {
        match id.filter(|id| port.carries.contains(*id)) {
            Some(id) => {
                meant.insert(id);
            }
            None => {
                lacks.insert(name);
            }
        }
    }
    let strange = port.carries.iter().filter(|id| !meant.contains(id)).cloned().collect();
    Carried { lacks, strange }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::key::Remote;
    use crate::policy::plan::{Carriers, HeldRule};
    use crate::policy::testing::{cluster, name};

    /// What is wanted of the small cluster, and a Neutron that has all of it.
    struct World {
        wanted: Groups,
        held: Vec<Held>,
        peers: BTreeMap<PeerKey, BTreeSet<IpNet>>,
        held_peers: Vec<(PeerKey, HeldPeer)>,
        ports: Vec<PodPort>,
        default: BTreeSet<SecurityGroupId>,
    }

    impl World {
        fn new() -> Self {
            let index = cluster();
            let wanted: Groups =
                index.shared_groups().into_iter().chain(index.groups_of_policy(&name("web"))).collect();
            let keys = index.peer_keys().into_iter();
            let peers: BTreeMap<_, _> =
                keys.map(|key| (key.clone(), index.addresses_of(&key).unwrap())).collect();
            let peer = |(key, addresses): (&PeerKey, &BTreeSet<IpNet>)| {
                let held =
                    HeldPeer { id: key.name().as_str().into(), addresses: addresses.clone(), used: true };
                (key.clone(), held)
            };
            let group = |(key, rules): (&GroupKey, &BTreeSet<GroupRule<PeerKey>>)| {
                let rules = rules.iter().enumerate().map(|(at, rule)| HeldRule {
                    id: format!("{key}-{at}").as_str().into(),
                    rule: rule.with_group(|key| Some(key.name().as_str().into())),
                });
                Held {
                    key: key.clone(),
                    id: key.name().as_str().into(),
                    rules: rules.collect(),
                    carriers: Carriers::Settled,
                }
            };
            let port = |pod: &str| {
                let wanted = index.groups_of(&name(pod));
                let carries = wanted.iter().flatten().map(|key| key.name().as_str().into()).collect();
                PodPort { pod: name(pod), port: format!("port-{pod}").as_str().into(), carries, wanted }
            };
            Self {
                held: wanted.iter().map(group).collect(),
                held_peers: peers.iter().map(peer).collect(),
                ports: vec![port("web")],
                default: BTreeSet::from(["default".into()]),
                wanted,
                peers,
            }
        }

        fn audit(&self) -> Vec<Drift> {
            audit(&Audited {
                wanted: &self.wanted,
                held: &self.held,
                peers: &self.peers,
                held_peers: &self.held_peers,
                ports: &self.ports,
                default: &self.default,
            })
        }

        fn web(&mut self) -> &mut Held {
            self.held.iter_mut().find(|held| held.key == GroupKey::Policy(name("web"))).unwrap()
        }
    }

    #[test]
    fn what_is_as_it_should_be_has_no_drift() {
        assert_eq!(World::new().audit(), []);
    }

    #[test]
    fn groups_and_rules_that_differ_are_told() {
        let mut world = World::new();
        let web = GroupKey::Policy(name("web"));
        let rule = world.wanted[&web].first().unwrap().clone();
        let open = GroupRule { remote: Remote::Anyone, ..world.web().rules[0].rule.clone().unwrap() };
        world.web().rules[0].rule = Some(open.clone());
        let id = world.web().rules[0].id.clone();
        let expected = [Drift::NoRule(web.clone(), rule), Drift::StrangeRule(web.clone(), id, Some(open))];
        assert_eq!(world.audit(), expected);

        let mut world = World::new();
        world.web().key = GroupKey::Stray("np/x/web".into());
        let stray = Drift::StrangeGroup(GroupKey::Stray("np/x/web".into()), "np/x/web".into());
        let drift = world.audit();
        assert!(drift.contains(&Drift::NoGroup(web)) && drift.contains(&stray), "{drift:?}");
    }

    #[test]
    fn address_groups_that_differ_are_told() {
        let mut world = World::new();
        let (key, held) =
            world.held_peers.iter_mut().find(|(key, _)| matches!(key, PeerKey::Pods(..))).unwrap();
        let key = key.clone();
        let (meant, other) = (*held.addresses.first().unwrap(), "10.0.0.77/32".parse().unwrap());
        held.addresses = BTreeSet::from([other]);
        let expected =
            [Drift::NoAddresses(key.clone(), vec![meant]), Drift::StrangeAddresses(key.clone(), vec![other])];
        assert_eq!(world.audit(), expected);

        let mut world = World::new();
        world.held_peers.retain(|(held, _)| *held != key);
        let drift = world.audit();
        // The rule that names it can't be right either.
        assert!(drift.contains(&Drift::NoAddressGroup(key)), "{drift:?}");
        assert!(drift.iter().any(|one| matches!(one, Drift::NoRule(..))), "{drift:?}");
    }

    #[test]
    fn ports_that_carry_others_are_told() {
        let mut world = World::new();
        world.ports[0].carries = ["np/x/web", "default"].map(Into::into).into();
        let lacks = ["kuryr/isolated", "kuryr/open-egress"].map(ToOwned::to_owned).into();
        let carried = Carried { lacks, strange: ["default".into()].into() };
        assert_eq!(world.audit(), [Drift::Port(name("web"), "port-web".into(), carried)]);

        let mut world = World::new();
        world.ports[0].wanted = None;
        world.ports[0].carries = ["default".into()].into();
        assert_eq!(world.audit(), []);
    }
}
