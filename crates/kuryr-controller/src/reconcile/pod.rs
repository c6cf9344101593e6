//! Keeps every pod's port as the planner wants it.

pub(super) mod carrier;
mod ports;

use super::error::Error;
use super::{Next, Outcome, ROUNDS, SEEN_WITHIN, noted, tell_pod, translate};
use crate::context::Context;
use crate::pools;
use crate::relist;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use kuryr_api::port::{KuryrPort, KuryrPortSpec, KuryrPortStatus, Vifs};
use kuryr_api::{PortId, names};
use kuryr_core::network::PodNetwork;
use kuryr_core::news::News;
use kuryr_core::pod::{Action, Carrier, Namespace, NewRecord, Observed, Place, Plugging, Security, plan};
use kuryr_core::port::{Binding, Port};
use kuryr_k8s::Key;
use kuryr_k8s::records::{self, Written};
use kuryr_k8s::slim::{Node, Pod, PortRecord};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What we look at, held so that planners can borrow it.
struct Seen {
    pod: Option<Arc<Pod>>,
    node: Option<Arc<Node>>,
    record: Option<Arc<PortRecord>>,
    ports: Vec<Port>,
    pooled: BTreeMap<PortId, Plugging>,
    carrier: Carrier,
    carried: BTreeMap<PortId, Place>,
    namespace: Namespace,
    failures: u32,
}

/// Looks at the pod called `key` and does what is to be done.
pub async fn reconcile(context: &Context, key: &Key) -> Result<Next, Error> {
    let next = settle(context, key).await;
    context.capacity.changed.notify_one();
    if let Err(error) = &next
        && let Some(news) = error.news()
    {
        tell(context, key, context.caches.pods.get(key).as_deref(), news).await;
    }
    next
}

async fn settle(context: &Context, key: &Key) -> Result<Next, Error> {
    for _ in 0..ROUNDS {
        let seen = observe(context, key).await?;
        let network = context.network().ok_or(Error::NetworkUnknown)?;
        let security = security(context, key, &network);
        let actions = plan(&seen.view(key, &network, security));
        let mut changed = false;
        for action in actions {
            match apply(context, key, &seen, action).await? {
                Outcome::Visible => changed = true,
                Outcome::Unseen => return Ok(Next::Within(SEEN_WITHIN)),
                Outcome::Later => return Ok(Next::Later),
                Outcome::Same => {}
            }
        }
        if !changed {
            return Ok(Next::OnChange);
        }
    }
    Err(Error::Restless)
}

impl Seen {
    fn view<'s>(&'s self, key: &Key, network: &'s PodNetwork, security: Security) -> Observed<'s> {
        Observed {
            name: key.to_string(),
            pod: self.pod.as_deref().map(|pod| translate::pod(pod, self.node.as_deref())),
            record: self.record.as_deref().map(translate::record),
            ports: self.ports.clone(),
            pooled: self.pooled.clone(),
            carrier: self.carrier.clone(),
            carried: self.carried.clone(),
            network,
            security,
            namespace: self.namespace,
            failures: self.failures,
        }
    }
}

/// Where policies are not enforced, every port gets the same groups, once.
fn security(context: &Context, key: &Key, network: &PodNetwork) -> Security {
    match &context.policies {
        None => Security::Initial(network.security_groups.iter().cloned().collect()),
        Some(policies) => policies.security_of(key, network),
    }
}

async fn observe(context: &Context, key: &Key) -> Result<Seen, Error> {
    let caches = &context.caches;
    let pod = caches.pods.get(key);
    let record = caches.records.get(key);
    let node = pod.as_ref().and_then(|pod| caches.nodes.get(&Key::new("", pod.node.as_deref()?)));
    let namespace = caches.namespaces.get(&Key::new("", key.namespace()));
    let recorded = recorded(record.as_deref());
    if let (Some(_), Some(record)) = (&context.pools, &record) {
        for id in &recorded {
            context.ports.claim(id, key, &record.pod_uid);
        }
    }
    let made = || context.ports.of(key, pod.as_deref().map(|pod| &*pod.uid));
    let carrier = carrier::find(context, pod.as_deref(), node.as_deref(), record.as_deref()).await?;
    look_up_unclear(context, &carrier, &recorded, &made()).await?;
    let made = made();
    if let Some(policies) = &context.policies {
        policies.refresh_pod(context, key);
    }
    let named = recorded.iter().filter_map(|id| context.ports.get(id));
    let ports: BTreeMap<_, _> = made.into_iter().chain(named).map(|port| (port.id.clone(), port)).collect();
    let pooled = pools::plugging(context, record.as_deref(), ports.values());
    let places = ports.values().filter_map(|port| Some((port.id.clone(), context.place(port)?))).collect();
    Ok(Seen {
        pod,
        node,
        record,
        ports: ports.into_values().map(|port| (*port).clone()).collect(),
        pooled,
        carrier,
        carried: places,
        namespace: match namespace {
            Some(namespace) if namespace.terminating => Namespace::Terminating,
            _ => Namespace::Open,
        },
        failures: context.queue.failures(key),
    })
}

fn recorded(record: Option<&PortRecord>) -> Vec<PortId> {
    let vifs = record.into_iter().flat_map(|record| record.content.vifs());
    vifs.map(|(_, entry)| entry.vif.base().id.as_str().into()).collect()
}

/// Asks Neutron for ports that a record names and that we have not heard of, and again for those that it had not bound:
/// a list that comes while another process makes a port shows it before its binding. One that a virtual machine carries never has any.
async fn look_up_unclear(
    context: &Context,
    carrier: &Carrier,
    recorded: &[PortId],
    made: &[Arc<Port>],
) -> Result<(), Error> {
    let ports = &context.ports;
    let unknown = recorded.iter().filter(|id| ports.get(id).is_none() && !ports.is_missing(id));
    let is_unclear = |port: &&Arc<Port>| {
        let is_host = matches!(carrier, Carrier::Host | Carrier::Function);
        is_host && port.binding == Binding::Unbound && context.place(port).is_none()
    };
    let unbound = made.iter().filter(is_unclear).map(|port| &port.id);
    let unclear = unknown.chain(unbound).cloned().collect();
    relist::look_up(context, unclear).await.map_err(Error::LookUp)
}

async fn apply(context: &Context, key: &Key, seen: &Seen, action: Action) -> Result<Outcome, Error> {
    match action {
        Action::CreatePort(request) => ports::obtain_port(context, key, &request).await,
        Action::Attach(id, bearer) => carrier::attach(context, key, &id, &bearer).await,
        Action::Detach(id, bearer) => carrier::detach(context, key, &id, &bearer).await,
        Action::DeletePort(id) => ports::delete_port(context, key, &id).await,
        Action::ReturnPort(id) => ports::return_port(context, key, &id).await,
        Action::AwaitUnplugging(ids) => {
            pools::await_unplugging(context, &ids);
            Ok(Outcome::Same)
        }
        Action::Secure(id, groups) => ports::secure(context, key, &id, groups).await,
        Action::TagPort(id) => ports::tag_port(context, key, &id).await,
        Action::Record(new) => write(context, key, seen, new).await,
        Action::Activate(interfaces) => {
            let Some(record) = &seen.record else { return Ok(Outcome::Same) };
            context.metrics.wrote("activate_kuryrport");
            let written = records::activate(&context.client, key, &record.uid, &interfaces).await?;
            Ok(noted(written, |record| context.caches.records.note(record)))
        }
        Action::DeleteRecord => delete_record(context, key, seen).await,
        Action::ReleaseRecord => release_record(context, key, seen).await,
        Action::TakeOldFinalizerOff => {
            let Some(pod) = &seen.pod else { return Ok(Outcome::Same) };
            context.metrics.wrote("patch_pod");
            records::take_old_finalizer_off(&context.client, key, &pod.uid).await?;
            tracing::info!(pod = %key, "took the old Kuryr's finalizer off");
            Ok(Outcome::Same)
        }
        Action::AwaitWiring(ports) => {
            context.metrics.port_readiness.inc();
            context.wiring.wait_for(key, &ports);
            Ok(Outcome::Same)
        }
        Action::Tell(news) => {
            tell(context, key, seen.pod.as_deref(), news).await;
            Ok(Outcome::Same)
        }
        Action::Retry(_) => Ok(Outcome::Later),
    }
}

async fn write(context: &Context, key: &Key, seen: &Seen, new: NewRecord) -> Result<Outcome, Error> {
    context.metrics.wrote("create_kuryrport");
    let record = kuryr_port(key, new);
    match records::create(&context.client, key, &record).await {
        Ok(Written::Done(record)) => {
            let scheduled = seen.pod.as_ref().and_then(|pod| pod.scheduled);
            if let Some(scheduled) = scheduled {
                let latency = jiff::Timestamp::now().duration_since(scheduled).as_secs_f64();
                context.metrics.pod_creation.observe(latency.max(0.0));
            }
            tracing::info!(pod = %key, node = %record.node, "recorded the pod's port");
            context.caches.records.note(record);
            Ok(Outcome::Visible)
        }
        Ok(Written::Outdated) => Ok(Outcome::Unseen),
        // The namespace's cache lags behind: its next change brings the pod here again.
        Err(records::Error::NamespaceTerminating { .. }) => Ok(Outcome::Later),
        Err(error) => Err(error.into()),
    }
}

fn kuryr_port(key: &Key, new: NewRecord) -> KuryrPort {
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        name: key.name().to_owned(),
        uid: new.pod_uid.clone(),
        ..OwnerReference::default()
    };
    KuryrPort {
        metadata: ObjectMeta {
            name: Some(key.name().to_owned()),
            namespace: Some(key.namespace().to_owned()),
            finalizers: Some(vec![names::KURYRPORT_FINALIZER.to_owned()]),
            labels: Some(BTreeMap::from([(names::NODE_NAME_LABEL.to_owned(), new.node.clone())])),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: KuryrPortSpec {
            pod_uid: new.pod_uid,
            pod_node_name: new.node,
            pod_static: Some(new.is_static),
        },
        status: Some(KuryrPortStatus { vifs: Vifs::Read(new.vifs) }),
    }
}

async fn delete_record(context: &Context, key: &Key, seen: &Seen) -> Result<Outcome, Error> {
    let Some(record) = &seen.record else { return Ok(Outcome::Same) };
    context.metrics.wrote("delete_kuryrport");
    match records::delete::<KuryrPort>(&context.client, key, &record.uid).await? {
        Written::Done(Some(deleting)) => {
            context.caches.records.note(deleting);
            Ok(Outcome::Visible)
        }
        Written::Done(None) => {
            context.caches.records.note_gone(record);
            Ok(Outcome::Visible)
        }
        Written::Outdated => Ok(Outcome::Unseen),
    }
}

async fn release_record(context: &Context, key: &Key, seen: &Seen) -> Result<Outcome, Error> {
    let Some(record) = &seen.record else { return Ok(Outcome::Same) };
    context.metrics.wrote("release_kuryrport");
    let others = &record.other_finalizers;
    if let Written::Done(()) =
        records::release::<KuryrPort>(&context.client, key, &record.uid, others).await?
    {
        tracing::info!(pod = %key, "released the pod's record");
    }
    if !others.is_empty() {
        return Ok(Outcome::Unseen);
    }
    context.caches.records.note_gone(record);
    Ok(Outcome::Visible)
}

/// Tells the owner of a pod that still exists.
async fn tell(context: &Context, key: &Key, pod: Option<&Pod>, news: News) {
    if let Some(pod) = pod {
        tell_pod(context, key, &pod.uid, news).await;
    }
}
