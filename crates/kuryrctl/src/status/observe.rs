//! Looks at the cluster. What can't be seen costs nothing else.

use std::{collections::BTreeMap, fmt::Debug};

use http::Request;
use k8s_openapi::{
    api::{
        coordination::v1::Lease,
        core::v1::{self as core, Event, Node},
    },
    jiff::Timestamp,
};
use kube::{Api, Client, Resource, ResourceExt, api::ListParams};
use kuryr_api::{KuryrLoadBalancer, KuryrPort};
use serde::de::DeserializeOwned;

use super::facts::{Counts, Facts, Leader, Name, Pod, Program, Record, Seen, Service, Warning, Warnings};
use crate::connect::{REPORTERS, REQUEST_TIMEOUT, list, said, said_at};

/// Name of the Lease of all controllers of a cluster.
const LEASE: &str = "kuryr-controller";
const CONTROLLERS: &str = "name=kuryr-controller";
const DAEMONS: &str = "app=kuryr-cni";
/// Port of the metrics, if the pod does not name it.
const METRICS_PORT: i32 = 9654;

pub(super) async fn observe(client: &Client, namespace: &str, metrics: Option<&str>) -> Facts {
    let own = |labels| list(Api::namespaced(client.clone(), namespace), ListParams::default().labels(labels));
    let (leader, controllers, daemons) =
        tokio::join!(leader(client, namespace), own(CONTROLLERS), own(DAEMONS));
    let counts = counts(client, leader.as_ref(), controllers.as_deref(), metrics).await;
    Facts {
        counts,
        leader,
        controllers: controllers.map(|pods| pods.iter().map(program).collect()),
        daemons: daemons.map(|pods| pods.iter().map(program).collect()),
        nodes: all::<Node>(client).await.map(|nodes| nodes.iter().map(ResourceExt::name_any).collect()),
        pods: all(client).await.map(|pods| pods.iter().filter_map(pod).collect()),
        records: all(client).await.map(|records| records.iter().map(record).collect()),
        services: all(client).await.map(|services| services.iter().filter_map(service).collect()),
        balanced: all(client).await.map(|records| records.iter().filter_map(balanced).collect()),
        warnings: warnings(client).await,
    }
}

async fn leader(client: &Client, namespace: &str) -> Seen<Option<Leader>> {
    let lease = Api::<Lease>::namespaced(client.clone(), namespace).get_opt(LEASE).await;
    let lease = lease.map_err(|error| format!("cannot read Lease {namespace}/{LEASE}: {}", said(&error)))?;
    let Some(spec) = lease.and_then(|lease| lease.spec) else { return Ok(None) };
    let leader = |holder| Leader {
        holder,
        renewed: spec.renew_time.map(|time| time.0),
        lasts: spec.lease_duration_seconds.unwrap_or_default(),
    };
    Ok(spec.holder_identity.filter(|holder| !holder.is_empty()).map(leader))
}

async fn all<K>(client: &Client) -> Seen<Vec<K>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    list(Api::all(client.clone()), ListParams::default()).await
}

async fn warnings(client: &Client) -> Seen<Warnings> {
    let params = ListParams::default().fields("type=Warning");
    let mut events = list(Api::<Event>::all(client.clone()), params).await?;
    // The last one about an object stays.
    events.sort_by_key(said_at);
    let about = |kind: &str| -> BTreeMap<Name, Warning> {
        events.iter().filter_map(|event| warning(event, kind)).collect()
    };
    Ok(Warnings { pods: about("Pod"), services: about("Service") })
}

fn name_of(object: &impl ResourceExt) -> Name {
    (object.namespace().unwrap_or_default(), object.name_any())
}

fn program(pod: &core::Pod) -> Program {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let image = pod.spec.as_ref().and_then(|spec| spec.containers.first()?.image.clone());
    Program {
        pod: pod.name_any(),
        node: node_of(pod).unwrap_or_default(),
        image: image.unwrap_or_default(),
        ready: conditions
            .into_iter()
            .flatten()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True"),
    }
}

fn node_of(pod: &core::Pod) -> Option<String> {
    pod.spec.as_ref()?.node_name.clone()
}

/// A pod that has a node, a network of its own, and an end still before it.
fn pod(pod: &core::Pod) -> Option<Pod> {
    let (spec, status) = (pod.spec.as_ref()?, pod.status.clone().unwrap_or_default());
    let over = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    if over || spec.host_network == Some(true) || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    Some(Pod {
        name: name_of(pod),
        uid: pod.uid().unwrap_or_default(),
        node: node_of(pod)?,
        has_address: status.pod_ip.is_some_and(|address| !address.is_empty()),
        created: pod.creation_timestamp().map(|time| time.0),
    })
}

fn record(record: &KuryrPort) -> (Name, Record) {
    let mut vifs = record.vifs().peekable();
    let active = vifs.peek().is_some() && vifs.all(|(_, entry)| entry.vif.base().active);
    (name_of(record), Record { uid: record.spec.pod_uid.clone(), active })
}

fn warning(event: &Event, kind: &str) -> Option<(Name, Warning)> {
    let reporter = event.reporting_component.as_deref().unwrap_or_default();
    let about = &event.involved_object;
    if !REPORTERS.contains(&reporter) || about.kind.as_deref() != Some(kind) {
        return None;
    }
    let name = (about.namespace.clone()?, about.name.clone()?);
    let warning = Warning {
        uid: about.uid.clone().unwrap_or_default(),
        reason: event.reason.clone().unwrap_or_default(),
        message: event.message.clone().unwrap_or_default(),
    };
    Some((name, warning))
}

/// A Service with a cluster IP, and an end still before it.
fn service(service: &core::Service) -> Option<Service> {
    let spec = service.spec.as_ref()?;
    let has_address = spec.cluster_ip.as_deref().is_some_and(|address| !["", "None"].contains(&address));
    let is_name = spec.type_.as_deref() == Some("ExternalName");
    (has_address && !is_name && service.metadata.deletion_timestamp.is_none()).then(|| Service {
        name: name_of(service),
        uid: service.uid().unwrap_or_default(),
        created: service.creation_timestamp().map(|time| time.0),
    })
}

/// The name of a record that names a load balancer.
fn balanced(record: &KuryrLoadBalancer) -> Option<Name> {
    record.status.as_ref()?.loadbalancer.as_ref().map(|_| name_of(record))
}

/// The leader's own count; a standby's says nothing.
async fn counts(
    client: &Client,
    leader: Result<&Option<Leader>, &String>,
    controllers: Result<&[core::Pod], &String>,
    metrics: Option<&str>,
) -> Seen<Counts> {
    if let Some(url) = metrics {
        return direct(url).await.map(|text| Counts::read(&text));
    }
    let (Ok(Some(leader)), Ok(controllers)) = (leader, controllers) else {
        return Err("without a leader there are no metrics to ask for".to_owned());
    };
    // The holder is the pod's name and a text of its own.
    let its =
        |pod: &&core::Pod| leader.holder.rsplit_once('_').is_some_and(|(name, _)| name == pod.name_any());
    let Some(pod) = controllers.iter().find(its) else {
        return Err(format!("{} is no pod here: name its metrics by --metrics", leader.holder));
    };
    proxied(client, pod).await.map(|text| Counts::read(&text))
}

async fn proxied(client: &Client, pod: &core::Pod) -> Seen<String> {
    let (namespace, name) = name_of(pod);
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    let port = ports.find(|port| port.name.as_deref() == Some("metrics"));
    let port = port.map_or(METRICS_PORT, |port| port.container_port);
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}:{port}/proxy/metrics");
    let request = Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
    let answer = client.request_text(request).await;
    answer.map_err(|error| format!("cannot read the metrics of pod {namespace}/{name}: {}", said(&error)))
}

async fn direct(url: &str) -> Seen<String> {
    let ask = async {
        let client = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).build()?;
        client.get(url).send().await?.error_for_status()?.text().await
    };
    ask.await.map_err(|error| format!("cannot read {url}: {:#}", anyhow::Error::from(error)))
}

/// Whether a Lease that was renewed then still holds.
pub(super) fn holds(leader: &Leader, now: Timestamp) -> bool {
    leader.renewed.is_some_and(|renewed| now.duration_since(renewed).as_secs() <= i64::from(leader.lasts))
}
