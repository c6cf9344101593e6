//! Looks at a Service. What can't be seen costs nothing else.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::{self as core, Namespace};
use kube::{Api, Client, ResourceExt, api::ListParams};
use kuryr_api::{KuryrLoadBalancer, names};
use kuryr_controller::explain::{self, Said};
use kuryr_k8s::{
    Key,
    slim::{self, BalancerRecord, EndpointSlice, Service, Slim},
};
use kuryr_openstack::Octavia;

use super::facts::{Cloud, Event, Facts, Seen};
use crate::{
    cli::Sources,
    connect::{OpenStack, REPORTERS, said, said_at},
};

/// The label by which slices name their Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

pub(super) async fn observe(client: &Client, sources: &Sources, key: Key) -> Facts {
    let kubernetes = kubernetes(client, &key).await;
    let events = events(client, &key, kubernetes.as_ref().ok()).await;
    let cloud = match &kubernetes {
        Ok(said) => openstack(client, sources, &key, said.clone()).await,
        Err(_) => Err("OpenStack was not asked: nobody knows what to look for".to_owned()),
    };
    Facts { key, said: kubernetes, events, cloud }
}

async fn kubernetes(client: &Client, key: &Key) -> Seen<Said> {
    let services: Api<<Service as Slim>::Wire> = Api::namespaced(client.clone(), key.namespace());
    let slices: Api<<EndpointSlice as Slim>::Wire> = Api::namespaced(client.clone(), key.namespace());
    let records: Api<KuryrLoadBalancer> = Api::namespaced(client.clone(), key.namespace());
    let labelled = ListParams::default().labels(&format!("{SERVICE_LABEL}={}", key.name()));
    let namespaces: Api<<slim::Namespace as Slim>::Wire> = Api::all(client.clone());
    let (service, slices, record, namespace) = tokio::join!(
        services.get_opt(key.name()),
        slices.list(&labelled),
        records.get_opt(key.name()),
        namespaces.get_opt(key.namespace())
    );
    let service = service.map_err(|error| format!("cannot read Service {key}: {}", said(&error)))?;
    let slices = slices.map_err(|error| format!("cannot list EndpointSlices: {}", said(&error)))?;
    let record = record.map_err(|error| format!("cannot read KuryrLoadBalancer {key}: {}", said(&error)))?;
    let namespace =
        namespace.map_err(|error| format!("cannot read namespace {}: {}", key.namespace(), said(&error)))?;
    Ok(Said {
        project: namespace.and_then(|namespace| slim::Namespace::trim(namespace).project),
        service: service.map(|service| Arc::new(Service::trim(service))),
        slices: slices.items.into_iter().map(|slice| Arc::new(EndpointSlice::trim(slice))).collect(),
        record: record.map(|record| Arc::new(BalancerRecord::from(record))),
    })
}

/// What Kuryr has said of this Service, the oldest first.
async fn events(client: &Client, key: &Key, said: Option<&Said>) -> Seen<Vec<Event>> {
    let fields = format!("involvedObject.kind=Service,involvedObject.name={}", key.name());
    let events = Api::<core::Event>::namespaced(client.clone(), key.namespace());
    let found = events.list(&ListParams::default().fields(&fields)).await;
    let found = found.map_err(|error| format!("cannot list Events: {}", crate::connect::said(&error)))?;
    let uid = said.and_then(|said| said.service.as_ref()).map(|service| &*service.uid);
    let is_kuryrs = |event: &&core::Event| {
        let reporter = event.reporting_component.as_deref().unwrap_or_default();
        REPORTERS.contains(&reporter)
            && uid.is_none_or(|uid| event.involved_object.uid.as_deref() == Some(uid))
    };
    let mut events: Vec<Event> = found.iter().filter(is_kuryrs).map(event).collect();
    events.sort_by_key(|event| event.said);
    Ok(events)
}

fn event(event: &core::Event) -> Event {
    Event {
        said: said_at(event),
        kind: event.type_.clone().unwrap_or_default(),
        reason: event.reason.clone().unwrap_or_default(),
        message: event.message.clone().unwrap_or_default(),
    }
}

async fn openstack(client: &Client, sources: &Sources, key: &Key, said: Said) -> Seen<Option<Cloud>> {
    let openstack = OpenStack::open(sources).map_err(|error| format!("{error:#}"))?;
    let system = Api::<Namespace>::all(client.clone()).get("kube-system").await;
    let system =
        system.map_err(|error| format!("cannot read the namespace kube-system: {}", self::said(&error)))?;
    let own_tag = names::ownership_tag(&system.uid().unwrap_or_default());
    let look = explain::look(openstack.session.clone(), &openstack.loaded.config, &own_tag, key, said);
    let Some(seen) = look.await.map_err(|error| format!("{error:#}"))? else { return Ok(None) };
    let octavia = Octavia::new(openstack.session);
    let mut statuses = BTreeMap::new();
    for balancer in &seen.balancers {
        let tree = octavia.statuses(&balancer.id).await;
        let tree = tree.map_err(|error| {
            format!("cannot read how load balancer {} does: {}", balancer.id, error.chain())
        });
        statuses.insert(balancer.id.clone(), tree);
    }
    Ok(Some(Cloud { seen, statuses }))
}
