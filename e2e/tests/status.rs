//! `kuryrctl status` of a running Kuryr. The lab's runs as loose processes, so that its daemons can't be told.

use std::process::Command;

use kuryr_e2e::{Context, Ending, Result, Stage, built, ensure, seconds, story, until};
use serde_json::Value;

/// Exit code if nothing is wrong, but not everything could be seen.
const UNKNOWN: i32 = 2;

#[tokio::test]
async fn pods_leader_and_openstack_are_told() -> Ending {
    story("status", async |stage| {
        let before = status(stage)?.1["pods"]["wired"].as_u64().context("wired pods")?;
        stage.deployment("seen", 3).await?;
        stage.all_ready("seen", 3, seconds(60)).await?;
        until("the pods are told", seconds(10), async || {
            let (code, told) = status(stage)?;
            ensure!(told["pods"]["wired"].as_u64() == Some(before + 3), "{told}");
            ensure!(code == Some(UNKNOWN) && told["wrong"].as_array().is_some_and(Vec::is_empty), "{told}");
            Ok(())
        })
        .await?;
        let (_, told) = status(stage)?;
        ensure!(told["leader"]["holder"].as_str().is_some_and(|holder| !holder.is_empty()), "{told}");
        ensure!(told["openstack"]["requests"].as_u64() > Some(0), "{told}");
        ensure!(told["openstack"]["quota_left"]["ports"].as_i64() > Some(0), "{told}");
        let gap = told["unknown"][0].as_str().unwrap_or_default();
        ensure!(gap.contains("no daemon runs as a pod"), "{told}");
        Ok(())
    })
    .await
}

fn status(stage: &Stage) -> Result<(Option<i32>, Value)> {
    let mut command = Command::new(built("kuryrctl")?);
    command.args(["status", "-o", "json", "--metrics", "http://127.0.0.1:9654/metrics"]);
    let output = command.arg("--kubeconfig").arg(&stage.facts.kubernetes.kubeconfig).output()?;
    let told = serde_json::from_slice(&output.stdout);
    let told = told.with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok((output.status.code(), told))
}
