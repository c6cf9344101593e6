//! Calls that end anywhere, as when the daemon is killed: the next one finishes the work.

use std::{pin::pin, task::Poll, time::Duration};

use kuryr_cni::Command;
use tokio::time::sleep;

use crate::stage::{Pod, Stage, tap};

/// What was sent to the kernel or to OVSDB before the end still has its effect.
pub const IN_FLIGHT: Duration = Duration::from_millis(30);

/// Carries a future on for so many steps and drops it. Tells whether it came to its end.
pub async fn cut_after(steps: usize, future: impl Future) -> bool {
    let mut future = pin!(future);
    let mut left = steps;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        future.as_mut().poll(context).map(|_| true)
    })
    .await
}

/// An ADD ends after so many steps, the daemon begins anew, and the pod's next sandbox is connected. Returns both sandboxes, and whether
/// the ADD came to its end.
pub async fn cut_and_next(stage: &mut Stage, first: &Pod, steps: usize) -> (Pod, Pod, bool) {
    let (cut, next) = (first.again(&format!("cut-{steps}")), first.again(&format!("next-{steps}")));
    let ended = cut_after(steps, stage.node().add(&cut.request(Command::Add))).await;
    sleep(IN_FLIGHT).await;
    stage.restart().await;
    stage.add(&next).await.unwrap();
    (cut, next, ended)
}

async fn nothing_is_left(stage: &Stage, steps: usize) {
    assert_eq!(stage.ports(), Vec::<String>::new(), "after {steps} steps");
    stage.links_go().await;
}

#[tokio::test]
async fn an_add_that_is_cut_short_is_cleaned_up_by_del() {
    let mut stage = Stage::new().await;
    let first = stage.pod_with_port(5);
    let mut ended = false;
    for steps in 0.. {
        let pod = first.again(&format!("sandbox-{steps}"));
        ended = cut_after(steps, stage.node().add(&pod.request(Command::Add))).await;
        sleep(IN_FLIGHT).await;
        stage.restart().await;
        stage.del(&pod).await.unwrap();
        nothing_is_left(&stage, steps).await;
        if ended {
            assert!(steps > 5, "ADD has many steps, not {steps}");
            break;
        }
    }
    assert!(ended);
}

#[tokio::test]
async fn an_add_that_is_cut_short_does_not_keep_the_next_sandbox_from_its_port() {
    let mut stage = Stage::new().await;
    let first = stage.pod_with_port(5);
    for steps in 0.. {
        let (cut, next, ended) = cut_and_next(&mut stage, &first, steps).await;
        assert_eq!(
            stage.external_id(&tap(5), "kuryr-sandbox"),
            Some(next.sandbox.clone()),
            "after {steps} steps"
        );
        stage.del(&cut).await.unwrap();
        assert_eq!(stage.ports(), [tap(5)], "after {steps} steps");
        stage.del(&next).await.unwrap();
        nothing_is_left(&stage, steps).await;
        if ended {
            break;
        }
    }
}

#[tokio::test]
async fn a_del_that_is_cut_short_is_finished_by_the_next() {
    let mut stage = Stage::new().await;
    let first = stage.pod_with_port(5);
    for steps in 0.. {
        let pod = first.again(&format!("sandbox-{steps}"));
        stage.add(&pod).await.unwrap();
        let ended = cut_after(steps, stage.node().del(&pod.request(Command::Del))).await;
        sleep(IN_FLIGHT).await;
        stage.restart().await;
        stage.del(&pod).await.unwrap();
        nothing_is_left(&stage, steps).await;
        if ended {
            break;
        }
    }
}
