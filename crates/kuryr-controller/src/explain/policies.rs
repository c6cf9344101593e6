//! What network policies want of a cluster, and what Neutron has of it: read by the controller's own code, from lists of what Kubernetes
//! says and from Neutron as it is now. What it means is told by `kuryr_core::policy`. Nothing is changed.
//!
//! ```text
//!   Said (lists) ───────────────► index_of                  without Neutron: what policies say
//!   Said, Neutron ── look ──────► Seen: index, groups, address groups, ports ──► drift, holdings
//! ```

use crate::policies::inventory::{families, list_ours, names, node_addresses, way};
use crate::policies::{Listed, Way, balancers, feed, key, name, translate};
use crate::ports::Ports;
use crate::reconcile::translate as pods;
use crate::settings::{PodDefaults, ServiceDefaults};
use crate::{network, relist, settings};
use anyhow::Context as _;
use kuryr_api::{AddressGroupId, PortId, SecurityGroupId};
use kuryr_config::Config;
use kuryr_core::network::PodNetwork;
use kuryr_core::policy::audit::{Audited, Carried, Drift, PodPort, audit, carried};
use kuryr_core::policy::held::{HeldAddresses, HeldGroup, Holdings};
use kuryr_core::policy::key::PeerKey;
use kuryr_core::policy::model::{Family, Name};
use kuryr_core::policy::plan::{Carriers, Held, HeldPeer};
use kuryr_core::policy::{Groups, Index, by_address};
use kuryr_core::port::Port;
use kuryr_k8s::Key;
use kuryr_k8s::slim::{
    BalancerRecord, EndpointSlice, Namespace, Network, NetworkPolicy, Node, Pod, PolicyRecord, PortRecord,
    Service,
};
use kuryr_openstack::Session;
use kuryr_openstack::neutron::{AddressGroupFilter, Neutron, PortFilter, SecurityGroup, SecurityGroupFilter};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

/// What Kubernetes says: all objects of each kind.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// Namespaces.
    pub namespaces: Vec<Arc<Namespace>>,
    /// Pods.
    pub pods: Vec<Arc<Pod>>,
    /// Records of pods' ports.
    pub records: Vec<Arc<PortRecord>>,
    /// Nodes.
    pub nodes: Vec<Arc<Node>>,
    /// Services.
    pub services: Vec<Arc<Service>>,
    /// Their endpoints.
    pub slices: Vec<Arc<EndpointSlice>>,
    /// Records of their load balancers.
    pub balancers: Vec<Arc<BalancerRecord>>,
    /// Policies.
    pub policies: Vec<Arc<NetworkPolicy>>,
    /// Records of policies.
    pub policy_records: Vec<Arc<PolicyRecord>>,
}

/// What Neutron has, and what is wanted there.
#[derive(Debug)]
pub struct Seen {
    /// Whether this configuration has policies enforced.
    pub is_enforced: bool,
    /// Address groups are not to be had: a rule for each address instead.
    pub by_address: bool,
    /// What is wanted.
    pub index: Index,
    /// The network of pods.
    pub network: PodNetwork,
    /// Groups of ours.
    pub groups: Vec<Held>,
    /// Address groups of ours.
    pub peers: Vec<(PeerKey, HeldPeer)>,
    /// Ports of pods.
    pub ports: BTreeMap<Name, Vec<Arc<Port>>>,
    /// Every group that a pod's port carries, whosever it is, and ours.
    pub holdings: Holdings,
}

impl Said {
    /// What is wanted, as far as Kubernetes tells it: pods have the addresses that their records name.
    pub fn index(&self) -> Index {
        let source = Lists::new(self, |_, record| recorded_addresses(record));
        let addresses = source.addresses.values().flatten();
        let families: BTreeSet<Family> = addresses.map(|address| Family::of(*address)).collect();
        let mut index = feed::index_of(&source, families);
        index.set_nodes(self.nodes.iter().flat_map(|node| node.addresses.iter().copied()).collect());
        index
    }

    /// Whether a pod is in its node's network: no policy is for it then.
    pub fn is_of_node(&self, pod: &Name) -> bool {
        let key = key(pod);
        self.pods.iter().any(|pod| pod.key == key && pod.network == Network::Host)
    }
}

impl Seen {
    /// Where Neutron differs from what is wanted.
    pub fn drift(&self) -> Vec<Drift> {
        let index = &self.index;
        let policies = index.policies().flat_map(|(name, _)| index.groups_of_policy(name));
        let wanted: Groups = index.shared_groups().into_iter().chain(policies).collect();
        let wanted = if self.by_address { by_address(&wanted, index) } else { wanted };
        let keys = if self.by_address { Vec::new() } else { index.peer_keys() };
        let peers = keys.into_iter().filter_map(|key| Some((key.clone(), index.addresses_of(&key)?)));
        audit(&Audited {
            wanted: &wanted,
            held: &self.groups,
            peers: &peers.collect(),
            held_peers: &self.peers,
            ports: &self.ports.keys().flat_map(|pod| self.ports_of(pod)).collect::<Vec<_>>(),
            default: &self.default_groups(),
        })
    }

    /// How what each port of a pod carries differs from what it should.
    pub fn carried_by(&self, pod: &Name) -> Vec<(PortId, Carried)> {
        let default = self.default_groups();
        let ports = self.ports_of(pod).into_iter();
        ports.map(|port| (port.port.clone(), carried(&self.groups, &default, &port))).collect()
    }

    fn default_groups(&self) -> BTreeSet<SecurityGroupId> {
        self.network.security_groups.iter().cloned().collect()
    }

    fn ports_of(&self, pod: &Name) -> Vec<PodPort> {
        let ports = self.ports.get(pod).into_iter().flatten();
        let port = |port: &Arc<Port>| PodPort {
            pod: pod.clone(),
            port: port.id.clone(),
            carries: port.security_groups.clone(),
            wanted: self.index.groups_of(pod),
        };
        ports.map(port).collect()
    }
}

/// Looks at Neutron. `own_tag` is the tag of what this cluster's Kuryr has made.
///
/// # Errors
/// Neutron can't be asked, or lacks what the configuration names.
pub async fn look(session: Session, config: &Config, own_tag: &str, said: &Said) -> anyhow::Result<Seen> {
    let defaults = settings::pod_defaults(config)?;
    let is_enforced = settings::policy_defaults(config).is_some();
    let services = settings::service_defaults(config);
    look_by(Neutron::new(session), &defaults, services.as_ref(), is_enforced, own_tag, said).await
}

/// A look with what the configuration says.
pub(crate) async fn look_by(
    neutron: Neutron,
    defaults: &PodDefaults,
    services: Option<&ServiceDefaults>,
    is_enforced: bool,
    own_tag: &str,
    said: &Said,
) -> anyhow::Result<Seen> {
    let network = network::read(&neutron, defaults, own_tag).await?;
    let ports =
        list_ports(&neutron, own_tag, said).await.context("failed to list the ports of pods in Neutron")?;
    let ports_of = |pod: &Pod, record: Option<&PortRecord>| feed::ports_of(&ports, pod, record);
    let source = Lists::new(said, |pod, record| {
        let ports = ports_of(pod, record).into_values();
        ports.flat_map(|port| port.addresses.clone()).map(|(_, address)| address).collect()
    });
    let mut index = feed::index_of(&source, families(&network));
    let nodes = node_addresses(&neutron, &said.nodes, Some(&network)).await;
    index.set_nodes(nodes.context("failed to look for the nodes' own ports in Neutron")?);
    let balancers = balancers::ranges(&neutron, services, &said.balancers).await;
    index.set_balancers(balancers.context("failed to read the subnets of Services in Neutron")?);
    let way = way(&neutron).await.context("failed to list the extensions of Neutron")?;
    let listed = list_ours(&neutron, own_tag, &names(&index), &said.policy_records, way).await;
    let listed = listed.context("failed to list the security groups of network policies in Neutron")?;
    let of_pod = |pod: &Arc<Pod>| {
        let name = name(&pod.key);
        index.pod(&name)?;
        Some((name, ports_of(pod, source.record(pod)).into_values().collect()))
    };
    let ports: BTreeMap<Name, Vec<Arc<Port>>> = said.pods.iter().filter_map(of_pod).collect();
    let carried = ports.values().flatten().flat_map(|port| port.security_groups.iter().cloned()).collect();
    let holdings =
        holdings(&neutron, &listed, carried).await.context("failed to read security groups in Neutron")?;
    Ok(Seen {
        is_enforced,
        by_address: way == Way::Addresses,
        groups: held_groups(&listed, &ports),
        peers: held_peers(&listed),
        index,
        network,
        ports,
        holdings,
    })
}

/// Those with our tag, and those that records name, as the controller lists them.
async fn list_ports(neutron: &Neutron, own_tag: &str, said: &Said) -> kuryr_openstack::Result<Ports> {
    let ports = Ports::default();
    let tagged = PortFilter { tags: vec![own_tag.to_owned()], ..PortFilter::default() };
    for port in neutron.ports(&tagged).await? {
        ports.insert(pods::port(&port, own_tag));
    }
    let untagged: Vec<PortId> =
        relist::recorded(&said.records).filter(|id| ports.get(id).is_none()).collect();
    if !untagged.is_empty() {
        let named = PortFilter { ids: Some(untagged), ..PortFilter::default() };
        for port in neutron.ports(&named).await? {
            ports.insert(pods::port(&port, own_tag));
        }
    }
    Ok(ports)
}

fn held_groups(listed: &Listed, ports: &BTreeMap<Name, Vec<Arc<Port>>>) -> Vec<Held> {
    let carried: BTreeSet<&SecurityGroupId> =
        ports.values().flatten().flat_map(|port| &port.security_groups).collect();
    let held = |(key, id, rules): &(_, SecurityGroupId, Vec<_>)| Held {
        key: Clone::clone(key),
        id: id.clone(),
        rules: rules.clone(),
        carriers: if carried.contains(id) { Carriers::Settled } else { Carriers::None },
    };
    listed.groups.iter().map(held).collect()
}

fn held_peers(listed: &Listed) -> Vec<(PeerKey, HeldPeer)> {
    let rules = listed.groups.iter().flat_map(|(_, _, rules)| rules);
    let used: BTreeSet<&AddressGroupId> = rules.filter_map(|held| held.rule.as_ref()?.group()).collect();
    let held = |(key, id, addresses): &(PeerKey, AddressGroupId, BTreeSet<_>)| {
        (key.clone(), HeldPeer { id: id.clone(), addresses: addresses.clone(), used: used.contains(id) })
    };
    listed.peers.iter().map(held).collect()
}

/// Ours, and others that ports carry, with the address groups that those name.
async fn holdings(
    neutron: &Neutron,
    listed: &Listed,
    carried: BTreeSet<SecurityGroupId>,
) -> kuryr_openstack::Result<Holdings> {
    let ours = listed
        .groups
        .iter()
        .map(|(key, id, rules)| (id.clone(), HeldGroup { name: key.name(), rules: rules.clone() }));
    let mut groups: BTreeMap<_, _> = ours.collect();
    let named = listed.peers.iter().map(|(key, id, addresses)| {
        (id.clone(), HeldAddresses { name: key.name(), addresses: addresses.clone() })
    });
    let mut addresses: BTreeMap<_, _> = named.collect();
    let others: Vec<SecurityGroupId> = carried.into_iter().filter(|id| !groups.contains_key(id)).collect();
    if !others.is_empty() {
        let filter = SecurityGroupFilter { ids: Some(others), ..SecurityGroupFilter::default() };
        let found = neutron.security_groups(&filter).await?;
        groups.extend(found.iter().map(|group| (group.id.clone(), foreign(group))));
    }
    let rules = groups.values().flat_map(|group| &group.rules);
    let named = rules.filter_map(|held| held.rule.as_ref()?.group());
    let missing: BTreeSet<AddressGroupId> =
        named.filter(|id| !addresses.contains_key(*id)).cloned().collect();
    if !missing.is_empty() {
        let ids = Some(missing.into_iter().collect());
        for group in
            neutron.address_groups(&AddressGroupFilter { ids, ..AddressGroupFilter::default() }).await?
        {
            addresses.insert(group.id, HeldAddresses { name: group.name, addresses: group.addresses });
        }
    }
    Ok(Holdings { groups, addresses })
}

/// A group that is not ours. What it says of ICMP and the like decides about no connection.
fn foreign(group: &SecurityGroup) -> HeldGroup {
    let rules = group.rules.iter().filter(|held| translate::has_ports(&held.rule));
    HeldGroup { name: group.name.clone(), rules: rules.map(translate::held).collect() }
}

/// Lists as a source of an index.
struct Lists<'a> {
    said: &'a Said,
    records: HashMap<&'a Key, &'a PortRecord>,
    slices: HashMap<Key, Vec<Arc<EndpointSlice>>>,
    addresses: HashMap<&'a Key, BTreeSet<IpAddr>>,
}

impl<'a> Lists<'a> {
    fn new(said: &'a Said, addresses: impl Fn(&Pod, Option<&PortRecord>) -> BTreeSet<IpAddr>) -> Self {
        let records: HashMap<_, _> = said.records.iter().map(|record| (&record.key, &**record)).collect();
        let mut slices: HashMap<Key, Vec<_>> = HashMap::new();
        for slice in &said.slices {
            slices.entry(Key::new(slice.key.namespace(), &slice.service)).or_default().push(slice.clone());
        }
        let of = |pod: &'a Arc<Pod>| {
            let record = records.get(&pod.key).filter(|record| record.pod_uid == pod.uid);
            (&pod.key, addresses(pod, record.copied()))
        };
        let addresses = said.pods.iter().map(of).collect();
        Self { said, records, slices, addresses }
    }

    fn record(&self, pod: &Pod) -> Option<&'a PortRecord> {
        self.records.get(&pod.key).copied()
    }
}

impl feed::Source for Lists<'_> {
    fn namespaces(&self) -> Vec<Arc<Namespace>> {
        self.said.namespaces.clone()
    }

    fn pods(&self) -> Vec<Arc<Pod>> {
        self.said.pods.clone()
    }

    fn services(&self) -> Vec<Arc<Service>> {
        self.said.services.clone()
    }

    fn policies(&self) -> Vec<Arc<NetworkPolicy>> {
        self.said.policies.clone()
    }

    fn slices_of(&self, service: &Key) -> Vec<Arc<EndpointSlice>> {
        self.slices.get(service).cloned().unwrap_or_default()
    }

    fn addresses(&self, pod: &Pod) -> BTreeSet<IpAddr> {
        self.addresses.get(&pod.key).cloned().unwrap_or_default()
    }
}

fn recorded_addresses(record: Option<&PortRecord>) -> BTreeSet<IpAddr> {
    let vifs = record.into_iter().flat_map(|record| record.content.vifs());
    let subnets = vifs.flat_map(|(_, entry)| &entry.vif.base().network.0.subnets.0.objects);
    let addresses = subnets.flat_map(|subnet| &subnet.0.ips.0.objects);
    addresses.filter_map(|address| address.0.address.parse().ok()).collect()
}
