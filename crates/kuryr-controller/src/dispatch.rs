//! Takes names from the queues and looks at each in a task of its own.

use crate::context::Context;
use crate::metrics::Failure;
use crate::queue::Queue;
use crate::reconcile::error::Error;
use crate::reconcile::{Next, pod, service};
use crate::relist;
use kuryr_k8s::Key;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// Names of a kind that are looked at side by side. Most of the time they wait for OpenStack together.
const CONCURRENCY: usize = 512;

/// A kind whose names are looked at.
#[derive(Clone, Copy, Debug)]
enum Subject {
    Pod,
    Service,
}

/// Looks at pods until it is dropped. What it started goes on in `tracker`.
pub async fn pods(context: &Arc<Context>, tracker: &TaskTracker) {
    run(context, Subject::Pod, &context.queue, tracker).await;
}

/// Looks at Services until it is dropped, where they are served.
pub async fn services(context: &Arc<Context>, tracker: &TaskTracker) {
    if let Some(services) = &context.services {
        run(context, Subject::Service, &services.queue, tracker).await;
    }
}

async fn run(context: &Arc<Context>, subject: Subject, queue: &Arc<Queue<Key>>, tracker: &TaskTracker) {
    let places = Arc::new(Semaphore::new(CONCURRENCY));
    while let Ok(place) = places.clone().acquire_owned().await {
        let key = queue.next().await;
        let (context, queue) = (context.clone(), queue.clone());
        tracker.spawn(async move {
            look_at(&context, subject, &queue, key).await;
            drop(place);
        });
    }
}

/// One look at one name. A panic in it is a defect of ours, and harms that name alone.
async fn look_at(context: &Arc<Context>, subject: Subject, queue: &Queue<Key>, key: Key) {
    let started = Instant::now();
    let (looking, name) = (context.clone(), key.clone());
    let look = tokio::spawn(async move { subject.reconcile(&looking, &name).await });
    if let Ok(outcome) = look.await {
        settle(context, subject, queue, &key, outcome);
    } else {
        let pause = queue.add_failed(key.clone());
        tracing::error!(kind = subject.kind(), name = %key, ?pause, "a look panicked");
    }
    context.metrics.reconciled(subject.kind(), started.elapsed());
    queue.done(&key);
}

fn settle(context: &Context, subject: Subject, queue: &Queue<Key>, key: &Key, outcome: Result<Next, Error>) {
    match outcome {
        Ok(Next::OnChange) => queue.forgive(key),
        Ok(Next::Within(time)) => {
            queue.forgive(key);
            queue.add_after(key.clone(), time);
        }
        Ok(Next::Later) => {
            queue.add_failed(key.clone());
        }
        Err(error) => {
            let kind = subject.kind();
            context.metrics.failures.get_or_create(&Failure { kind, class: error.class() }).inc();
            let pause = queue.add_failed(key.clone());
            let (why, request_id) = (relist::chain(&error), error.request_id().unwrap_or("-"));
            tracing::warn!(kind, name = %key, why, request_id, ?pause, "will look at it again");
        }
    }
}

impl Subject {
    fn kind(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Service => "service",
        }
    }

    async fn reconcile(self, context: &Context, key: &Key) -> Result<Next, Error> {
        match (self, &context.services) {
            (Self::Pod, _) => pod::reconcile(context, key).await,
            (Self::Service, Some(services)) => service::reconcile(context, services, key).await,
            (Self::Service, None) => Ok(Next::OnChange),
        }
    }
}
