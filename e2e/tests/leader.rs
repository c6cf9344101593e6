//! Two controllers: one works. When it dies, stops or is held still, the other does, and never both.

use kuryr_e2e::{
    Component, Ending, Instead, Result, RunningPod, Stage, ensure, say, seconds, story, story_within, until,
};
use kuryr_testkit::proxy::{Faulty, Plan};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A killed leader is followed within this time.
const TAKEOVER: Duration = seconds(20);
/// One that stopped in an orderly way, within this.
const HANDOVER: Duration = seconds(2);

#[tokio::test]
async fn a_controller_follows_one_that_was_killed_and_one_that_stops() -> Ending {
    story("takeover by a second controller", async |stage| {
        until("the lab's controller leads", seconds(20), async || stage.lab_controller_leads().await).await?;
        let second = stage.second_controller(&Instead::default())?;
        until("the second stands by", seconds(20), async || second.stands_by().await).await?;
        let early = stage.pod("early").start().await?;

        let killed = Instant::now();
        stage.kill(&Component::CONTROLLER).await?;
        stage.pod("late").create().await?;
        until("the second leads", TAKEOVER, async || second.leads().await).await?;
        let led = killed.elapsed();
        let late = stage.ready("late").await?;
        tell("SIGKILL to the next leader", led);
        tell("SIGKILL to a pod that was made meanwhile being ready", killed.elapsed());

        stage.start(&Component::CONTROLLER).await?;
        until("the lab's controller stands by", seconds(20), async || {
            let (status, text) = stage.controller_readiness().await?;
            ensure!(status == 200 && text.contains("leader: standby"), "{status}: {text}");
            Ok(())
        })
        .await?;
        let asked = Instant::now();
        let status = second.stop().await?;
        ensure!(status.success(), "it ended with {status}");
        until("the lab's controller leads", HANDOVER, async || stage.lab_controller_leads().await).await?;
        tell("SIGTERM to the next leader", asked.elapsed());
        let last = stage.pod("last").start().await?;
        stage.ports_of_all(&[early, late, last]).await
    })
    .await
}

#[tokio::test]
async fn a_leader_that_was_held_still_writes_nothing_any_more() -> Ending {
    story_within(seconds(240), "leader that is held still past its lease", async |stage| {
        let neutron = Faulty::start(&stage.facts.openstack.neutron, Plan::harmless()).await?;
        let (_plain, api) = stage.plain_api().await?;
        let kubernetes = Faulty::start(&api, Plan::harmless()).await?;
        stage.stop(&Component::CONTROLLER).await?;
        let (neutron_url, kubernetes_url) = (neutron.url(), kubernetes.url());
        let instead =
            Instead { neutron: Some(neutron_url), kubernetes: Some(kubernetes_url), ..Instead::default() };
        let second = stage.second_controller(&instead)?;
        until("the second leads", TAKEOVER, async || second.leads().await).await?;
        let first_pods = [stage.pod("goes").start().await?, stage.pod("stays").start().await?];
        stage.start(&Component::CONTROLLER).await?;

        // Held still in the middle of its work, and the cluster goes on without it.
        stage.deployment("crowd", 12).await?;
        until("it is at work", seconds(30), async || {
            let made = neutron.writes().iter().filter(|write| write.starts_with("POST")).count();
            ensure!(made >= 3, "it made {made} requests");
            Ok(())
        })
        .await?;
        second.signal("STOP").await?;
        let stopped = Instant::now();
        until("the lab's controller leads", TAKEOVER, async || stage.lab_controller_leads().await).await?;
        tell("SIGSTOP to the next leader", stopped.elapsed());
        let [goes, stays] = first_pods;
        stage.force_delete_pod(&goes.name).await?;
        let mut pods = stage.all_ready("crowd", 12, seconds(90)).await?;
        pods.push(stays);
        stage.ports_of_all(&pods).await?;

        let before = (neutron.writes(), kubernetes.writes());
        second.signal("CONT").await?;
        until("it stands by", seconds(20), async || second.stands_by().await).await?;
        pods.push(while_it_is_awake(stage).await?);
        for (seen, before) in [(neutron.writes(), &before.0), (kubernetes.writes(), &before.1)] {
            ensure!(seen == *before, "it wrote after it lost the lease: {:?}", &seen[before.len()..]);
        }
        let (calls, objects) = (before.0.len(), before.1.len());
        say(&format!("  before: {calls} writes to OpenStack, {objects} to Kubernetes; after: none"));
        second.stop().await?;
        stage.ports_of_all(&pods).await
    })
    .await
}

/// It sees the same events as the leader, and longer than any pause of its own.
async fn while_it_is_awake(stage: &Stage) -> Result<RunningPod> {
    let pod = stage.pod("after").start().await?;
    sleep(seconds(12)).await;
    Ok(pod)
}

fn tell(what: &str, took: Duration) {
    say(&format!("  {what}: {:.1} s", took.as_secs_f64()));
}
