//! Pods come and go for minutes on nodes that keep ports ready, while Neutron is flaky and programs and a whole node die. When it is over,
//! Neutron and the nodes have what the pods need that are left, and what is kept ready; nothing else.

use crate::chance::Chance;
use crate::{PERCENT, put_between_with, spoilt};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DeleteParams, ListParams, ResourceExt};
use kuryr_api::KuryrNode;
use kuryr_api::port::KuryrPort;
use kuryr_e2e::{Component, Context, Ending, Result, Stage, bail, ensure, say, seconds, story_within, until};
use kuryr_testkit::proxy::{Faulty, Plan};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::env;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Two pods a second.
const PAUSE: Duration = Duration::from_millis(500);
/// Seconds for which a pod lives at least, and how many more at most: those of one wave live longer than those of the next, so that pools
/// have to grow and to give back.
const LIVES: [(u64, u64); 2] = [(6, 14), (1, 3)];
/// Pods of a wave.
const WAVE: u64 = 40;
const NODES: [&str; 2] = ["node1", "node2"];
const POOLS: &str =
    "[kubernetes]\nvif_pool_driver = neutron\n[vif_pool]\nports_pool_min = 4\nports_pool_batch = 8\n";
/// What is killed is away for so long.
const AWAY: Duration = seconds(5);
const SEED: u64 = 11;

/// What happens beside the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Controller,
    Daemon,
    Node,
}

/// What goes on.
struct Churn<'s> {
    stage: &'s Stage,
    chance: Chance,
    alive: VecDeque<(Instant, String)>,
    made: u64,
    /// What is away, and when it comes back.
    away: Option<(Trouble, Instant)>,
}

/// How long: `KURYR_CHURN_MINUTES`.
fn time() -> Duration {
    let minutes = env::var("KURYR_CHURN_MINUTES").ok().and_then(|text| text.parse().ok());
    seconds(60 * minutes.unwrap_or(2))
}

#[tokio::test]
async fn pods_that_come_and_go_while_all_else_fails() -> Ending {
    let time = time();
    story_within(time * 2 + seconds(300), "pods that come and go while much fails", async |stage| {
        let proxy = Faulty::start(&stage.facts.openstack.neutron, Plan::harmless()).await?;
        put_between_with(stage, "neutron", &proxy, POOLS).await?;
        // What an earlier Kuryr left would only be found at the end.
        until("only ports that are ready are there", seconds(60), async || exact(stage).await).await?;
        proxy.set_plan(Plan { delay: seconds(2), ..Plan::evenly(PERCENT, SEED) });
        let mut churn =
            Churn { stage, chance: Chance::of(SEED, 0), alive: VecDeque::new(), made: 0, away: None };
        churn.go_on(time).await?;
        say(&format!("  {} pods were made, {} are left", churn.made, churn.alive.len()));
        spoilt(&proxy, 10)?;
        proxy.set_plan(Plan::harmless());
        until("all is as the pods that are left need it", seconds(120), async || exact(stage).await).await?;
        stage.api::<Pod>().delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        until("nothing but ports that are ready is left", seconds(120), async || {
            ensure!(stage.api::<Pod>().list(&ListParams::default()).await?.items.is_empty(), "pods are left");
            exact(stage).await
        })
        .await?;
        memory(stage).await
    })
    .await
}

impl Churn<'_> {
    /// Makes pods and lets them go, and has each trouble in its turn.
    async fn go_on(&mut self, time: Duration) -> Result<()> {
        let began = Instant::now();
        let troubles = [Trouble::Controller, Trouble::Daemon, Trouble::Node, Trouble::Controller];
        let share = time / (u32::try_from(troubles.len())? + 1);
        let mut troubles =
            troubles.into_iter().zip(1..).map(|(what, turn)| (what, began + share * turn)).peekable();
        let mut ticks = interval(PAUSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while began.elapsed() < time || self.away.is_some() {
            ticks.tick().await;
            if let Some((what, _)) = troubles.next_if(|(_, at)| Instant::now() >= *at) {
                memory(self.stage).await?;
                self.kill(what).await?;
            }
            if let Some((what, _)) = self.away.take_if(|(_, until)| Instant::now() >= *until) {
                self.start(what).await?;
            }
            self.make().await?;
            self.let_go().await?;
        }
        Ok(())
    }

    async fn make(&mut self) -> Result<()> {
        let is_node_away = matches!(self.away, Some((Trouble::Node, _)));
        let node = if is_node_away { NODES[0] } else { self.chance.one_of(&NODES) };
        let name = format!("churn-{}", self.made);
        self.stage.pod(&name).on(node).create().await?;
        let (least, more) = LIVES[usize::try_from(self.made / WAVE)? % LIVES.len()];
        self.made += 1;
        let life = seconds(least + self.chance.below(more));
        self.alive.push_back((Instant::now() + life, name));
        Ok(())
    }

    /// Those whose time has come.
    async fn let_go(&mut self) -> Result<()> {
        let now = Instant::now();
        let (due, alive) = self.alive.drain(..).partition::<VecDeque<_>, _>(|(until, _)| *until <= now);
        self.alive = alive;
        for (_, name) in due {
            gone(self.stage.delete_pod(&name).await)?;
        }
        Ok(())
    }

    async fn kill(&mut self, what: Trouble) -> Result<()> {
        self.stage.kill(&what.component()).await?;
        if what == Trouble::Node {
            Api::<Node>::all(self.stage.kube.clone()).delete(NODES[1], &DeleteParams::default()).await?;
            // What Kubernetes does itself after a minute or so.
            let there = ListParams::default().fields(&format!("spec.nodeName={}", NODES[1]));
            for pod in self.stage.api::<Pod>().list(&there).await? {
                gone(self.stage.force_delete_pod(&pod.name_any()).await)?;
            }
        }
        say(&format!("  {what:?} was killed after {} pods", self.made));
        self.away = Some((what, Instant::now() + AWAY));
        Ok(())
    }

    async fn start(&self, what: Trouble) -> Result<()> {
        self.stage.start(&what.component()).await?;
        if what == Trouble::Node {
            self.stage.start(&Component::on(NODES[1], "daemon")).await?;
        }
        Ok(())
    }
}

impl Trouble {
    fn component(self) -> Component {
        match self {
            Self::Controller => Component::CONTROLLER,
            Self::Daemon => Component::on(NODES[0], "daemon"),
            Self::Node => Component::on(NODES[1], "node"),
        }
    }
}

/// Whether Kubernetes, Neutron and the nodes agree.
async fn exact(stage: &Stage) -> Result<()> {
    let pods = stage.api::<Pod>().list(&ListParams::default()).await?.items;
    let mut names: Vec<_> = pods.iter().map(ResourceExt::name_any).collect();
    let ready = stage.ready_now().await?;
    ensure!(ready.len() == pods.len(), "{} of {} pods are ready", ready.len(), pods.len());
    let records = stage.api::<KuryrPort>().list(&ListParams::default()).await?.items;
    let mut recorded: Vec<_> = records.iter().map(ResourceExt::name_any).collect();
    names.sort();
    recorded.sort();
    ensure!(names == recorded, "pods {names:?}, records of {recorded:?}");
    let of_pods: BTreeMap<String, String> = records.iter().flat_map(ports_of).collect();
    ensure!(of_pods.len() == records.len(), "pods share ports: {of_pods:?}");
    let kept = kept(stage).await?;
    let pooled: BTreeSet<&String> = kept.values().flatten().collect();
    let there = stage.kuryr_ports_since().await?;
    let there: BTreeMap<_, _> = there.iter().map(|port| (port.id.to_string(), port)).collect();
    let wanted: BTreeSet<&String> = of_pods.keys().chain(pooled).collect();
    ensure!(
        there.keys().collect::<BTreeSet<_>>() == wanted,
        "Neutron has {:?}, wanted are {wanted:?}",
        there.keys()
    );
    for pod in &ready {
        let its = of_pods.iter().filter(|(_, name)| **name == pod.name).map(|(id, _)| &there[id]);
        let [port] = its.collect::<Vec<_>>()[..] else { bail!("{} has not one port", pod.name) };
        let addresses: BTreeSet<_> = port.fixed_ips.iter().map(|ip| ip.ip_address).collect();
        ensure!(addresses == [pod.v4, pod.v6].into(), "{} has {} and port {addresses:?}", pod.name, pod.v4);
    }
    for node in stage.nodes()? {
        let plugged = node.ovs_ports().await?;
        let (busy, vacant): (Vec<_>, Vec<_>) =
            plugged.iter().partition(|port| port.id("kuryr-pod").is_some());
        let on_it = ready.iter().filter(|pod| pod.node == node.name).count();
        ensure!(busy.len() == on_it, "{} has {} ports for {on_it} pods", node.name, busy.len());
        let vacant: BTreeSet<_> =
            vacant.iter().filter_map(|port| port.id("iface-id")).map(str::to_owned).collect();
        let free: BTreeSet<_> = kept
            .get(&node.name)
            .into_iter()
            .flatten()
            .filter(|id| !of_pods.contains_key(*id))
            .cloned()
            .collect();
        ensure!(vacant == free, "{} keeps {vacant:?} wired, free are {free:?}", node.name);
        let links = node.pod_links().await?;
        ensure!(links == on_it, "{} has {links} links for {on_it} pods", node.name);
    }
    Ok(())
}

/// The ports of a record, and its pod.
fn ports_of(record: &KuryrPort) -> impl Iterator<Item = (String, String)> {
    record.vifs().map(|(_, entry)| (entry.vif.base().id.clone(), record.name_any()))
}

/// The ports of each node's pool.
async fn kept(stage: &Stage) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let nodes = Api::<KuryrNode>::all(stage.kube.clone()).list(&ListParams::default()).await?;
    Ok(nodes.iter().map(|node| (node.name_any(), node.spec.ports.keys().cloned().collect())).collect())
}

/// Prints what the programs take.
async fn memory(stage: &Stage) -> Result<()> {
    let programs =
        [("controller", Component::CONTROLLER), ("daemon of node1", Component::on(NODES[0], "daemon"))];
    for (name, component) in programs {
        say(&format!("  {name}: {} KiB", stage.memory(&component).await.context(name)?));
    }
    Ok(())
}

/// A pod may have gone with its node.
fn gone(deleted: Result<()>) -> Result<()> {
    match deleted {
        Err(error) if error.downcast_ref::<kube::Error>().is_some_and(is_missing) => Ok(()),
        other => other,
    }
}

fn is_missing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
