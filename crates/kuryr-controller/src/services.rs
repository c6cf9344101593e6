//! What serves Services: the load balancers that exist in Octavia, and what is under way with them.
//!
//! ```text
//!   caches (Service, EndpointSlice, KuryrLoadBalancer) ── key ──► Queue ──► reconcile::service
//!                                                                             observe ─ plan (kuryr-core) ─ apply
//!   Balancers (what exists in Octavia) ◄── own calls, Inventory ────────────────┴────────────────────────────┘
//!       ▲
//!       └── Settling: one list for all load balancers that Octavia is at work with
//! ```
//!
//! Nothing here keeps pods waiting: a cloud without Octavia, or one whose Octavia is down, wires pods all the same.

pub(crate) mod addresses;
mod balancers;
mod calls;
pub(crate) mod debounce;
mod inventory;
mod quota;
mod settling;
pub(crate) mod site;
mod steps;
pub(crate) mod translate;
mod turns;

pub use addresses::Addresses;
pub use balancers::Balancers;
pub use calls::call;
pub use debounce::Debounce;
pub use inventory::{read_doubted, run};
pub use settling::Settling;
pub use steps::Steps;
pub use turns::Turns;

use crate::context::Context;
use crate::metrics::{Kind, Metrics};
use crate::queue::Queue;
use crate::settings::{Projects, ServiceDefaults};
use kuryr_api::{LoadBalancerId, ProjectId};
use kuryr_core::service::Site;
use kuryr_k8s::Key;
use kuryr_openstack::{Neutron, Octavia, Session};
use parking_lot::RwLock;
use std::sync::Arc;

/// What serves Services in one term as leader.
pub struct Services {
    /// To call Octavia.
    pub octavia: Octavia,
    /// How load balancers are wanted.
    pub defaults: ServiceDefaults,
    /// How they are made, once it is known.
    pub site: RwLock<Option<Arc<Site>>>,
    /// To call Neutron.
    pub neutron: Neutron,
    /// What Octavia has.
    pub balancers: Balancers,
    /// The floating IPs that Neutron has.
    pub addresses: Addresses,
    /// Names of Services to look at.
    pub queue: Arc<Queue<Key>>,
    /// Load balancers that Octavia is at work with.
    pub settling: Settling,
    /// Load balancers whose members are changed in steps.
    pub steps: Steps,
    /// Who may have Octavia change something now.
    pub turns: Turns,
    /// Endpoints that change together are looked at once.
    pub endpoints: Debounce,
}

impl Services {
    /// Nothing of Octavia is known yet.
    pub fn new(session: Session, defaults: ServiceDefaults, metrics: &Metrics) -> Self {
        Self {
            neutron: Neutron::new(session.clone()),
            octavia: Octavia::new(session),
            defaults,
            site: RwLock::default(),
            balancers: Balancers::default(),
            addresses: Addresses::default(),
            queue: Arc::new(Queue::new(metrics.queue_depth.get_or_create_owned(&Kind { kind: "service" }))),
            settling: Settling::default(),
            steps: Steps::default(),
            turns: Turns::default(),
            endpoints: Debounce::default(),
        }
    }

    /// How load balancers are made, if it is known yet.
    pub fn site(&self) -> Option<Arc<Site>> {
        self.site.read().clone()
    }

    /// The project that all we look at is in. None where each namespace may have its own: only an administrator sees them all.
    pub fn one_project(&self, site: &Site) -> Option<ProjectId> {
        (self.defaults.projects == Projects::One).then(|| site.project.clone())
    }

    /// A load balancer that is gone, and with it the port that floating IPs led to.
    pub fn forget(&self, id: &LoadBalancerId) {
        if let Some(gone) = self.balancers.remove(id)
            && let Some(port) = &gone.port
        {
            self.addresses.forget_port(port);
        }
    }

    /// Looks at every name that a Service or a record has.
    pub fn look_at_all(&self, context: &Context) {
        let services = context.caches.services.all().into_iter().map(|service| service.key.clone());
        let records = context.caches.balancers.all().into_iter().map(|record| record.key.clone());
        let gone = self.balancers.names().into_iter().chain(self.addresses.names(&context.own_tag));
        let gone = gone.filter_map(|name| {
            let (namespace, name) = name.split_once('/')?;
            Some(Key::new(namespace, name))
        });
        services.chain(records).chain(gone).for_each(|key| self.queue.add(key));
    }
}
