//! Looks at all our ports in Neutron: once at the start, then slowly, to notice what others changed and what nobody needs.

use crate::context::Context;
use crate::driver::Driver;
use crate::metrics::{Resource, Subnet};
use crate::network;
use crate::pairs;
use crate::policies;
use crate::reconcile::translate;
use crate::trunks;
use futures::{StreamExt, TryStreamExt, future, stream};
use kuryr_api::PortId;
use kuryr_api::vif::Vif;
use kuryr_core::carrier::Place;
use kuryr_core::orphan;
use kuryr_core::port::{Ownership, Port};
use kuryr_k8s::slim::PortRecord;
use kuryr_openstack::Kind;
use kuryr_openstack::neutron::{PortFilter, Quota, Quotas};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::time::Instant;

/// How often everything is listed again. Nothing depends on it but the repair of what others broke.
const PERIOD: Duration = Duration::from_mins(10);
/// Neutron may still be at work for a controller that died when this one lists its ports, and after a time in which it was away it
/// may not have known them all: it is listed again soon after, first when a usual request has ended, then when the slowest has.
const SOON: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(35)];
/// Between two looks that outages call for.
const REST: Duration = Duration::from_secs(30);
/// How many ports that a list does not show are asked for by themselves at the same time.
const AT_ONCE: usize = 8;
/// First and longest pause while Neutron does not answer.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Why a look failed.
#[derive(Debug, Error)]
pub enum Error {
    /// The network is not known.
    #[error(transparent)]
    Network(#[from] network::Error),
    /// The security groups of network policies can't be listed.
    #[error("failed to list the security groups of network policies in Neutron")]
    ListGroups(#[source] kuryr_openstack::Error),
    /// The trunks can't be listed.
    #[error("failed to list trunks in Neutron")]
    ListTrunks(#[source] kuryr_openstack::Error),
    /// The ports that may be those of nodes can't be listed.
    #[error("failed to list the ports of nodes in Neutron")]
    ListParents(#[source] kuryr_openstack::Error),
    /// The ports can't be listed.
    #[error("failed to list our ports in Neutron")]
    List(#[source] kuryr_openstack::Error),
}

/// A look, repeated until it succeeds. `report` hears of each failure.
pub async fn once(context: &Context, mut report: impl FnMut(&Error)) {
    let mut pause = PAUSES.0;
    while let Err(error) = look(context).await {
        report(&error);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// The slow looks. Runs until it is dropped.
pub async fn run(context: &Context) {
    let mut soon = SOON.into_iter();
    let mut next = after(&mut soon);
    let mut rested = Instant::now();
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = context.outage_over.notified() => {
                soon = SOON.into_iter();
                // One outage after another neither puts the look off nor makes a server that is busy list all the time.
                next = next.min(after(&mut soon).max(rested));
                continue;
            }
        }
        once(context, |error| {
            tracing::warn!(error = chain(error), "failed to list what is in Neutron");
            soon = SOON.into_iter();
        })
        .await;
        context.look_at_all();
        next = after(&mut soon);
        rested = Instant::now() + REST;
    }
}

fn after(soon: &mut impl Iterator<Item = Duration>) -> Instant {
    Instant::now() + soon.next().unwrap_or(PERIOD)
}

async fn look(context: &Context) -> Result<(), Error> {
    let network = network::read(&context.neutron, &context.defaults, &context.own_tag).await?;
    *context.network.write() = Some(Arc::new(network));
    context.ports.begin_relist();
    let filter = PortFilter { tags: vec![context.own_tag.clone()], ..PortFilter::default() };
    let listed = context.neutron.ports(&filter).await.map_err(Error::List)?;
    let mut found: Vec<_> = listed.iter().map(|port| translate::port(port, &context.own_tag)).collect();
    let shown: HashSet<PortId> = found.iter().map(|port| port.id.clone()).collect();
    let records = context.caches.records.all();
    let unseen = context.ports.unseen(&shown).into_iter();
    let unseen: HashSet<_> = unseen.chain(recorded(&records).filter(|id| !shown.contains(id))).collect();
    let unseen: Vec<_> = unseen.into_iter().collect();
    found.extend(find(context, &unseen).await.map_err(Error::List)?);
    context.ports.end_relist(&unseen, found);
    claim_recorded(context, &records);
    if needs_trunks(context, &records) {
        trunks::relist(&context.trunks, &context.neutron).await.map_err(Error::ListTrunks)?;
    }
    let needs_pairs = needs_pairs(context, &records);
    if needs_pairs {
        let listed =
            pairs::relist(&context.pairs, &context.neutron, &context.defaults.workers, &context.own_tag);
        listed.await.map_err(Error::ListParents)?;
    }
    if let Some(policies) = &context.policies {
        policies::look(context, policies).await.map_err(Error::ListGroups)?;
    }
    sweep(context, &records).await;
    if needs_pairs {
        pairs::sweep(context).await;
    }
    quotas(context).await;
    addresses(context).await;
    Ok(())
}

/// Puts right what is known of these ports.
pub async fn look_up(context: &Context, ids: Vec<PortId>) -> Result<(), kuryr_openstack::Error> {
    let found = find(context, &ids).await?;
    context.ports.looked_up(&ids, found);
    Ok(())
}

/// Those of the ports that exist. One that a list does not show is asked for by itself.
async fn find(context: &Context, ids: &[PortId]) -> Result<Vec<Port>, kuryr_openstack::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let filter = PortFilter { ids: Some(ids.to_vec()), ..PortFilter::default() };
    let shown = context.neutron.ports(&filter).await?;
    let mut found: Vec<_> = shown.iter().map(|port| translate::port(port, &context.own_tag)).collect();
    let listed: HashSet<&PortId> = shown.iter().map(|port| &port.id).collect();
    let unseen: Vec<PortId> = ids.iter().filter(|id| !listed.contains(id)).cloned().collect();
    let asked =
        stream::iter(unseen).map(async |id| context.neutron.find_port(&id).await).buffer_unordered(AT_ONCE);
    let left_out: Vec<_> = asked.try_filter_map(future::ok).try_collect().await?;
    found.extend(left_out.iter().map(|port| translate::port(port, &context.own_tag)));
    Ok(found)
}

/// The ports that records name.
pub fn recorded(records: &[Arc<PortRecord>]) -> impl Iterator<Item = PortId> {
    let vifs = records.iter().flat_map(|record| record.content.vifs());
    vifs.map(|(_, entry)| entry.vif.base().id.as_str().into())
}

/// Which warm ports pods have is known from records alone.
fn claim_recorded(context: &Context, records: &[Arc<PortRecord>]) {
    for record in records {
        for (_, entry) in record.content.vifs() {
            context.ports.claim(&entry.vif.base().id.as_str().into(), &record.key, &record.pod_uid);
        }
    }
}

/// Whether any node's pods are, or were, on a trunk.
fn needs_trunks(context: &Context, records: &[Arc<PortRecord>]) -> bool {
    let default = context.defaults.driver;
    let is_nested = |vif: &Vif| matches!(vif, Vif::VlanNested(_));
    default == Driver::NestedVlan
        || context.caches.nodes.all().iter().any(|node| default.of(node) == Ok(Driver::NestedVlan))
        || records.iter().any(|record| record.content.vifs().any(|(_, entry)| is_nested(&entry.vif)))
}

/// Whether any node's pods share its link, or did.
fn needs_pairs(context: &Context, records: &[Arc<PortRecord>]) -> bool {
    let default = context.defaults.driver;
    let is_shared = |driver: Driver| driver.sharing().is_some();
    let is_carried = |port: &Port| {
        port.ownership == Ownership::Ours && port.host.is_empty() && context.trunks.place(&port.id).is_none()
    };
    is_shared(default)
        || context.caches.nodes.all().iter().any(|node| default.of(node).is_ok_and(is_shared))
        || records
            .iter()
            .any(|record| record.content.vifs().any(|(_, entry)| translate::sharing(&entry.vif).is_some()))
        || context.ports.all().iter().any(|port| is_carried(port))
}

/// Deletes ports of ours that neither a pod nor a record needs. A failure waits for the next look.
async fn sweep(context: &Context, records: &[Arc<PortRecord>]) {
    let pods = context.caches.pods.all();
    let uids: HashSet<&str> = pods.iter().map(|pod| &*pod.uid).collect();
    let recorded: Vec<PortId> = recorded(records).collect();
    let recorded: HashSet<&PortId> = recorded.iter().collect();
    let ports = context.ports.all();
    let nodes = context.pools.as_ref().map(|_| context.caches.nodes.all()).unwrap_or_default();
    let pooled: HashSet<&str> = nodes.iter().map(|node| node.key.name()).collect();
    for id in orphan::plan(ports.iter().map(Arc::as_ref), &uids, &recorded, &pooled) {
        match delete(context, &id).await {
            Ok(()) => {
                tracing::info!(port = %id, "deleted a port that no pod and no record needs");
                context.ports.remove(&id);
            }
            Err(error) => {
                tracing::warn!(port = %id, error = chain(&error), "failed to delete an orphaned port");
            }
        }
    }
    let ours = ports.iter().filter(|port| port.ownership == Ownership::Ours).count();
    tracing::info!(ports = ours, records = records.len(), pods = pods.len(), "looked at what is in Neutron");
}

/// Deletes a port in Neutron, which deletes none that a trunk carries, and leaves its addresses where they are another's pairs. Where one does that we did not know to do so, we know it then.
pub async fn delete(context: &Context, id: &PortId) -> Result<(), trunks::ChangeError> {
    detach(context, id).await?;
    match context.neutron.delete_port(id).await {
        Err(error) if error.kind() == Kind::Conflict => {
            trunks::relist(&context.trunks, &context.neutron).await?;
            detach(context, id).await?;
            context.neutron.delete_port(id).await?;
        }
        deleted => drop(deleted?),
    }
    Ok(())
}

async fn detach(context: &Context, id: &PortId) -> Result<(), trunks::ChangeError> {
    if let Some(place) = context.trunks.place(id) {
        return context.trunks.detach(&context.neutron, &place.trunk, id).await;
    }
    let Some(port) = context.ports.get(id) else { return Ok(()) };
    match context.place(&port) {
        Some(Place::Pairs(parent, _)) => context.pairs.detach(&context.neutron, &parent, &port).await?,
        Some(Place::Server(server)) => context.nova.detach_interface(&server, id).await?,
        Some(Place::Trunk(_)) | None => {}
    }
    Ok(())
}

/// How much the project of pods' ports may have, if Neutron tells.
pub async fn read_quotas(context: &Context) -> Option<Quotas> {
    let project = match &context.defaults.project {
        Some(project) => project.as_str().into(),
        None => context.neutron.session().project().await.ok().flatten()?,
    };
    let read = context.neutron.quotas(&project).await;
    read.inspect_err(|error| tracing::debug!(error = error.chain(), "failed to read the quotas")).ok()
}

async fn quotas(context: &Context) {
    let Some(quotas) = read_quotas(context).await else { return };
    context.capacity.know(&quotas.port, context.ports.len());
    if let Some(policies) = &context.policies {
        policies.allowance.know(&quotas);
    }
    let floating_ips = quotas.floatingip.as_ref().map(|quota| ("floating_ips", quota));
    let always = [
        ("ports", &quotas.port),
        ("networks", &quotas.network),
        ("subnets", &quotas.subnet),
        ("security_groups", &quotas.security_group),
        ("security_group_rules", &quotas.security_group_rule),
    ];
    for (resource, quota) in always.into_iter().chain(floating_ips) {
        context.metrics.quota_free.get_or_create(&Resource { resource }).set(free(quota));
    }
}

/// Ports that the pods' subnets have addresses for. An administrator's right by default, and not needed for anything else.
async fn addresses(context: &Context) {
    let Some(network) = context.network() else { return };
    let subnets = match context.neutron.subnet_availability(&network.id).await {
        Ok(subnets) => subnets,
        Err(error) => {
            return tracing::debug!(error = error.chain(), "failed to read what addresses are left");
        }
    };
    for subnet in
        subnets.iter().filter(|subnet| network.subnets.iter().any(|ours| ours.id == subnet.subnet_id))
    {
        let labels =
            Subnet { subnet_id: subnet.subnet_id.to_string(), subnet_name: subnet.subnet_name.clone() };
        context.metrics.subnet_free.get_or_create(&labels).set(subnet.free());
    }
}

fn free(quota: &Quota) -> i64 {
    quota.free().map_or(-1, |free| i64::try_from(free).unwrap_or(i64::MAX))
}

/// An error with its causes, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
