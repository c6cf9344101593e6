//! `kuryrctl policy` says of three pods what Kuryr, Neutron and OVN make of two policies, and notices what somebody else does to them.

use futures::future::try_join_all;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::PostParams;
use kuryr_e2e::{Context, Ending, Result, Stage, built, ensure, seconds, story, until};
use kuryr_openstack::neutron::{self, EtherType, NewRule, SecurityGroupFilter};
use serde_json::{Value, json};
use std::env;
use std::process::Command;
use std::time::Duration;

/// After this, a policy that is not enforced is wrong.
const ENFORCED_WITHIN: Duration = seconds(20);

/// What a command told.
struct Told {
    code: Option<i32>,
    report: Value,
}

#[tokio::test]
async fn kuryrctl_says_what_policies_do() -> Ending {
    story("policies: kuryrctl policy explain, trace, audit", async |stage| {
        let pods = ["web", "client", "other"];
        try_join_all(pods.map(|name| stage.pod(name).like_those_of(name).serving().start())).await?;
        make_policies(stage).await?;
        until("an audit finds nothing", ENFORCED_WITHIN, async || {
            let told = ask(stage, &["audit"])?;
            ensure!(told.code == Some(0), "{}", told.report);
            Ok(())
        })
        .await?;
        explains(stage)?;
        traces(stage)?;
        notices(stage).await
    })
    .await
}

/// `client` may reach `web` at its port http, which nobody else may, and go nowhere else.
async fn make_policies(stage: &Stage) -> Result<()> {
    let of = |app: &str| json!({ "matchLabels": { "app": app } });
    let ports = json!([{ "port": 8080, "protocol": "TCP" }]);
    let web = json!({
        "podSelector": of("web"), "policyTypes": ["Ingress"],
        "ingress": [{ "from": [{ "podSelector": of("client") }], "ports": ports }],
    });
    let client = json!({
        "podSelector": of("client"), "policyTypes": ["Egress"],
        "egress": [{ "to": [{ "podSelector": of("web") }], "ports": ports }],
    });
    for (name, spec) in [("web", web), ("client", client)] {
        let policy = serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec }))?;
        stage.api::<NetworkPolicy>().create(&PostParams::default(), &policy).await?;
    }
    Ok(())
}

fn explains(stage: &Stage) -> Result<()> {
    let web = format!("{}/web", stage.namespace);
    let told = ask(stage, &["explain", &web])?;
    let report = &told.report;
    ensure!(told.code == Some(0), "{:?}: {report}", told.code);
    ensure!(report["ingress"]["isolated_by"] == json!([web]), "{report}");
    ensure!(report["egress"]["isolated_by"] == json!([]), "{report}");
    let rules = report["ingress"]["rules"].as_array().context("no rules")?;
    let own: Vec<_> = rules.iter().filter(|rule| rule["policy"] == web.as_str()).collect();
    ensure!(own.len() == 1 && own[0]["ports"] == "tcp 8080", "{report}");
    ensure!(own[0]["addresses"].as_array().is_some_and(|all| all.len() == 2), "{report}");
    let groups = report["groups"].as_array().context("no groups")?;
    ensure!(groups.len() == 3 && groups.iter().all(|group| group["id"].is_string()), "{report}");
    Ok(())
}

/// The verdicts of policies, of Neutron's rules and of OVN are one.
fn traces(stage: &Stage) -> Result<()> {
    let cases = [
        ("client", "web", "8080/TCP", true),
        ("client", "web", "8081/UDP", false),
        ("other", "web", "8080/TCP", false),
        ("web", "other", "8080/TCP", true),
        ("client", "other", "8080/TCP", false),
    ];
    for (from, to, port, is_allowed) in cases {
        let told = trace(stage, from, to, port)?;
        let code = i32::from(!is_allowed);
        ensure!(told.code == Some(code), "{from} -> {to} {port}: {:?}: {}", told.code, told.report);
        let ways = told.report["ways"].as_array().context("no ways")?;
        ensure!(ways.len() == 2, "{}", told.report);
        let word = if is_allowed { "allowed" } else { "denied" };
        ensure!(ways.iter().all(|way| way["ovn"] == word), "{from} -> {to} {port}: {}", told.report);
    }
    let gone = format!("{}/gone", stage.namespace);
    let output = command(stage, &["trace", &gone, "192.0.2.1", "80/TCP"])?.output()?;
    ensure!(output.status.code() == Some(2) && output.stdout.is_empty(), "{output:?}");
    Ok(())
}

/// A rule that somebody made by hand.
async fn notices(stage: &Stage) -> Result<()> {
    let filter = SecurityGroupFilter {
        name: Some(format!("np/{}/web", stage.namespace)),
        ..SecurityGroupFilter::default()
    };
    let groups = stage.neutron.security_groups(&filter).await?;
    let group = groups.first().context("the policy has no group")?;
    let open = NewRule::open(group.id.clone(), neutron::Direction::Ingress, EtherType::IPv4);
    let made = stage.neutron.create_security_group_rules(&[open]).await?;
    let rule = made.first().context("no rule was made")?;
    let told = ask(stage, &["audit"])?;
    ensure!(told.code == Some(1), "{:?}: {}", told.code, told.report);
    let drift = told.report["drift"].as_array().context("no drift")?;
    ensure!(drift.len() == 1 && drift[0]["kind"] == "rule-strange", "{}", told.report);
    ensure!(drift[0]["id"] == rule.id.as_str(), "{}", told.report);
    let told = trace(stage, "other", "web", "8080/TCP")?;
    ensure!(told.code == Some(2) && told.report["allowed"] == false, "{:?}: {}", told.code, told.report);
    ensure!(told.report["differences"].as_array().is_some_and(|all| !all.is_empty()), "{}", told.report);
    stage.neutron.delete_security_group_rule(&rule.id).await?;
    let told = ask(stage, &["audit"])?;
    ensure!(told.code == Some(0), "{:?}: {}", told.code, told.report);
    Ok(())
}

fn trace(stage: &Stage, from: &str, to: &str, port: &str) -> Result<Told> {
    let [from, to] = [from, to].map(|pod| format!("{}/{pod}", stage.namespace));
    ask(stage, &["trace", &from, &to, port, "--verify", "--ovn-sb", &stage.facts.ovn.southbound])
}

fn ask(stage: &Stage, words: &[&str]) -> Result<Told> {
    let output = command(stage, words)?.output()?;
    let report = serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
    Ok(Told { code: output.status.code(), report })
}

fn command(stage: &Stage, words: &[&str]) -> Result<Command> {
    let tools = stage.facts.binary("ovn-trace")?.parent().context("a program lies in a folder")?;
    let old = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([tools.to_owned()].into_iter().chain(env::split_paths(&old)))?;
    let mut command = Command::new(built("kuryrctl")?);
    command.env("PATH", path).arg("policy").args(words).args(["-o", "json"]);
    command.arg("--config-file").arg(stage.facts.lab.join("kuryr/controller.conf"));
    command.arg("--kubeconfig").arg(&stage.facts.kubernetes.kubeconfig);
    Ok(command)
}
