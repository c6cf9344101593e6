//! Pods that just run cost nothing: no write to Kubernetes, no request to OpenStack but the slow re-list.

use kube::api::{ListParams, ResourceExt};
use kuryr_api::port::KuryrPort;
use kuryr_e2e::{Counters, Ending, Result, Stage, ensure, seconds, story_within, until};
use std::collections::BTreeMap;
use std::env;
use tokio::time::sleep;

const OPENSTACK: &str = "kuryr_controller_openstack_requests";
const KUBERNETES: &str = "kuryr_controller_kubernetes_writes";
const CNI: &str = "kuryr_cni_request_duration_seconds_count";
/// What the re-list asks, once in ten minutes.
const RELIST: [&str; 5] =
    ["/ports", "/networks/{id}", "/subnets", "/quotas/{id}/details", "/network-ip-availabilities/{id}"];

#[tokio::test]
async fn nothing_happens_while_nothing_happens() -> Ending {
    let minutes = env::var("KURYR_E2E_STEADY_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    story_within(seconds(240 + 60 * minutes), "steady state with 20 pods", async |stage| {
        stage.deployment("crowd", 20).await?;
        let pods = stage.all_ready("crowd", 20, seconds(90)).await?;
        stage.ports_of_all(&pods).await?;
        let before = at_rest(stage).await?;
        sleep(seconds(60 * minutes)).await;
        let after = Sight::of(stage).await?;
        let writes = after.controller.moved_since(&before.controller, KUBERNETES);
        ensure!(writes.is_empty(), "the controller wrote {writes:?}");
        only_relists(&after.controller.moved_since(&before.controller, OPENSTACK), minutes)?;
        ensure!(after.records == before.records, "records changed: {:?} {:?}", before.records, after.records);
        for (node, daemon) in &after.daemons {
            let mut calls = daemon.moved_since(&before.daemons[node], CNI);
            // The kubelet sweeps the sandboxes of earlier pods once a minute, and calls DEL for each once more.
            calls.retain(|name, _| !name.contains("\"DEL\""));
            ensure!(calls.is_empty(), "{node} was called: {calls:?}");
        }
        Ok(())
    })
    .await
}

/// All that can be counted.
struct Sight {
    controller: Counters,
    daemons: BTreeMap<String, Counters>,
    records: BTreeMap<String, Option<String>>,
}

impl Sight {
    async fn of(stage: &Stage) -> Result<Self> {
        let mut daemons = BTreeMap::new();
        for node in stage.nodes()? {
            daemons.insert(node.name.clone(), node.daemon_counters().await?);
        }
        let records = stage.api::<KuryrPort>().list(&ListParams::default()).await?;
        Ok(Self {
            controller: stage.controller_counters().await?,
            daemons,
            records: records.iter().map(|record| (record.name_any(), record.resource_version())).collect(),
        })
    }
}

/// The counters once nothing of the beginning is under way any more.
async fn at_rest(stage: &Stage) -> Result<Sight> {
    until("the controller comes to rest", seconds(30), async || {
        let before = Sight::of(stage).await?;
        sleep(seconds(3)).await;
        let moved = stage.controller_counters().await?.moved_since(&before.controller, "kuryr_controller");
        ensure!(moved.keys().all(|name| name.contains("cached")), "{moved:?} moved");
        Ok(before)
    })
    .await
}

fn only_relists(requests: &BTreeMap<String, f64>, minutes: u64) -> Result<()> {
    let most = f64::from(u32::try_from(minutes / 10 + 1)?);
    for (name, count) in requests {
        let is_relist = name.contains("method=\"GET\"") && RELIST.iter().any(|path| name.contains(path));
        ensure!(is_relist || name.contains("service=\"identity\""), "an idle controller asked {name}");
        ensure!(*count <= most, "{count} times in {minutes} minutes: {name}");
    }
    Ok(())
}
