//! Takes names from the queue and looks at each in a task of its own.

use crate::context::Context;
use crate::metrics::Failure;
use crate::reconcile::{Next, pod};
use crate::relist;
use kuryr_k8s::Key;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// Names that are looked at side by side. Most of the time they wait for Neutron together.
const CONCURRENCY: usize = 512;

/// Runs until it is dropped. What it started goes on in `tracker`.
pub async fn run(context: &Arc<Context>, tracker: &TaskTracker) {
    let places = Arc::new(Semaphore::new(CONCURRENCY));
    while let Ok(place) = places.clone().acquire_owned().await {
        let key = context.queue.next().await;
        let context = context.clone();
        tracker.spawn(async move {
            look_at(&context, key).await;
            drop(place);
        });
    }
}

/// One look at one name. A panic in it is a defect of ours, and harms that name alone.
async fn look_at(context: &Arc<Context>, key: Key) {
    let started = Instant::now();
    let (looking, name) = (context.clone(), key.clone());
    let look = tokio::spawn(async move { settle(&looking, &name).await });
    if look.await.is_err() {
        let pause = context.queue.add_failed(key.clone());
        tracing::error!(pod = %key, ?pause, "a look at the pod panicked");
    }
    context.metrics.reconciled("pod", started.elapsed());
    context.queue.done(&key);
}

async fn settle(context: &Context, key: &Key) {
    match pod::reconcile(context, key).await {
        Ok(Next::OnChange) => context.queue.forgive(key),
        Ok(Next::Within(time)) => {
            context.queue.forgive(key);
            context.queue.add_after(key.clone(), time);
        }
        Ok(Next::Later) => {
            context.queue.add_failed(key.clone());
        }
        Err(error) => {
            let failure = Failure { kind: "pod", class: error.class() };
            context.metrics.failures.get_or_create(&failure).inc();
            let pause = context.queue.add_failed(key.clone());
            let (why, request_id) = (relist::chain(&error), error.request_id().unwrap_or("-"));
            tracing::warn!(pod = %key, why, request_id, ?pause, "will look at the pod again");
            if let Some(news) = error.news() {
                pod::tell(context, key, context.caches.pods.get(key).as_deref(), news).await;
            }
        }
    }
}
