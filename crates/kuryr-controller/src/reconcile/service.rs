//! Keeps every Service's load balancers as the planner wants them.

mod observe;
mod writes;

use self::observe::observe;
pub use self::observe::{look, recorded};
use super::error::Error;
use super::{Next, Outcome, ROUNDS, SEEN_WITHIN, event};
use crate::context::Context;
use crate::services::{Services, addresses, call, translate};
use kuryr_core::news::News;
use kuryr_core::service::{
    Action, Address, Balancer, Guards, Observed, Record, Service, Site, Slice, State, plan,
};
use kuryr_k8s::Key;
use kuryr_k8s::events::About;
use kuryr_k8s::slim::{self, BalancerRecord};
use std::sync::Arc;

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
    /// What policies say of its endpoints, if it is known.
    pub guards: Option<Guards>,
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
            guards: Some(Guards::new()),
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
            guards: self.guards.as_ref(),
        }
    }
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
        Action::CreateRecord(should) => writes::create_record(context, key, seen, should).await,
        Action::UpdateRecord(should) => writes::update_record(context, key, seen, &should).await,
        Action::DeleteRecord => writes::delete_record(context, key, seen).await,
        Action::ReleaseRecord => writes::release_record(context, key, seen).await,
        Action::HoldService => writes::hold_service(context, key, seen).await,
        Action::ReleaseService => writes::release_service(context, key, seen).await,
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
        Action::SetIngress(ingress) => writes::set_ingress(context, key, seen, &ingress).await,
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

/// Tells the owner of a Service that still exists all that there is to know of it.
async fn tell(context: &Context, key: &Key, news: Vec<News>) {
    let Some(service) = context.caches.services.get(key) else { return };
    let about = About { kind: "Service", key: key.clone(), uid: service.uid.to_string() };
    context.events.tell_all(about, news.into_iter().map(event).collect()).await;
}
