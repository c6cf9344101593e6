//! Kuryr as its users install it: images, the definitions of the installation guide, pods.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;

use k8s_openapi::api::core::v1::Pod;
use kuryr_e2e::{
    CONTROLLER_PODS, Context, DAEMON_PODS, Ending, Image, Installation, Protocol, Result, RunningPod, Stage,
    built, ensure, say, seconds, story_within, until,
};
use serde_json::{Value, json};

#[tokio::test]
async fn the_guides_own_commands_install_kuryr() -> Ending {
    story_within(seconds(180), "installation as the guide says", async |stage| {
        stage.install(Installation { images: &IMAGES, words: &[], env: &[] }).await?;
        let controllers = stage.kuryr_pods(CONTROLLER_PODS).await?;
        ensure!(phases(&controllers) == ["Running"], "the controllers are {:?}", phases(&controllers));
        let daemons = stage.kuryr_pods(DAEMON_PODS).await?;
        let (on, nodes) = (nodes_of(&daemons), stage.nodes()?);
        ensure!(daemons.len() == nodes.len() && on.len() == nodes.len(), "daemons run on {on:?}");
        stage.serving_deployment("web", 4).await?;
        let pods = stage.all_ready("web", 4, seconds(60)).await?;
        ensure!(pods.iter().map(|pod| &pod.node).collect::<BTreeSet<_>>().len() == 2, "all on one node");
        stage.ports_of_all(&pods).await?;
        for to in &pods[1..] {
            stage.reaches(&pods[0], to, to.v4, Protocol::Tcp).await?;
            stage.reaches(&pods[0], to, to.v6, Protocol::Tcp).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_helm_chart_installs_kuryr() -> Ending {
    story_within(seconds(180), "installation with Helm", async |stage| {
        stage.install_chart(&IMAGES, &[]).await?;
        ensure!(stage.kuryr_pods(CONTROLLER_PODS).await?.len() == 2, "there is no standby");
        let (a, b) = two(stage).await?;
        stage.reaches(&a, &b, b.v4, Protocol::Tcp).await?;
        check_as_a_job(stage).await?;

        let before = uids(stage).await?;
        stage.upgrade_chart(&["--set", "config.DEFAULT.debug=true"]).await?;
        ensure!(before.is_disjoint(&uids(stage).await?), "a new configuration reaches not every pod");
        let c = stage.pod("c").serving().start().await?;
        stage.reaches(&a, &c, c.v4, Protocol::Tcp).await?;
        stage.ports_of_all(&[a.clone(), b, c]).await?;

        stage.helm(&["uninstall", "kuryr", "--wait", "--timeout=60s"])?;
        for kinds in ["deployments,daemonsets,secrets,configmaps", "clusterroles,validatingadmissionpolicies"]
        {
            let left = stage.kubectl(&["get", kinds, "-A", "-l", OURS, "-o", "name"]).await?;
            ensure!(left.is_empty(), "there are {left}");
        }
        stage.port_of(&a).await.context("a running pod lost its port").map(drop)
    })
    .await
}

/// `kuryrctl check` in the cluster, with the configuration that the controller has.
async fn check_as_a_job(stage: &Stage) -> Result<()> {
    let file = stage.facts.repository.join("deploy/check.yaml").display().to_string();
    stage.kubectl_at_end(&["delete", "-f", &file, "--ignore-not-found"])?;
    stage.kubectl(&["apply", "-f", &file]).await?;
    let job = ["job/kuryr-check", "-n", "kube-system"];
    let done =
        stage.kubectl(&[&["wait", "--for=condition=complete", "--timeout=60s"], &job[..]].concat()).await;
    let told = stage.kubectl(&[&["logs"], &job[..]].concat()).await?;
    done.with_context(|| told.clone())?;
    ensure!(told.contains("pod subnets") && told.contains("no problems"), "{told}");
    Ok(())
}

#[tokio::test]
async fn an_upgrade_disturbs_no_pod() -> Ending {
    story_within(seconds(240), "upgrade under a ping every 10 ms", async |stage| {
        let env = [("KURYR_CONTROLLER_HA", "True")];
        stage.install(Installation { images: &IMAGES, words: &[], env: &env }).await?;
        ensure!(stage.kuryr_pods(CONTROLLER_PODS).await?.len() == 2, "there is no standby");
        let (a, b) = two(stage).await?;
        let is_over = Cell::new(false);
        let upgrade = async {
            let rolled = roll_out(stage).await;
            is_over.set(true);
            rolled
        };
        let (pods, pings) = tokio::join!(upgrade, pings_until(stage, &a, &b, &is_over));
        let (mut pods, pings) = (pods?, pings?);
        say(&format!("  {pings:?}"));
        ensure!(pings.sent > 500, "too few pings for the whole upgrade: {pings:?}");
        // A switch in user space on a busy machine loses one now and then. An interface that is touched loses them in a row.
        ensure!(pings.longest_gap < 10 && pings.lost * 50 < pings.sent, "{pings:?}");
        pods.extend([a, b]);
        stage.ports_of_all(&pods).await
    })
    .await
}

#[tokio::test]
async fn the_plugin_works_without_a_daemon() -> Ending {
    story_within(seconds(180), "image without a daemon", async |stage| {
        let images = [Image::Controller, Image::Daemonless];
        stage
            .install(Installation { images: &images, words: &["--cni-image=kuryr/cni:daemonless"], env: &[] })
            .await?;
        let (a, b) = two(stage).await?;
        stage.reaches(&a, &b, b.v4, Protocol::Tcp).await?;
        stage.reaches(&b, &a, a.v6, Protocol::Udp).await?;
        let node = stage.node(&a.node)?;
        ensure!(!node.file("/run/kuryr/kuryr.sock").exists(), "a daemon serves");
        let kept = Kept::of(stage, &a)?;
        for (verb, conf) in [("VERSION", &kept.conf), ("STATUS", &kept.conf), ("CHECK", &kept.with_result())]
        {
            kept.call(stage, &a, verb, conf).await?;
        }
        let mut wrong = kept.with_result();
        // Of no network of the lab.
        wrong["prevResult"]["ips"][0]["address"] = json!("192.0.2.3/16");
        let told = kept.call(stage, &a, "CHECK", &wrong).await;
        ensure!(told.is_err(), "CHECK does not see an address that the pod has not: {told:?}");
        let mut all = kept.conf.clone();
        all["cni.dev/valid-attachments"] = json!([{ "containerID": kept.sandbox, "ifname": "eth0" }]);
        kept.call(stage, &a, "GC", &all).await?;
        stage.reaches(&a, &b, b.v4, Protocol::Tcp).await?;
        stage.ports_of_all(&[a, b]).await
    })
    .await
}

#[tokio::test]
async fn what_was_installed_is_taken_out_again() -> Ending {
    story_within(seconds(180), "uninstallation", async |stage| {
        stage.install(Installation { images: &IMAGES, words: &[], env: &[] }).await?;
        let pod = stage.pod("pod").serving().start().await?;
        stage
            .kubectl(&["create", "service", "clusterip", "held", "--tcp=80", "-n", &stage.namespace])
            .await?;
        let held = r#"{"metadata":{"finalizers":["kuryr.openstack.org/service-finalizer"]}}"#;
        stage
            .kubectl(&["patch", "service", "held", "-n", &stage.namespace, "--type=merge", "-p", held])
            .await?;

        let told = uninstall(stage, &[])?;
        ensure!(told.contains("would delete Deployment kube-system/kuryr-controller"), "{told}");
        stage.port_of(&pod).await.context("without --yes something was done")?;

        let told = uninstall(stage, &["--yes"])?;
        ensure!(told.contains("take Kuryr's finalizers off Service") && !told.contains("FAILED"), "{told}");
        ensure!(stage.ports_of(&pod.uid).await?.is_empty(), "the pod's port is there: {told}");
        for kinds in
            ["deployments,daemonsets,secrets,configmaps,roles", "clusterroles,validatingadmissionpolicies"]
        {
            let left = stage.kubectl(&["get", kinds, "-A", "-l", OURS, "-o", "name"]).await?;
            ensure!(left.is_empty(), "there are {left}");
        }
        until("the definitions are gone", seconds(20), async || {
            let left = stage.kubectl(&["get", "crds", "-o", "name"]).await?;
            ensure!(!left.contains("openstack.org"), "there are {left}");
            Ok(())
        })
        .await?;
        stage.kubectl(&["delete", "service", "held", "-n", &stage.namespace, "--timeout=20s"]).await?;
        let told = uninstall(stage, &["--yes"])?;
        ensure!(told.is_empty(), "there was something left to do: {told}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn ports_that_are_kept_are_taken_over_by_the_next_kuryr() -> Ending {
    story_within(seconds(240), "uninstallation that keeps ports, and a new installation", async |stage| {
        let installation = Installation { images: &IMAGES, words: &[], env: &[] };
        stage.install(installation).await?;
        let (a, b) = two(stage).await?;
        let before = stage.port_of(&a).await?;
        let told = uninstall(stage, &["--yes", "--keep-ports"])?;
        ensure!(told.contains("delete Deployment kube-system/kuryr-controller"), "{told}");
        ensure!(!told.contains("Neutron port") && !told.contains("FAILED"), "{told}");
        ensure!(stage.kuryr_pods(DAEMON_PODS).await?.is_empty(), "daemons run");
        stage.reaches(&a, &b, b.v4, Protocol::Tcp).await.context("without Kuryr")?;

        stage.install(installation).await?;
        ensure!(stage.port_of(&a).await?.id == before.id, "the pod has another port");
        let c = stage.pod("c").serving().start().await?;
        stage.reaches(&a, &c, c.v4, Protocol::Tcp).await?;
        let gone = a.clone();
        stage.delete_pod("a").await?;
        stage.gone("a", &gone.uid).await?;
        stage.ports_of_all(&[b, c]).await
    })
    .await
}

/// `kuryrctl uninstall`, and what it says.
fn uninstall(stage: &Stage, words: &[&str]) -> Result<String> {
    let mut command = std::process::Command::new(built("kuryrctl")?);
    command.arg("uninstall").args(words).arg("--kubeconfig").arg(&stage.facts.kubernetes.kubeconfig);
    let output = command.arg("--config-file").arg(stage.facts.lab.join("kuryr/controller.conf")).output()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    Ok(told)
}

/// The version of CNI that has GC and STATUS.
const ALL_VERBS: &str = "1.1.0";
/// The label of everything that an installation brings.
const OURS: &str = "app.kubernetes.io/name=kuryr";
const IMAGES: [Image; 2] = [Image::Controller, Image::Cni];

/// Replaces all of Kuryr's pods by new ones, as a new image does, and starts pods meanwhile.
async fn roll_out(stage: &Stage) -> Result<Vec<RunningPod>> {
    let before = uids(stage).await?;
    for workload in ["deployment/kuryr-controller", "daemonset/kuryr-cni-ds"] {
        stage.kubectl(&["rollout", "restart", workload, "-n", "kube-system"]).await?;
    }
    stage.deployment("meanwhile", 4).await?;
    stage.installed().await?;
    let after = uids(stage).await?;
    ensure!(before.is_disjoint(&after) && before.len() == after.len(), "not all pods are new ones");
    stage.all_ready("meanwhile", 4, seconds(60)).await
}

async fn uids(stage: &Stage) -> Result<BTreeSet<String>> {
    let mut pods = stage.kuryr_pods(CONTROLLER_PODS).await?;
    pods.extend(stage.kuryr_pods(DAEMON_PODS).await?);
    Ok(pods.into_iter().filter_map(|pod| pod.metadata.uid).collect())
}

/// What became of many pings.
#[derive(Debug, Default)]
struct Pings {
    sent: usize,
    lost: usize,
    /// How many in a row were lost.
    longest_gap: usize,
}

const ROUND: usize = 200;

/// Pings `b` from `a` every 10 ms until it is over.
async fn pings_until(stage: &Stage, a: &RunningPod, b: &RunningPod, is_over: &Cell<bool>) -> Result<Pings> {
    let node = stage.node(&a.node)?;
    let (address, count) = (b.v4.to_string(), ROUND.to_string());
    let mut pings = Pings::default();
    while !is_over.get() {
        let told = node.in_pod(a, &["ping", "-i", "0.01", "-c", &count, "-W", "2", &address]).await?;
        pings.add(&told);
    }
    Ok(pings)
}

impl Pings {
    /// Counts a round by the numbers that `ping` prints of those that were answered.
    fn add(&mut self, told: &str) {
        let words = told.lines().filter_map(|line| line.split_once("icmp_seq="));
        let answered: BTreeSet<usize> =
            words.filter_map(|(_, rest)| rest.split(' ').next()?.parse().ok()).collect();
        self.sent += ROUND;
        self.lost += ROUND - answered.len();
        let edges = [0].into_iter().chain(answered).chain([ROUND + 1]).collect::<Vec<_>>();
        let gaps = edges.windows(2).map(|pair| pair[1] - pair[0] - 1);
        self.longest_gap = gaps.chain([self.longest_gap]).max().unwrap_or_default();
    }
}

/// What the container runtime keeps of an interface that it has added.
struct Kept {
    conf: Value,
    result: Value,
    sandbox: String,
    args: String,
}

impl Kept {
    fn of(stage: &Stage, pod: &RunningPod) -> Result<Self> {
        let folder = stage.node(&pod.node)?.file("/var/lib/cni/results");
        for entry in fs::read_dir(&folder).context("the runtime keeps no results")? {
            let kept: Value = serde_json::from_slice(&fs::read(entry?.path())?)?;
            if kept.to_string().contains(&pod.uid) && kept["ifName"] == "eth0" {
                return Self::read(&kept);
            }
        }
        Err(kuryr_e2e::Error::msg(format!("the runtime keeps no result of {}", pod.name)))
    }

    fn read(kept: &Value) -> Result<Self> {
        let list: Value = serde_json::from_slice(&decoded(kept["config"].as_str().context("no config")?)?)?;
        let mut conf = list["plugins"][0].clone();
        conf["name"] = list["name"].clone();
        // The runtime's version has not all the verbs.
        conf["cniVersion"] = json!(ALL_VERBS);
        let pairs = kept["cniArgs"].as_array().into_iter().flatten();
        let args = pairs.filter_map(|pair| Some(format!("{}={}", pair[0].as_str()?, pair[1].as_str()?)));
        Ok(Self {
            conf,
            result: kept["result"].clone(),
            sandbox: kept["containerId"].as_str().context("no containerId")?.to_owned(),
            args: args.collect::<Vec<_>>().join(";"),
        })
    }

    fn with_result(&self) -> Value {
        let mut conf = self.conf.clone();
        conf["prevResult"] = self.result.clone();
        conf["prevResult"]["cniVersion"] = json!(ALL_VERBS);
        conf
    }

    /// Calls the plugin as the runtime does.
    async fn call(&self, stage: &Stage, pod: &RunningPod, verb: &str, conf: &Value) -> Result<String> {
        let node = stage.node(&pod.node)?;
        let netns = node.netns(pod).await?;
        let script = "printf %s \"$1\" | exec /opt/cni/bin/kuryr-cni";
        let env = [
            format!("CNI_COMMAND={verb}"),
            format!("CNI_CONTAINERID={}", self.sandbox),
            format!("CNI_NETNS={netns}"),
            format!("CNI_ARGS={}", self.args),
            "CNI_IFNAME=eth0".to_owned(),
            "CNI_PATH=/opt/cni/bin".to_owned(),
        ];
        let words = ["env".to_owned()].into_iter().chain(env);
        let words = words.chain(["sh", "-c", script, "sh", &conf.to_string()].map(str::to_owned));
        node.run(words).await.with_context(|| verb.to_owned())
    }
}

fn decoded(base64: &str) -> Result<Vec<u8>> {
    let bytes: k8s_openapi::ByteString = serde_json::from_value(json!(base64))?;
    Ok(bytes.0)
}

fn phases(pods: &[Pod]) -> Vec<&str> {
    pods.iter().filter_map(|pod| pod.status.as_ref()?.phase.as_deref()).collect()
}

fn nodes_of(pods: &[Pod]) -> BTreeSet<&str> {
    pods.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.as_deref()).collect()
}

/// A pod on each node.
async fn two(stage: &Stage) -> Result<(RunningPod, RunningPod)> {
    tokio::try_join!(
        stage.pod("a").on("node1").serving().start(),
        stage.pod("b").on("node2").serving().start()
    )
}
