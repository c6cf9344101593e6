//! Takes names from the queues and looks at each in a task of its own.

use crate::context::Context;
use crate::metrics::Failure;
use crate::policies::Subject;
use crate::queue::Queue;
use crate::reconcile::error::Error;
use crate::reconcile::{Next, peer, pod, policy, pool, service};
use crate::relist;
use kuryr_core::policy::key::PeerKey;
use kuryr_k8s::Key;
use std::fmt::Display;
use std::hash::Hash;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// Names of a kind that are looked at side by side. Most of the time they wait for OpenStack together.
const CONCURRENCY: usize = 512;

/// What is looked at, each by its name.
trait Kind {
    /// What metrics and logs call it.
    const NAME: &'static str;
    /// What one of it is known by.
    type Name: Clone + Display + Eq + Hash + Ord + Send + Sync + 'static;

    /// One look.
    fn reconcile(context: &Context, name: &Self::Name) -> impl Future<Output = Result<Next, Error>> + Send;
}

struct Pods;
struct Services;
struct Policies;
struct Peers;
struct PoolsOfNodes;

impl Kind for Pods {
    const NAME: &'static str = "pod";
    type Name = Key;

    async fn reconcile(context: &Context, name: &Key) -> Result<Next, Error> {
        pod::reconcile(context, name).await
    }
}

impl Kind for Services {
    const NAME: &'static str = "service";
    type Name = Key;

    async fn reconcile(context: &Context, name: &Key) -> Result<Next, Error> {
        match &context.services {
            Some(services) => service::reconcile(context, services, name).await,
            None => Ok(Next::OnChange),
        }
    }
}

impl Kind for Policies {
    const NAME: &'static str = "policy";
    type Name = Subject;

    async fn reconcile(context: &Context, name: &Subject) -> Result<Next, Error> {
        match &context.policies {
            Some(policies) => policy::reconcile(context, policies, name).await,
            None => Ok(Next::OnChange),
        }
    }
}

impl Kind for Peers {
    const NAME: &'static str = "peer";
    type Name = PeerKey;

    async fn reconcile(context: &Context, name: &PeerKey) -> Result<Next, Error> {
        match &context.policies {
            Some(policies) => peer::reconcile(context, policies, name).await,
            None => Ok(Next::OnChange),
        }
    }
}

impl Kind for PoolsOfNodes {
    const NAME: &'static str = "pool";
    type Name = Key;

    async fn reconcile(context: &Context, name: &Key) -> Result<Next, Error> {
        match &context.pools {
            Some(pools) => pool::reconcile(context, pools, name).await,
            None => Ok(Next::OnChange),
        }
    }
}

/// Looks at pods until it is dropped. What it started goes on in `tracker`.
pub async fn pods(context: &Arc<Context>, tracker: &TaskTracker) {
    run::<Pods>(context, &context.queue, tracker).await;
}

/// Looks at Services until it is dropped, where they are served.
pub async fn services(context: &Arc<Context>, tracker: &TaskTracker) {
    if let Some(services) = &context.services {
        run::<Services>(context, &services.queue, tracker).await;
    }
}

/// Looks at network policies and their address groups until it is dropped, where they are enforced.
pub async fn policies(context: &Arc<Context>, tracker: &TaskTracker) {
    if let Some(policies) = &context.policies {
        tokio::join!(
            run::<Policies>(context, &policies.queue, tracker),
            run::<Peers>(context, &policies.peers, tracker)
        );
    }
}

/// Looks at pools of nodes until it is dropped, where ports are kept ready.
pub async fn pools(context: &Arc<Context>, tracker: &TaskTracker) {
    if let Some(pools) = &context.pools {
        run::<PoolsOfNodes>(context, &pools.queue, tracker).await;
    }
}

async fn run<K: Kind + 'static>(context: &Arc<Context>, queue: &Arc<Queue<K::Name>>, tracker: &TaskTracker) {
    let places = Arc::new(Semaphore::new(CONCURRENCY));
    while let Ok(place) = places.clone().acquire_owned().await {
        let name = queue.next().await;
        let (context, queue) = (context.clone(), queue.clone());
        tracker.spawn(async move {
            look_at::<K>(&context, &queue, name).await;
            drop(place);
        });
    }
}

/// One look at one name. A panic in it is a defect of ours, and harms that name alone.
async fn look_at<K: Kind + 'static>(context: &Arc<Context>, queue: &Queue<K::Name>, name: K::Name) {
    let started = Instant::now();
    let (looking, seen) = (context.clone(), name.clone());
    let look = tokio::spawn(async move { K::reconcile(&looking, &seen).await });
    if let Ok(outcome) = look.await {
        settle::<K>(context, queue, &name, outcome);
    } else {
        let pause = queue.add_failed(name.clone());
        tracing::error!(kind = K::NAME, %name, ?pause, "a look panicked");
    }
    context.metrics.reconciled(K::NAME, started.elapsed());
    queue.done(&name);
}

fn settle<K: Kind>(context: &Context, queue: &Queue<K::Name>, name: &K::Name, outcome: Result<Next, Error>) {
    match outcome {
        Ok(Next::OnChange) => queue.forgive(name),
        Ok(Next::Within(time)) => {
            queue.forgive(name);
            queue.add_after(name.clone(), time);
        }
        Ok(Next::Later) => {
            queue.add_failed(name.clone());
        }
        Err(error) => {
            let kind = K::NAME;
            context.metrics.failures.get_or_create(&Failure { kind, class: error.class() }).inc();
            let pause = queue.add_failed(name.clone());
            let (why, request_id) = (relist::chain(&error), error.request_id().unwrap_or("-"));
            tracing::warn!(kind, %name, why, request_id, ?pause, "will look at it again");
        }
    }
}
