//! Looks at our groups in Neutron: once at the start, then with each look at the ports, to notice what others changed.

use super::store::{Listed, Relist};
use super::{Policies, Way, balancers, translate};
use crate::context::Context;
use crate::relist::chain;
use kuryr_api::SecurityGroupId;
use kuryr_core::network::PodNetwork;
use kuryr_core::policy::Index;
use kuryr_core::policy::key::{GroupKey, PeerKey};
use kuryr_core::policy::model::Family;
use kuryr_k8s::slim::{Node, PolicyRecord};
use kuryr_openstack::Result;
use kuryr_openstack::neutron::{AddressGroupFilter, Neutron, PortFilter, SecurityGroup, SecurityGroupFilter};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// A node's own port on the pods' network, where it has one, is called so, and the node's name.
const NODE_PORT: &str = "kubelet-";
/// Pause after Neutron did not tell the nodes' addresses.
const PAUSE: Duration = Duration::from_secs(5);

/// A look: fills the index when it is the first, and lists what exists.
pub async fn look(context: &Context, policies: &Policies) -> Result<()> {
    let way = way(&context.neutron).await?;
    if std::mem::replace(&mut *policies.way.lock(), way) != way {
        tracing::warn!(
            "Neutron has no address groups (extension address-group): network policies need a rule for each address of each peer, \
             which the quota of rules limits"
        );
    }
    let network = context.network();
    let defaults = context.services.as_ref().map(|services| &services.defaults);
    let balancers = balancers::ranges(&context.neutron, defaults, &context.caches.balancers.all()).await?;
    policies.fill(context, network.iter().flat_map(|network| families(network)), balancers.clone());
    policies.let_in(balancers);
    read_nodes(context, policies).await?;
    list(context, policies).await?;
    let (groups, peers) = policies.store.len();
    tracing::info!(groups, address_groups = peers, "looked at the security groups of network policies");
    Ok(())
}

/// How peers are named in rules on this cloud.
pub(crate) async fn way(neutron: &Neutron) -> Result<Way> {
    let extensions = neutron.extensions().await?;
    Ok(if extensions.address_groups() { Way::Groups } else { Way::Addresses })
}

/// Lists what exists again, where Neutron does not know what we do.
pub async fn verify(context: &Context, policies: &Policies) -> Result<()> {
    list(context, policies).await?;
    policies.look_at_all();
    Ok(())
}

/// Keeps the nodes' addresses current. Runs until it is dropped.
pub async fn run(context: &Context) {
    let Some(policies) = &context.policies else { return };
    loop {
        policies.nodes_changed().await;
        while let Err(error) = read_nodes(context, policies).await {
            tracing::warn!(why = chain(&error), "failed to look for the nodes' own ports");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn read_nodes(context: &Context, policies: &Policies) -> Result<()> {
    let (nodes, network) = (context.caches.nodes.all(), context.network());
    let addresses = node_addresses(&context.neutron, &nodes, network.as_deref()).await?;
    policies.set_nodes(context, addresses);
    Ok(())
}

/// Nodes are known by the addresses that Kubernetes tells, and by those of a port on the pods' network that is called
/// `kubelet-` and the node's name, by which a node that is no machine of the cloud reaches pods.
pub(crate) async fn node_addresses(
    neutron: &Neutron,
    nodes: &[Arc<Node>],
    network: Option<&PodNetwork>,
) -> Result<BTreeSet<IpAddr>> {
    let mut addresses: BTreeSet<IpAddr> =
        nodes.iter().flat_map(|node| node.addresses.iter().copied()).collect();
    if let Some(network) = network {
        let names: HashSet<String> =
            nodes.iter().map(|node| format!("{NODE_PORT}{}", node.key.name())).collect();
        let fields = &["name", "fixed_ips"];
        let names = Some(names.into_iter().collect());
        let filter = PortFilter { network: Some(network.id.clone()), names, fields, ..PortFilter::default() };
        let ports = neutron.ports(&filter).await?;
        addresses.extend(ports.iter().flat_map(|port| &port.fixed_ips).map(|ip| ip.ip_address));
    }
    Ok(addresses)
}

/// The families that pods on this network have addresses of.
pub(crate) fn families(network: &PodNetwork) -> BTreeSet<Family> {
    network.subnets.iter().map(|subnet| Family::of(subnet.cidr.addr())).collect()
}

async fn list(context: &Context, policies: &Policies) -> Result<()> {
    let relist = policies.store.begin_relist();
    let known = policies.ask(names).unwrap_or_default();
    let records = context.caches.policy_records.all();
    let mut listed = list_ours(&context.neutron, &context.own_tag, &known, &records, policies.way()).await?;
    ask_for_unseen(&context.neutron, &relist, &mut listed).await?;
    relist.end(listed);
    Ok(())
}

/// A Neutron that has just started leaves out of lists what it can't tell yet who may see; it says by name what is gone.
async fn ask_for_unseen(neutron: &Neutron, relist: &Relist<'_>, listed: &mut Listed) -> Result<()> {
    for (key, id) in relist.unseen_groups(listed) {
        if let Some(group) = neutron.find_security_group(&id).await? {
            listed.groups.push((key, id, rules(&group)));
        }
    }
    for (key, id) in relist.unseen_peers(listed) {
        if let Some(group) = neutron.find_address_group(&id).await? {
            listed.peers.push((key, id, group.addresses));
        }
    }
    Ok(())
}

/// Ours are known by their description, which a group has from its first moment on.
pub(crate) async fn list_ours(
    neutron: &Neutron,
    own_tag: &str,
    known: &Names,
    records: &[Arc<PolicyRecord>],
    way: Way,
) -> Result<Listed> {
    let description = Some(own_tag.to_owned());
    let filter = SecurityGroupFilter { description: description.clone(), ..SecurityGroupFilter::default() };
    let mut listed = Listed::default();
    for group in neutron.security_groups(&filter).await? {
        let key = known.groups.get(&group.name).cloned();
        let key = key.unwrap_or_else(|| GroupKey::Stray(group.name.as_str().into()));
        listed.groups.push((key, group.id.clone(), rules(&group)));
    }
    adopt(neutron, records, &mut listed).await?;
    if way == Way::Groups {
        let filter = AddressGroupFilter { description, ..AddressGroupFilter::default() };
        for group in neutron.address_groups(&filter).await? {
            let key = known.peers.get(&group.name).cloned();
            let key = key.unwrap_or_else(|| PeerKey::Stray(group.name.as_str().into()));
            listed.peers.push((key, group.id, group.addresses));
        }
    }
    Ok(listed)
}

/// Groups that the Python Kuryr made are known by its records.
async fn adopt(neutron: &Neutron, records: &[Arc<PolicyRecord>], listed: &mut Listed) -> Result<()> {
    let ours: HashSet<SecurityGroupId> = listed.groups.iter().map(|(_, id, _)| id.clone()).collect();
    let recorded = records.iter().filter_map(|record| {
        let id: SecurityGroupId = record.status.security_group_id.as_deref()?.into();
        (!ours.contains(&id)).then(|| (id, super::name(&record.key)))
    });
    let recorded: HashMap<_, _> = recorded.collect();
    if recorded.is_empty() {
        return Ok(());
    }
    let ids = Some(recorded.keys().cloned().collect());
    let filter = SecurityGroupFilter { ids, ..SecurityGroupFilter::default() };
    for group in neutron.security_groups(&filter).await? {
        if let Some(name) = recorded.get(&group.id) {
            listed.groups.push((GroupKey::Policy(name.clone()), group.id.clone(), rules(&group)));
        }
    }
    Ok(())
}

fn rules(group: &SecurityGroup) -> Vec<kuryr_core::policy::plan::HeldRule> {
    group.rules.iter().map(translate::held).collect()
}

/// What things are called in Neutron.
#[derive(Default)]
pub(crate) struct Names {
    groups: HashMap<String, GroupKey>,
    peers: HashMap<String, PeerKey>,
}

/// What everything that is wanted is called.
pub(crate) fn names(index: &Index) -> Names {
    let policies = index.policies().flat_map(|(name, _)| index.groups_of_policy(name).into_keys());
    let groups = GroupKey::SHARED.into_iter().chain(policies);
    Names {
        groups: groups.map(|key| (key.name(), key)).collect(),
        peers: index.peer_keys().into_iter().map(|key| (key.name(), key)).collect(),
    }
}
