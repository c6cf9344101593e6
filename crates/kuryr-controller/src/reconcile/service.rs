//! Keeps every Service's load balancers as the planner wants them.

use super::error::Error;
use super::{Next, Outcome, ROUNDS, SEEN_WITHIN, event, noted};
use crate::context::Context;
use crate::services::{Services, addresses, call, read_doubted, translate};
use crate::settings::Projects;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use kuryr_api::{KuryrLoadBalancer, LoadBalancerId, PortId, names};
use kuryr_core::news::News;
use kuryr_core::service::{
    Action, Address, AddressOwnership, Balancer, Observed, Ownership, Record, RecordContent, Service, Site,
    Slice, State, plan,
};
use kuryr_k8s::Key;
use kuryr_k8s::events::About;
use kuryr_k8s::records::{self, Written};
use kuryr_k8s::slim::{self, BalancerRecord};
use kuryr_openstack::neutron::FloatingIp;
use serde_json::{Map, Value, json};
use std::net::IpAddr;
use std::sync::Arc;

/// The API server's own Service, whose load balancer an installer may have made before there was a cluster.
const API_SERVER: (&str, &str) = ("default", "kubernetes");

/// What Kubernetes says of one Service name.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// The Service, if there is one.
    pub service: Option<Arc<slim::Service>>,
    /// Its EndpointSlices, in the order of their names.
    pub slices: Vec<Arc<slim::EndpointSlice>>,
    /// The record, if there is one.
    pub record: Option<Arc<BalancerRecord>>,
    /// The project that its namespace names.
    pub project: Option<Box<str>>,
}

/// What we look at, held so that planners can borrow it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The Service, as Kubernetes and as planners see it.
    pub service: Option<(Arc<slim::Service>, Service)>,
    /// Its EndpointSlices, in the order of their names.
    pub slices: Vec<Slice>,
    /// The record, if there is one.
    pub record: Option<Arc<BalancerRecord>>,
    /// Every load balancer that may be its.
    pub balancers: Vec<Arc<Balancer>>,
    /// Every floating IP that may be its.
    pub addresses: Vec<Address>,
    /// How load balancers are made.
    pub site: Arc<Site>,
}

/// Looks at the Service called `key` and does what is to be done.
pub async fn reconcile(context: &Context, services: &Services, key: &Key) -> Result<Next, Error> {
    let mut news = Vec::new();
    let next = settle(context, services, key, &mut news).await;
    if let Err(error) = &next {
        news.extend(error.news());
    }
    tell(context, key, news).await;
    next
}

async fn settle(
    context: &Context,
    services: &Services,
    key: &Key,
    news: &mut Vec<News>,
) -> Result<Next, Error> {
    let name = key.to_string();
    for _ in 0..ROUNDS {
        let seen = observe(context, services, key).await?;
        let (mut changed, actions) = (false, plan(&seen.view(&name)));
        for action in actions {
            match apply(context, services, key, &seen, action, news).await? {
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
    /// What Kubernetes says, and what OpenStack has.
    pub fn new(said: Said, balancers: Vec<Arc<Balancer>>, addresses: Vec<Address>, site: Arc<Site>) -> Self {
        Self {
            service: said.service.map(|found| (found.clone(), translate::service(&found))),
            slices: said.slices.iter().map(|slice| translate::slice(slice)).collect(),
            record: said.record,
            balancers,
            addresses,
            site,
        }
    }

    /// As planners see it. `name` is `namespace/name`.
    pub fn view<'s>(&'s self, name: &'s str) -> Observed<'s> {
        Observed {
            name,
            service: self.service.as_ref().map(|(_, service)| service),
            slices: &self.slices,
            record: self.record.as_deref().map(|record| Record {
                deleting: record.deleting,
                spec: &record.spec,
                status: Some(&record.status),
            }),
            balancers: &self.balancers,
            addresses: &self.addresses,
            site: &self.site,
        }
    }
}

async fn observe(context: &Context, services: &Services, key: &Key) -> Result<Seen, Error> {
    let caches = &context.caches;
    let namespace = caches.namespaces.get(&Key::new("", key.namespace()));
    let said = Said {
        service: caches.services.get(key),
        slices: caches.slices_of(key),
        record: caches.balancers.get(key),
        project: namespace.and_then(|namespace| namespace.project.clone()),
    };
    look(services, &context.own_tag, key, said).await
}

/// What OpenStack has of what Kubernetes says.
pub async fn look(services: &Services, own_tag: &str, key: &Key, said: Said) -> Result<Seen, Error> {
    let site = site_of(services, said.project.as_deref())?;
    let recorded = said.record.as_deref().and_then(recorded);
    let vips = said.service.as_ref().map(|service| &*service.cluster_ips).unwrap_or_default();
    let candidates = || services.balancers.of(&key.to_string(), vips, recorded.as_ref());
    let doubted = services.balancers.doubted(&candidates());
    read_doubted(services, doubted, own_tag).await.map_err(Error::LookAtBalancer)?;
    let claim = |balancer| claim(services, key, vips, recorded.as_ref(), balancer);
    let balancers: Vec<_> = candidates().into_iter().map(claim).collect();
    let mut seen = Seen::new(said, balancers, Vec::new(), site);
    let whose = Whose { name: &key.to_string(), own_tag, record: seen.record.as_deref() };
    let wanted = seen.service.as_ref().and_then(|(_, service)| service.wanted_address);
    seen.addresses = observe_addresses(services, &seen.site, &whose, &seen.balancers, wanted).await?;
    Ok(seen)
}

/// Whose addresses are looked for.
struct Whose<'a> {
    name: &'a str,
    own_tag: &'a str,
    record: Option<&'a BalancerRecord>,
}

async fn observe_addresses(
    services: &Services,
    site: &Site,
    whose: &Whose<'_>,
    balancers: &[Arc<Balancer>],
    wanted: Option<IpAddr>,
) -> Result<Vec<Address>, Error> {
    let purpose = addresses::purpose(whose.name, whose.own_tag);
    let is_mine = |one: &&Arc<Balancer>| one.ownership != Ownership::Foreign && one.name == whose.name;
    let ports: Vec<_> = balancers.iter().filter(is_mine).filter_map(|one| one.port.as_ref()).collect();
    let mut found = services.addresses.of(&purpose, &ports, wanted);
    if let Some(wanted) = wanted
        && found.iter().all(|one| one.floating_ip_address != wanted)
    {
        addresses::look_for(services, site, wanted).await.map_err(Error::LookUpAddress)?;
        found = services.addresses.of(&purpose, &ports, Some(wanted));
    }
    Ok(found.into_iter().map(|one| address(whose, &purpose, &ports, one)).collect())
}

/// A floating IP as planners see it. One that says it is for this Service is ours if it has our tag, or leads to it: then its
/// maker died before it could tag it. The Python Kuryr's records say which of them it made.
fn address(whose: &Whose<'_>, purpose: &str, ports: &[&PortId], one: FloatingIp) -> Address {
    let leads_here = one.port_id.as_ref().is_some_and(|port| ports.contains(&port));
    let is_tagged = one.tags.iter().any(|tag| tag == whose.own_tag);
    let info = whose.record.and_then(|record| record.status.service_pub_ip_info.as_ref());
    let recorded = info.is_some_and(|info| info.ip_id == one.id.as_str() && info.alloc_method == "pool");
    let is_ours = recorded || (one.description == purpose && (is_tagged || leads_here));
    Address {
        id: one.id,
        ip: one.floating_ip_address,
        port: one.port_id,
        ownership: if is_ours { AddressOwnership::Ours } else { AddressOwnership::Others },
    }
}

/// How load balancers are made for a namespace.
fn site_of(services: &Services, project: Option<&str>) -> Result<Arc<Site>, Error> {
    let mut site = services.site().ok_or(Error::SiteUnknown)?;
    if let (Projects::ByNamespace, Some(project)) = (services.defaults.projects, project) {
        Arc::make_mut(&mut site).project = project.into();
    }
    Ok(site)
}

/// The load balancer that a record names.
pub fn recorded(record: &BalancerRecord) -> Option<LoadBalancerId> {
    record.status.loadbalancer.as_ref().map(|one| one.id.as_str().into())
}

/// Whose a load balancer is, seen from this Service, and whether Octavia takes too long with it.
///
/// One without any cluster's tag is the Python Kuryr's if a record says so, or if it is called and placed as the Python Kuryr
/// would have; the API server's own has that name and place from its installer as well.
fn claim(
    services: &Services,
    key: &Key,
    vips: &[IpAddr],
    recorded: Option<&LoadBalancerId>,
    mut balancer: Arc<Balancer>,
) -> Arc<Balancer> {
    let is_api_servers = (key.namespace(), key.name()) == API_SERVER;
    let as_made = !is_api_servers && balancer.name == key.to_string() && vips.contains(&balancer.vip);
    if balancer.ownership == Ownership::Kuryr && recorded != Some(&balancer.id) && !as_made {
        Arc::make_mut(&mut balancer).ownership = Ownership::Foreign;
    }
    let busy = services.balancers.busy_for(&balancer.id);
    if balancer.state == State::Pending && busy.is_some_and(|busy| busy > services.defaults.patience) {
        Arc::make_mut(&mut balancer).state = State::Overdue;
    }
    balancer
}

async fn apply(
    context: &Context,
    services: &Services,
    key: &Key,
    seen: &Seen,
    action: Action,
    news: &mut Vec<News>,
) -> Result<Outcome, Error> {
    match action {
        Action::CreateRecord(content) => create_record(context, key, seen, content).await,
        Action::UpdateRecord(content) => update_record(context, key, seen, &content).await,
        Action::DeleteRecord => delete_record(context, key, seen).await,
        Action::ReleaseRecord => release_record(context, key, seen).await,
        Action::HoldService => {
            let Some((service, _)) = &seen.service else { return Ok(Outcome::Same) };
            context.metrics.wrote("hold_service");
            let written = records::hold_service(&context.client, key, &service.uid).await?;
            Ok(noted(written, |service| context.caches.services.note(service)))
        }
        Action::ReleaseService => {
            let Some((service, _)) = &seen.service else { return Ok(Outcome::Same) };
            context.metrics.wrote("release_service");
            let written = records::release_service(&context.client, key, &service.uid).await?;
            Ok(noted(written, |released| released_service(context, service, released)))
        }
        Action::Call(todo) => {
            let name = key.to_string();
            call(services, &seen.site, &name, todo, &context.own_tag).await.map_err(Error::Balance)?;
            Ok(Outcome::Visible)
        }
        Action::Address(todo) => {
            let name = key.to_string();
            let called = addresses::call(services, &seen.site, &name, todo, &context.own_tag).await;
            called.map_err(Error::Address)?;
            Ok(Outcome::Visible)
        }
        Action::SetIngress(ingress) => {
            let Some((service, _)) = &seen.service else { return Ok(Outcome::Same) };
            context.metrics.wrote("set_service_ingress");
            let written = records::set_ingress(&context.client, key, &service.uid, &ingress).await?;
            Ok(noted(written, |service| context.caches.services.note(service)))
        }
        Action::Await(ids) => {
            if seen.balancers.iter().any(|one| one.state == State::Overdue && ids.contains(&one.id)) {
                context.metrics.services.readiness.inc();
            }
            services.settling.wait_for(key, &ids);
            Ok(Outcome::Same)
        }
        Action::Tell(one) => {
            if !news.contains(&one) {
                news.push(one);
            }
            Ok(Outcome::Same)
        }
    }
}

async fn create_record(
    context: &Context,
    key: &Key,
    seen: &Seen,
    content: RecordContent,
) -> Result<Outcome, Error> {
    let Some((service, _)) = &seen.service else { return Ok(Outcome::Same) };
    context.metrics.wrote("create_kuryrloadbalancer");
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        name: key.name().to_owned(),
        uid: service.uid.to_string(),
        ..OwnerReference::default()
    };
    let record = KuryrLoadBalancer {
        metadata: ObjectMeta {
            name: Some(key.name().to_owned()),
            namespace: Some(key.namespace().to_owned()),
            finalizers: Some(vec![names::KURYRLOADBALANCER_FINALIZER.to_owned()]),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: content.spec,
        status: Some(content.status),
    };
    match records::create(&context.client, key, &record).await {
        // The namespace's end takes the Service with it: its next change brings it here again.
        Err(records::Error::NamespaceTerminating { .. }) => Ok(Outcome::Later),
        written => Ok(noted(written?, |record| context.caches.balancers.note(record))),
    }
}

async fn update_record(
    context: &Context,
    key: &Key,
    seen: &Seen,
    content: &RecordContent,
) -> Result<Outcome, Error> {
    let Some(record) = &seen.record else { return Ok(Outcome::Same) };
    context.metrics.wrote("update_kuryrloadbalancer");
    let patch = json!({
        "spec": difference(&json!(record.spec), &json!(content.spec)),
        "status": difference(&json!(record.status), &json!(content.status)),
    });
    let written = records::update::<KuryrLoadBalancer>(&context.client, key, &record.uid, patch).await?;
    // It is first told of once it is complete.
    if record.status.loadbalancer.is_none()
        && content.status.loadbalancer.is_some()
        && let Some((service, _)) = &seen.service
        && let Some(created) = service.created
    {
        context.metrics.services.made(jiff::Timestamp::now().duration_since(created));
    }
    Ok(noted(written, |record| context.caches.balancers.note(record)))
}

/// A merge patch from one object to another: what is the same is left out, what is not there any more is null.
fn difference(is: &Value, should: &Value) -> Value {
    let empty = Map::new();
    let (is, should) = (is.as_object().unwrap_or(&empty), should.as_object().unwrap_or(&empty));
    let gone = is.keys().filter(|name| !should.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    let other = should.iter().filter(|(name, value)| is.get(*name) != Some(value));
    gone.chain(other.map(|(name, value)| (name.clone(), value.clone()))).collect::<Map<_, _>>().into()
}

async fn delete_record(context: &Context, key: &Key, seen: &Seen) -> Result<Outcome, Error> {
    let Some(record) = &seen.record else { return Ok(Outcome::Same) };
    context.metrics.wrote("delete_kuryrloadbalancer");
    match records::delete::<KuryrLoadBalancer>(&context.client, key, &record.uid).await? {
        Written::Done(Some(deleting)) => context.caches.balancers.note(deleting),
        Written::Done(None) => context.caches.balancers.note_gone(record),
        Written::Outdated => return Ok(Outcome::Unseen),
    }
    Ok(Outcome::Visible)
}

async fn release_record(context: &Context, key: &Key, seen: &Seen) -> Result<Outcome, Error> {
    let Some(record) = &seen.record else { return Ok(Outcome::Same) };
    context.metrics.wrote("release_kuryrloadbalancer");
    let others = &record.other_finalizers;
    records::release::<KuryrLoadBalancer>(&context.client, key, &record.uid, others).await?;
    if !others.is_empty() {
        return Ok(Outcome::Unseen);
    }
    context.caches.balancers.note_gone(record);
    Ok(Outcome::Visible)
}

/// Without our finalizer a Service that is being deleted is gone, unless others hold it too.
fn released_service(context: &Context, before: &slim::Service, after: slim::Service) {
    if before.deleting && !after.is_held_by_others {
        context.caches.services.note_gone(before);
    } else {
        context.caches.services.note(after);
    }
}

/// Tells the owner of a Service that still exists all that there is to know of it.
async fn tell(context: &Context, key: &Key, news: Vec<News>) {
    let Some(service) = context.caches.services.get(key) else { return };
    let about = About { kind: "Service", key: key.clone(), uid: service.uid.to_string() };
    context.events.tell_all(about, news.into_iter().map(event).collect()).await;
}
