//! Pods and Services that are just there cost nothing: no write to Kubernetes, no request to OpenStack but the slow re-lists.

use kube::api::{ListParams, ResourceExt};
use kuryr_api::KuryrLoadBalancer;
use kuryr_api::port::KuryrPort;
use kuryr_e2e::{Context, Counters, Ending, Result, Stage, ensure, seconds, story_within, until};
use serde_json::json;
use std::collections::BTreeMap;
use std::env;
use tokio::time::sleep;

const OPENSTACK: &str = "kuryr_controller_openstack_requests";
const KUBERNETES: &str = "kuryr_controller_kubernetes_writes";
const CNI: &str = "kuryr_cni_request_duration_seconds_count";
/// What the re-lists ask in ten minutes, and how often. Ports are those of pods and those of nodes; subnets those of pods, once for
/// ports and once for members, and those of Services; members those of pools that were changed since the last look.
const RELIST: [(&str, u32); 15] = [
    ("/ports", 2),
    ("/networks/{id}", 1),
    ("/subnets", 3),
    ("/quotas/{id}/details", 1),
    ("/network-ip-availabilities/{id}", 1),
    ("/extensions", 1),
    ("/security-groups", 1),
    ("/address-groups", 1),
    ("/floatingips", 1),
    ("/lbaas/loadbalancers", 1),
    ("/lbaas/listeners", 1),
    ("/lbaas/pools", 1),
    ("/lbaas/pools/{id}/members", 4),
    ("/lbaas/healthmonitors", 1),
    ("/lbaas/quotas/{id}", 1),
];

#[tokio::test]
async fn nothing_happens_while_nothing_happens() -> Ending {
    let minutes = env::var("KURYR_E2E_STEADY_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    story_within(
        seconds(240 + 60 * minutes),
        "steady state with 20 pods and 2 Services of them",
        async |stage| {
            stage.deployment("crowd", 20).await?;
            let pods = stage.all_ready("crowd", 20, seconds(90)).await?;
            stage.ports_of_all(&pods).await?;
            for (name, affinity) in [("crowd", "None"), ("loyal", "ClientIP")] {
                let service = stage.service(name).ports(json!([{ "port": 80 }]));
                let service = service.with("selector", json!({ "app": "crowd" }));
                service.with("sessionAffinity", json!(affinity)).start().await?;
            }
            let before = at_rest(stage).await?;
            sleep(seconds(60 * minutes)).await;
            let after = Sight::of(stage).await?;
            let writes = after.controller.moved_since(&before.controller, KUBERNETES);
            ensure!(writes.is_empty(), "the controller wrote {writes:?}");
            only_relists(&after.controller.moved_since(&before.controller, OPENSTACK), minutes)?;
            ensure!(
                after.records == before.records,
                "records changed: {:?} {:?}",
                before.records,
                after.records
            );
            for (node, daemon) in &after.daemons {
                let mut calls = daemon.moved_since(&before.daemons[node], CNI);
                // The kubelet sweeps the sandboxes of earlier pods once a minute, and calls DEL for each once more.
                calls.retain(|name, _| !name.contains("\"DEL\""));
                ensure!(calls.is_empty(), "{node} was called: {calls:?}");
            }
            one_connection_each(stage).await
        },
    )
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
        let ports = stage.api::<KuryrPort>().list(&ListParams::default()).await?;
        let balancers = stage.api::<KuryrLoadBalancer>().list(&ListParams::default()).await?;
        let records = ports.iter().map(version).chain(balancers.iter().map(version)).collect();
        Ok(Self { controller: stage.controller_counters().await?, daemons, records })
    }
}

fn version(record: &impl ResourceExt) -> (String, Option<String>) {
    (record.name_any(), record.resource_version())
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

/// The daemons talk to nobody but the API server by TCP: all their watches and requests share one connection.
async fn one_connection_each(stage: &Stage) -> Result<()> {
    for node in stage.nodes()? {
        let all = node.run(["ss", "-Htnp", "state", "established"]).await?;
        let own = all.lines().filter(|line| line.contains("\"kuryr-daemon\"")).collect::<Vec<_>>();
        ensure!(own.len() == 1, "{}: connections of the daemon: {own:?}", node.name);
    }
    Ok(())
}

fn only_relists(requests: &BTreeMap<String, f64>, minutes: u64) -> Result<()> {
    let relists = u32::try_from(minutes / 10 + 1)?;
    for (name, count) in requests {
        let asked = RELIST.iter().find(|(path, _)| name.contains(&format!("\"{path}\"")));
        let asked = asked.filter(|_| name.contains("method=\"GET\"")).map(|(_, times)| *times);
        let most = asked.or_else(|| name.contains("service=\"identity\"").then_some(1));
        let most = most.with_context(|| format!("an idle controller asked {name}"))? * relists;
        ensure!(*count <= f64::from(most), "{count} times in {minutes} minutes: {name}");
    }
    Ok(())
}
