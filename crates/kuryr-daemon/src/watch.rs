//! Health: whether the daemon can do its work now.

use std::{future::pending, time::Duration};

use kuryr_k8s::Sync;
use kuryr_telemetry::{Component, Health, Probe};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use crate::{failure::Chain, kind::Kind, node::Node};

/// What does not tell of its changes is looked at this often.
const LOOK: Duration = Duration::from_secs(10);
/// The capabilities that plugging needs, by their numbers in the kernel.
const NEEDED: [(u32, &str); 2] = [(12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN")];

/// Keeps the health's components in step with what they are about, for ever.
pub async fn run(node: &Node, health: &Health) {
    let switch = health.component("open-vswitch", Probe::Ready);
    let api = health.component("kubernetes-api", Probe::Ready);
    let network = health.component("host-network", Probe::Ready);
    let mut news = node.ovsdb.switch();
    let (mut ports, mut pods) = (node.records.ports.sync(), node.records.pods.sync());
    let mut own = node.own.sync();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        match node.own.kind() {
            Some(Kind::OpenVSwitch) => tell(&switch, node.switch_trouble()),
            Some(Kind::Nested | Kind::Sriov) => switch.resting(format!("not needed: {}", node.own.reason())),
            None => switch.bad("it is not known yet whether this node has one"),
        }
        tell(&api, node.api_trouble());
        tokio::select! {
            changed = news.changed() => or_never(changed).await,
            () = next(Some(&mut ports)) => {}
            () = next(Some(&mut pods)) => {}
            () = next(own.as_mut()) => {}
            _ = look.tick() => tell(&network, network_trouble(node).await),
        }
    }
}

/// What keeps the daemon from making links, if anything does.
async fn network_trouble(node: &Node) -> Option<String> {
    if let Some(name) = missing_capability() {
        return Some(format!("the process lacks {name}"));
    }
    match node.own.kind()? {
        Kind::OpenVSwitch => bridge_trouble(node).await,
        Kind::Nested => node.lower_trouble().await,
        Kind::Sriov => node.functions_trouble().await,
    }
}

/// Whether links would be made where Open vSwitch finds them.
async fn bridge_trouble(node: &Node) -> Option<String> {
    let bridge = &node.plug.bridge;
    let look = async { node.host.netlink().await?.link(bridge).await };
    match look.await {
        Ok(Some(_)) => None,
        Ok(None) => Some(format!(
            "there is no link {bridge} in the daemon's network namespace: does ovs-vswitchd run, and the daemon with hostNetwork?"
        )),
        Err(error) => Some(Chain(&error).to_string()),
    }
}

fn missing_capability() -> Option<&'static str> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let effective = u64::from_str_radix(effective.trim(), 16).ok()?;
    NEEDED.into_iter().find(|(number, _)| effective & (1 << number) == 0).map(|(_, name)| name)
}

async fn next(sync: Option<&mut watch::Receiver<Sync>>) {
    match sync {
        Some(sync) => or_never(sync.changed().await).await,
        None => pending().await,
    }
}

/// A sender that is gone will not bring news: waiting for it must not become a busy loop.
async fn or_never(changed: Result<(), watch::error::RecvError>) {
    if changed.is_err() {
        pending::<()>().await;
    }
}

fn tell(component: &Component, trouble: Option<String>) {
    match trouble {
        None => component.good(),
        Some(reason) => component.bad(reason),
    }
}
