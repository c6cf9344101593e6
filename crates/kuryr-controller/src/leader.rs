//! Stands by until the Lease is ours, works as long as it is, and gives it back.
//!
//! ```text
//!             caches complete             lease acquired                 asked to stop
//!   starting ────────────────► standby ◄────────────────► leading ──► finishing ──► released, the end
//!                                         lease lost
//! ```
//!
//! Each term has its own context: permit, session, queue, list of ports. What an earlier term left under way hangs on that
//! term's permit, which is over for good, so that it changes nothing any more. That is why losing the Lease does not end the
//! process: its caches stay warm, and it is the next leader at once if nobody else is there.

use crate::context::{Caches, Context, Current, Parts};
use crate::metrics::Metrics;
use crate::pools::PoolDefaults;
use crate::reconcile::capacity;
use crate::settings::{PodDefaults, PolicyDefaults, ServiceDefaults};
use crate::upkeep::{Components, NOT_LOADED, Outages};
use crate::{dispatch, policies, pools, relist, services, upkeep, wiring};
use anyhow::Context as _;
use kuryr_k8s::Client;
use kuryr_k8s::events::Voice;
use kuryr_k8s::fence::Permit;
use kuryr_k8s::lease::{Elector, Lost, Waiting};
use kuryr_openstack::{Gate, Hooks, Observer, Session, Settings};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// After SIGTERM, what is in flight gets this long.
const GRACE: Duration = Duration::from_secs(20);

/// What outlives a term.
pub struct Candidate {
    /// To reach Kubernetes, without a permit.
    pub client: Client,
    /// What Kubernetes says.
    pub caches: Caches,
    /// The term, while there is one.
    pub current: Current,
    /// How to reach OpenStack.
    pub cloud: Settings,
    /// Is told of each request to it.
    pub observer: Arc<dyn Observer>,
    /// Whether it answers.
    pub outages: Arc<Outages>,
    /// What is counted.
    pub metrics: Metrics,
    /// How pods get their ports.
    pub defaults: PodDefaults,
    /// How Services get their load balancers; none: they get none.
    pub services: Option<ServiceDefaults>,
    /// How network policies are enforced; none: they are not.
    pub policies: Option<PolicyDefaults>,
    /// How ports are kept ready for pods to come; none: none are.
    pub pools: Option<PoolDefaults>,
    /// Whether Events are written.
    pub voice: Voice,
    /// What `/ready` tells.
    pub components: Components,
}

/// How a term ends.
enum End {
    /// The lease is gone.
    Lost(Lost),
    /// The process is to stop.
    Asked,
}

/// The gate of OpenStack's session is the permit of the term.
pub(crate) struct Term(pub(crate) Permit);

impl Gate for Term {
    fn left(&self) -> Option<Duration> {
        self.0.left()
    }
}

impl Candidate {
    /// Stands by and leads, in turn, until `stop` resolves.
    ///
    /// # Errors
    /// The session with OpenStack can't be set up.
    pub async fn run(
        &self,
        elector: &mut Elector,
        mut stop: Pin<&mut (dyn Future<Output = ()> + Send)>,
    ) -> anyhow::Result<()> {
        loop {
            let permit = tokio::select! {
                () = &mut stop => return Ok(()),
                permit = self.stand_by(elector) => permit,
            };
            tracing::info!("leading");
            let end = Box::pin(self.term(elector, &permit, stop.as_mut())).await;
            self.current.clear();
            self.metrics.leader.set(0);
            self.metrics.queue_depth.clear();
            match end? {
                End::Asked => return Ok(()),
                End::Lost(lost) => {
                    let why = relist::chain(&lost);
                    tracing::warn!(why, "lost the lease: stopped working, stands by");
                }
            }
        }
    }

    /// Waits with warm caches.
    async fn stand_by(&self, elector: &mut Elector) -> Permit {
        self.caches.complete().await;
        let Components { leader, openstack, network, services, pools, .. } = &self.components;
        let report = |waiting: Waiting<'_>| match waiting {
            Waiting::For(holder) => {
                self.current.stands_by(holder);
                leader.resting(format!("standby, {holder} leads"));
                openstack.resting("a standby does not ask it");
                network.resting("a standby does not read it");
                services.resting("a standby does not serve them");
                if let Some(pools) = pools {
                    pools.resting("a standby keeps none");
                }
            }
            Waiting::Trouble(error) => leader.bad(relist::chain(error)),
        };
        elector.acquire(report).await
    }

    /// Works until the lease is lost or the process is to stop.
    async fn term(
        &self,
        elector: &mut Elector,
        permit: &Permit,
        stop: Pin<&mut (dyn Future<Output = ()> + Send)>,
    ) -> anyhow::Result<End> {
        let tracker = TaskTracker::new();
        let end = tokio::select! {
            lost = elector.keep(permit) => End::Lost(lost),
            () = stop => End::Asked,
            failed = self.work(permit, &tracker) => match failed? {},
        };
        if matches!(end, End::Asked) {
            self.finish(elector, permit, &tracker).await;
        }
        Ok(end)
    }

    /// Takes the first look, and works until it is dropped.
    async fn work(&self, permit: &Permit, tracker: &TaskTracker) -> anyhow::Result<Infallible> {
        let components = &self.components;
        components.leader.good();
        components.openstack.bad("starting");
        components.network.bad("starting");
        components.services.resting("starting");
        if let Some(pools) = &components.pools {
            pools.missing(NOT_LOADED);
        }
        let context = Arc::new(self.context(permit).await?);
        self.current.set(&context);
        self.metrics.leader.set(1);
        let working = async {
            self.first_look(&context).await;
            context.look_at_all();
            tracing::info!(tag = context.own_tag, "ready");
            tokio::join!(
                dispatch::pods(&context, tracker),
                dispatch::services(&context, tracker),
                dispatch::policies(&context, tracker),
                dispatch::pools(&context, tracker),
                policies::run(&context),
                pools::run(&context),
                services::run(&context, &components.services),
                relist::run(&context),
                capacity::run(&context),
                wiring::run(&context)
            );
        };
        tokio::join!(working, upkeep::openstack(&context, components, &self.outages));
        // Neither ends by itself.
        std::future::pending().await
    }

    async fn context(&self, permit: &Permit) -> anyhow::Result<Context> {
        let hooks = Hooks { observer: self.observer.clone(), gate: Arc::new(Term(permit.clone())) };
        let session = Session::open_with(self.cloud.clone(), hooks);
        Ok(Context::new(Parts {
            caches: self.caches.clone(),
            own_tag: self.caches.own_tag().await,
            client: permit.guard(&self.client),
            session: session.context("failed to set up the way to OpenStack")?,
            metrics: self.metrics.clone(),
            defaults: self.defaults.clone(),
            services: self.services.clone(),
            policies: self.policies.clone(),
            pools: self.pools.clone(),
            voice: self.voice,
        }))
    }

    async fn first_look(&self, context: &Context) {
        let Components { openstack, network, pools, .. } = &self.components;
        relist::once(context, |error| {
            let why = relist::chain(error);
            tracing::warn!(why, "can't start yet");
            network.bad(why.clone());
            openstack.bad(why.clone());
            self.outages.failed(why);
        })
        .await;
        network.good();
        if let Some(pools) = pools {
            pools.good();
        }
    }

    /// What is in flight is finished, within a limit. The lease is given back if nothing is left that writes; else
    /// the next leader waits until it has run out.
    async fn finish(&self, elector: &mut Elector, permit: &Permit, tracker: &TaskTracker) {
        tracker.close();
        let in_flight = tracker.len();
        let finished = tokio::select! {
            lost = elector.keep(permit) => return tracing::warn!(%lost, "lost the lease while stopping"),
            finished = tokio::time::timeout(GRACE, tracker.wait()) => finished.is_ok(),
        };
        if !finished {
            return tracing::warn!(
                unfinished = tracker.len(),
                "stopped with work in flight: the next leader takes it up"
            );
        }
        match elector.release(permit).await {
            Ok(()) => tracing::info!(in_flight, "stopped, and gave the lease back"),
            Err(error) => {
                tracing::warn!(error = relist::chain(&error), "stopped; the lease runs out by itself");
            }
        }
    }
}
