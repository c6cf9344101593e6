//! Two hundred pods come and go while one request in ten to Neutron is spoilt.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kuryr_e2e::{Ending, Result, Stage, ensure, seconds, story_within, until};
use kuryr_testkit::proxy::{Fault, Faulty, Plan};
use std::fs;

const WAVES: usize = 8;
const CROWD: usize = 25;
const PERCENT: u8 = 10;
const SEED: u64 = 3;

#[tokio::test]
async fn two_hundred_pods_while_neutron_is_flaky() -> Ending {
    story_within(seconds(600), "soak of 200 pods with a tenth of the requests spoilt", async |stage| {
        let proxy = Faulty::start(&stage.facts.openstack.neutron, Plan::harmless()).await?;
        put_between(stage, &proxy).await?;
        proxy.set_plan(Plan { delay: seconds(2), ..Plan::evenly(PERCENT, SEED) });
        stage.deployment("crowd", CROWD).await?;
        stage.all_ready("crowd", CROWD, seconds(120)).await?;
        let crowd = ListParams::default().labels("app=crowd");
        for _ in 1..WAVES {
            // The next pods start while these go.
            stage.api::<Pod>().delete_collection(&DeleteParams::default(), &crowd).await?;
            let pods = stage.all_ready("crowd", CROWD, seconds(120)).await?;
            stage.ports_of_all(&pods).await?;
        }
        stage.scale("crowd", 0).await?;
        until("all of it is gone", seconds(90), async || stage.nothing_left().await).await?;
        spoilt(&proxy)
    })
    .await
}

/// Restarts Kuryr so that its way to Neutron leads through the proxy, until the story ends.
async fn put_between(stage: &Stage, proxy: &Faulty) -> Result<()> {
    let file = stage.facts.lab.join("e2e.conf");
    fs::write(&file, format!("[neutron]\nendpoint_override = {}\n", proxy.url()))?;
    let programs = stage.facts.lab.join("kuryr/bin").into_os_string();
    let command = |conf: Option<std::ffi::OsString>| {
        let words = ["kuryr", "up", "--bin"].map(std::ffi::OsString::from);
        let conf = conf.into_iter().flat_map(|conf| ["--conf".into(), conf]);
        words.into_iter().chain([programs.clone()]).chain(conf).collect::<Vec<_>>()
    };
    stage.lab_at_end(command(None));
    stage.lab(command(Some(file.into_os_string()))).await.map(drop)
}

/// A soak without trouble would prove nothing.
fn spoilt(proxy: &Faulty) -> Result<()> {
    let done = proxy.done();
    eprintln!("  {} requests, of which spoilt: {done:?}", proxy.requests());
    ensure!(done.values().sum::<u64>() >= 20 && done.len() >= 6, "too little was spoilt: {done:?}");
    ensure!(done.contains_key(&Fault::CutAfterwards), "no answer was lost: {done:?}");
    Ok(())
}
