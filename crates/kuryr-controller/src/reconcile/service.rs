//! Keeps every Service's load balancers as the planner wants them.

use super::error::Error;
use super::{Next, Outcome, ROUNDS, SEEN_WITHIN, event, noted};
use crate::context::Context;
use crate::services::translate;
use crate::services::{Services, call, read_doubted};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use kuryr_api::{KuryrLoadBalancer, LoadBalancerId, names};
use kuryr_core::news::News;
use kuryr_core::service::{
    Action, Balancer, Observed, Ownership, Record, RecordContent, Service, Site, Slice, State, plan,
};
use kuryr_k8s::Key;
use kuryr_k8s::events::About;
use kuryr_k8s::records::{self, Written};
use kuryr_k8s::slim::{self, BalancerRecord};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The API server's own Service, whose load balancer an installer may have made before there was a cluster.
const API_SERVER: (&str, &str) = ("default", "kubernetes");

/// What we look at, held so that planners can borrow it.
struct Seen {
    service: Option<(Arc<slim::Service>, Service)>,
    slices: Vec<Slice>,
    record: Option<Arc<BalancerRecord>>,
    balancers: Vec<Arc<Balancer>>,
    site: Arc<Site>,
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
        news.clear();
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
    fn view<'s>(&'s self, name: &'s str) -> Observed<'s> {
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
            site: &self.site,
        }
    }
}

async fn observe(context: &Context, services: &Services, key: &Key) -> Result<Seen, Error> {
    let caches = &context.caches;
    let site = services.site().ok_or(Error::SiteUnknown)?;
    let service = caches.services.get(key).map(|found| (found.clone(), translate::service(&found)));
    let record = caches.balancers.get(key);
    let recorded = record.as_deref().and_then(recorded);
    let vips = service.as_ref().map(|(_, service)| service.cluster_ips.as_slice()).unwrap_or_default();
    let claim = |balancer| claim(services, key, vips, recorded.as_ref(), balancer);
    let named = || services.balancers.of(&key.to_string(), vips, recorded.as_ref());
    let candidates = || named().into_iter().map(claim).collect::<Vec<_>>();
    let doubted = services.balancers.doubted(&candidates());
    read_doubted(services, doubted, &context.own_tag).await.map_err(Error::LookAtBalancer)?;
    let balancers = candidates();
    let slices = caches.slices_of(key).iter().map(|slice| translate::slice(slice)).collect();
    Ok(Seen { service, slices, record, balancers, site })
}

/// The load balancer that a record names.
fn recorded(record: &BalancerRecord) -> Option<LoadBalancerId> {
    record.status.loadbalancer.as_ref().map(|one| one.id.as_str().into())
}

/// Whose a load balancer is, seen from this Service, and whether Octavia takes too long with it.
///
/// One without any cluster's tag is the Python Kuryr's if a record says so, or if it is called and placed as the Python Kuryr
/// would have; the API server's own has that name and place from its installer as well.
fn claim(
    services: &Services,
    key: &Key,
    vips: &[std::net::IpAddr],
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
        Action::Await(ids) => {
            services.settling.wait_for(key, &ids);
            Ok(Outcome::Same)
        }
        Action::Tell(one) => {
            news.push(one);
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
