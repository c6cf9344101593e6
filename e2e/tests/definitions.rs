//! The definitions that install Kuryr, before a real API server: it takes every file as it stands, gives the accounts in them
//! the rights that they need and no others, and has pods counted where that is wanted.

use std::path::Path;

use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use kuryr_api::KuryrNode;
use kuryr_api::names::{PORTS_RESOURCE, SCHEDULE_BY_PORTS_LABEL};
use kuryr_api::port::KuryrPort;
use kuryr_e2e::{Context, Ending, FILES, Result, Stage, bail, ensure, seconds, story, until};
use serde_json::json;

const DAEMON: &str = "system:serviceaccount:kube-system:kuryr-cni";
/// How the API server tells on which node the pod of a token runs.
const NODE_HEADER: &str = "Impersonate-Extra-authentication.kubernetes.io%2Fnode-name";

#[tokio::test]
async fn every_file_passes_strict_validation() -> Ending {
    story("definitions are valid", async |stage| {
        let sets: [&[(&str, &str)]; 3] = [
            &[("KURYR_K8S_API_ROOT", "192.168.0.1:6443")],
            &[("KURYR_CONTROLLER_HA", "True"), ("CONTAINER_ENGINE", "crio"), ("VAR_RUN_PATH", "/run")],
            &[
                ("CONTAINER_ENGINE", "docker"),
                ("KURYR_HEALTH_SERVER_PORT", "18082"),
                ("CA_CERTIFICATE_PATH", "/nowhere"),
            ],
        ];
        for (number, set) in sets.iter().enumerate() {
            let folder = stage.generate(&number.to_string(), &[], set)?;
            for file in FILES {
                apply(stage, &["--dry-run=server", "-f", &text(&folder.join(file))]).await.context(file)?;
            }
            apply(stage, &["--dry-run=server", "-k", &text(&folder)]).await.context("kustomization.yaml")?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_daemon_writes_nothing_but_events_of_its_own_node() -> Ending {
    story("a daemon keeps to its node", async |stage| {
        install_accounts(stage).await?;
        let own = as_daemon(stage, Some("node1")).await?;
        let nobody = as_daemon(stage, None).await?;
        until("the policy is in force", seconds(30), async || {
            event(&own, stage, "node1").await.context("an event of its own node is refused")?;
            refused(
                event(&own, stage, "node2").await,
                "only events whose reportingInstance is its own node",
            )?;
            refused(
                event(&nobody, stage, "node1").await,
                "only events whose reportingInstance is its own node",
            )
        })
        .await?;
        reads_what_it_needs(&own).await?;
        says_what_is_its_own(&own).await?;
        let params = PostParams::default();
        let record = KuryrPort::new(
            "nobodys",
            serde_json::from_value(json!({"podUid": "u", "podNodeName": "node1"}))?,
        );
        let records: Api<KuryrPort> = Api::namespaced(own.clone(), &stage.namespace);
        refused(records.create(&params, &record).await, "cannot create")?;
        let pods: Api<Pod> = Api::namespaced(own.clone(), &stage.namespace);
        let patch = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
        refused(pods.patch("any", &PatchParams::default(), &patch).await, "cannot patch")?;
        let secrets: Api<Secret> = Api::namespaced(own.clone(), "kube-system");
        refused(secrets.get("kuryr-credentials").await, "cannot get")
    })
    .await
}

#[tokio::test]
async fn pods_of_a_labelled_namespace_are_counted_by_the_scheduler() -> Ending {
    story("pods ask for ports", async |stage| {
        stage.schedule_by_ports().await?;
        stage
            .kubectl(&["label", "namespace", &stage.namespace, &format!("{SCHEDULE_BY_PORTS_LABEL}=true")])
            .await?;
        stage.pod("asks").asks_for_a_port().await?;
        let own = json!([{"name": "c", "image": "any", "resources": {
            "requests": { "cpu": "10m" }, "limits": { "memory": "64Mi" },
        }}]);
        ensure!(stage.pod("with-its-own").with("containers", own).asked_ports().await? == ["1", "1"]);
        let host = stage.pod("of-the-host").with("hostNetwork", json!(true)).asked_ports().await?;
        ensure!(host.is_empty(), "a pod in the host's network asks for {host:?}");
        // The lab's nodes are no virtual machines, and no other has ports to offer.
        stage.pod("waits").create().await?;
        let told = stage.event("FailedScheduling", seconds(30)).await?;
        ensure!(told.contains(&format!("Insufficient {PORTS_RESOURCE}")), "{told}");
        Ok(())
    })
    .await
}

async fn reads_what_it_needs(client: &Client) -> Result<()> {
    let one = ListParams::default().limit(1);
    Api::<Pod>::all(client.clone()).list(&one).await.context("pods")?;
    Api::<KuryrPort>::all(client.clone()).list(&one).await.context("kuryrports")?;
    Api::<KuryrNode>::all(client.clone()).list(&one).await.context("kuryrnodes")?;
    Ok(())
}

/// There are no KuryrNodes, since the lab keeps no ports ready: what a daemon may write of its own node is not found, and what it may not
/// write is refused.
async fn says_what_is_its_own(client: &Client) -> Result<()> {
    let nodes = Api::<KuryrNode>::all(client.clone());
    let (params, said) = (PatchParams::default(), Patch::Merge(json!({ "status": { "daemon": "test" } })));
    match nodes.patch_status("node1", &params, &said).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        other => bail!("of its own node: {other:?}"),
    }
    refused(nodes.patch("node1", &params, &said).await, "cannot patch")
}

/// Makes the daemons' account and what binds it, unless Kuryr is installed by them already.
async fn install_accounts(stage: &Stage) -> Result<()> {
    let file = text(&stage.generate("accounts", &[], &[])?.join("cni_service_account.yml"));
    let account =
        ["get", "serviceaccount", "kuryr-cni", "-n", "kube-system", "--ignore-not-found", "-o", "name"];
    if stage.kubectl(&account).await?.is_empty() {
        stage.kubectl_at_end(&["delete", "-n", "kube-system", "-f", &file])?;
    }
    apply(stage, &["-f", &file]).await
}

/// A client with the rights of a daemon whose token is of a pod on that node.
async fn as_daemon(stage: &Stage, node: Option<&str>) -> Result<Client> {
    let file = Kubeconfig::read_from(&stage.facts.kubernetes.kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    config.auth_info.impersonate = Some(DAEMON.to_owned());
    let groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"];
    config.auth_info.impersonate_groups = Some(groups.map(str::to_owned).to_vec());
    if let Some(node) = node {
        config.headers.push((NODE_HEADER.parse()?, node.parse()?));
    }
    Ok(Client::try_from(config)?)
}

/// Writes an event as the daemon of `node` does, and removes it as the administrator.
async fn event(client: &Client, stage: &Stage, node: &str) -> kube::Result<()> {
    let event: Event = serde_json::from_value(json!({
        "metadata": {"generateName": "of-a-daemon-", "namespace": stage.namespace},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "action": "Network", "reason": "Test", "type": "Normal", "note": "of a test",
        "reportingController": "kuryr-daemon", "reportingInstance": node,
        "regarding": {"kind": "Pod", "name": "any", "namespace": stage.namespace},
    }))
    .map_err(kube::Error::SerdeError)?;
    let events: Api<Event> = Api::namespaced(client.clone(), &stage.namespace);
    let name = events.create(&PostParams::default(), &event).await?.metadata.name.unwrap_or_default();
    stage.api::<Event>().delete(&name, &DeleteParams::default()).await.map(drop)
}

fn refused<T>(result: kube::Result<T>, why: &str) -> Result<()> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 403 && status.message.contains(why) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("refused, but not because {why}")),
        Ok(_) => bail!("not refused, and {why}"),
    }
}

async fn apply(stage: &Stage, words: &[&str]) -> Result<()> {
    let start = ["apply", "--validate=strict", "-n", "kube-system"];
    stage.kubectl(&[&start, words].concat()).await.map(drop)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
