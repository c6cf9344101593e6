//! Services that Kuryr serves at their cluster IPs, with real packets: who answers, while endpoints, Services and parts of the lab
//! come and go.

mod apart;
mod describe;
mod endpoints;
mod faults;
mod kinds;
mod lives;
mod names;
mod outside;
mod packets;

use kuryr_e2e::{Result, RunningPod, Stage};

/// A client on one node, and a member of the Service `web` on each.
async fn client_and_two(stage: &Stage) -> Result<(RunningPod, RunningPod, RunningPod)> {
    tokio::try_join!(
        stage.pod("client").on("node1").serving().start(),
        stage.pod("near").on("node1").like_those_of("web").serving().start(),
        stage.pod("far").on("node2").like_those_of("web").serving().start(),
    )
}
