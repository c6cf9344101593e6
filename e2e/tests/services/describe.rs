//! `kuryrctl describe service`: what a user sees of a Service that is served, of one that asks for too much, and of one whose load
//! balancer somebody has deleted.

use crate::client_and_two;
use kuryr_e2e::{Component, Context, Ending, Result, Stage, built, ensure, seconds, story, until};
use serde_json::{Value, json};
use std::process::{Command, Output};

/// What the command said.
#[derive(Debug)]
struct Told {
    code: Option<i32>,
    report: Value,
}

#[tokio::test]
async fn a_service_is_described_as_it_is() -> Ending {
    story("description of a Service that is served", async |stage| {
        let (_, near, far) = client_and_two(stage).await?;
        let web = stage.service("web").start().await?;
        let told = settled(stage, "web", Some(0)).await?;
        told.has("/service/cluster_ips", &json!([web.address]))?;
        told.has("/endpoints", &json!({ "ready": 2, "draining": 0, "not_ready": 0 }))?;
        told.has("/record/load_balancer", &json!(web.balancer.as_str()))?;
        told.has("/load_balancers/0/id", &json!(web.balancer.as_str()))?;
        told.has("/load_balancers/0/owner", &json!("this cluster's"))?;
        let listener = "/load_balancers/0/listeners/0";
        told.has(&format!("{listener}/front"), &json!("TCP:80"))?;
        told.has(&format!("{listener}/provisioning_status"), &json!("ACTIVE"))?;
        let mut addresses = [near.v4, far.v4];
        addresses.sort();
        for (at, address) in addresses.iter().enumerate() {
            told.has(&format!("{listener}/pool/members/{at}/address"), &json!(address))?;
            told.has(&format!("{listener}/pool/members/{at}/port"), &json!(8080))?;
        }
        let text = describe(stage, "web", "text").await?;
        let text = String::from_utf8_lossy(&text.stdout).into_owned();
        let words =
            [web.path(), web.address.to_string(), web.balancer.to_string(), "nothing to do".to_owned()];
        for word in words {
            ensure!(text.contains(&word), "{word} is not in {text}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_asked_in_vain_is_described() -> Ending {
    story("description of a Service with source ranges, which OVN can't honour", async |stage| {
        client_and_two(stage).await?;
        let ranges = json!(["192.0.2.0/24"]);
        let web = stage.service("web").with("type", json!("LoadBalancer"));
        let web = web.with("loadBalancerSourceRanges", ranges).start().await?;
        stage.event("SourceRangesNotServed", seconds(20)).await?;
        let told = settled(stage, "web", Some(1)).await?;
        told.only("wrong", &["SourceRangesNotServed", "loadBalancerSourceRanges"])?;
        told.has("/next", &json!([]))?;
        told.has("/service/outside", &json!([]))?;
        told.has("/floating_ips", &json!([]))?;
        told.has("/events/0/reason", &json!("SourceRangesNotServed"))?;

        stage.change_service("web", json!({ "loadBalancerSourceRanges": null })).await?;
        let outside = stage.outside("web").await?;
        let told = settled(stage, "web", Some(0)).await?;
        told.has("/service/outside", &json!([outside]))?;
        told.has("/floating_ips/0/address", &json!(outside))?;
        told.has("/floating_ips/0/leads_to", &json!(web.address))
    })
    .await
}

#[tokio::test]
async fn what_kuryr_would_do_next_is_described() -> Ending {
    story("description of a Service whose load balancer is gone, and what comes next", async |stage| {
        client_and_two(stage).await?;
        let web = stage.service("web").start().await?;
        // A controller that runs may be quicker than we.
        stage.stop(&Component::CONTROLLER).await?;
        stage.delete_balancer(&web.balancer).await?;
        let told = Told::read(&describe(stage, "web", "json").await?)?;
        ensure!(told.code == Some(1), "{told:?}");
        told.has("/load_balancers", &json!([]))?;
        told.has("/record/load_balancer", &json!(web.balancer.as_str()))?;
        told.only("next", &["make a load balancer", &web.address.to_string()])?;

        stage.start(&Component::CONTROLLER).await?;
        let again = stage.served("web").await?;
        let told = settled(stage, "web", Some(0)).await?;
        told.has("/load_balancers/0/id", &json!(again.balancer.as_str()))?;
        ensure!(again.balancer != web.balancer, "it has the load balancer that was deleted");

        stage.delete_service("web").await?;
        stage.unserved(&again).await?;
        let told = settled(stage, "web", Some(0)).await?;
        told.only("notes", &["there is no such Service"])
    })
    .await
}

/// What is told once Kuryr has nothing more to do.
async fn settled(stage: &Stage, name: &str, code: Option<i32>) -> Result<Told> {
    until("the command sees what is so", seconds(20), async || {
        let told = Told::read(&describe(stage, name, "json").await?)?;
        ensure!(told.code == code && told.report["unknown"] == json!([]), "{told:?}");
        Ok(told)
    })
    .await
}

async fn describe(stage: &Stage, name: &str, format: &str) -> Result<Output> {
    let mut command = Command::new(built("kuryrctl")?);
    command.args(["describe", "service", name, "--namespace", &stage.namespace, "--output", format]);
    command.arg("--config-file").arg(stage.facts.lab.join("kuryr/controller.conf"));
    command.arg("--kubeconfig").arg(&stage.facts.kubernetes.kubeconfig);
    Ok(tokio::task::spawn_blocking(move || command.output()).await??)
}

impl Told {
    fn read(output: &Output) -> Result<Self> {
        let report = serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
        Ok(Self { code: output.status.code(), report })
    }

    fn has(&self, place: &str, value: &Value) -> Result<()> {
        let found = self.report.pointer(place);
        ensure!(found == Some(value), "{place} is {found:?}, not {value}: {}", self.report);
        Ok(())
    }

    /// Sees that one thing of this kind is told, in these words.
    fn only(&self, kind: &str, words: &[&str]) -> Result<()> {
        let told = self.report[kind].as_array().map_or(&[][..], Vec::as_slice);
        let [Value::String(text)] = told else { kuryr_e2e::bail!("{kind} is {told:?}: {}", self.report) };
        let missing = words.iter().find(|word| !text.contains(*word));
        ensure!(missing.is_none(), "{missing:?} is not in {text}");
        Ok(())
    }
}
