//! A node that is a virtual machine: its pods are on the trunk of its port, beside nodes that are none.
//!
//! It takes the lab twenty seconds to boot one, and each of its processes starts slowly: all of a kind of plugging is one story.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kuryr_api::KuryrNode;
use kuryr_api::names::{POD_VIF_LABEL, SCHEDULE_BY_PORTS_LABEL};
use kuryr_api::port::KuryrPort;
use kuryr_api::vif::Vif;
use kuryr_e2e::{
    Component, Context, Controller, Ending, Facts, Instead, Machine, Protocol, Result, RunningPod, Stage,
    bail, ensure, say, seconds, story_within, until,
};
use kuryr_openstack::neutron::{Port, TrunkFilter};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// One slow CPU starts a pod in six seconds, and fifteen in a minute.
const CROWD_WITHIN: Duration = seconds(180);
const CROWD: u16 = 15;
/// Ports of a node with its few pods, where they are kept ready.
const BATCH: usize = 6;

#[tokio::test]
async fn pods_of_a_virtual_machine() -> Ending {
    story_within(seconds(420), "virtual machine as a node, its pods on its trunk", async |stage| {
        let machine = stage.machine().await?;
        phase("traffic", Box::pin(traffic(stage, &machine))).await?;
        phase("scheduling by ports", Box::pin(scheduled_by_ports(stage, &machine))).await?;
        phase("policy and Service", Box::pin(policy_and_service(stage, &machine))).await?;
        phase("crowd, restarts of controller and daemon", Box::pin(crowd(stage, &machine))).await?;
        phase("halt and boot", Box::pin(halt(stage, &machine))).await
    })
    .await
}

/// Kuryr's pods are on the workers' network meanwhile, since they have to be on that of their machine: another controller sees to it.
#[tokio::test]
async fn pods_that_share_the_link_of_a_virtual_machine() -> Ending {
    story_within(seconds(360), "virtual machine as a node, its pods on its own link", async |stage| {
        let machine = stage.machine().await?;
        let nested = Facts::read()?.nested.context("lab.json has no virtual machine")?;
        label(stage, &machine, "nested-ipvlan").await?;
        stage.stop(&Component::CONTROLLER).await?;
        let instead = Instead { pod_subnets: vec![nested.subnet.id], ..Instead::default() };
        let _controller = stage.leading_controller(&instead).await?;
        phase("IPVLAN", Box::pin(ipvlan(stage, &machine))).await?;
        label(stage, &machine, "nested-macvlan").await?;
        phase("MACVLAN", Box::pin(macvlan(stage, &machine))).await
    })
    .await
}

/// They are taken without a request to Neutron, come back, and the next controller finds them where they are.
#[tokio::test]
async fn ports_are_ready_on_the_trunk_of_a_virtual_machine() -> Ending {
    story_within(seconds(300), "virtual machine as a node, with ports ready on its trunk", async |stage| {
        let machine = stage.machine().await?;
        stage.stop(&Component::CONTROLLER).await?;
        let first = pooling(stage).await?;
        let ready = all_filled(stage, &machine, 0).await?;
        let before = first.counters().await?;
        let (pod, other) =
            tokio::try_join!(on(stage, &machine, "pod"), stage.pod("other").on("node1").serving().start())?;
        let (port, vlan) = recorded(stage, "pod").await?;
        ensure!(ready.get(&vlan) == Some(&port), "it has {port} at {vlan}, ready were {ready:?}");
        stage.reaches(&other, &pod, pod.v4, Protocol::Tcp).await?;
        stage.reaches(&pod, &other, other.v6, Protocol::Tcp).await?;
        stage.delete_pod("pod").await?;
        stage.gone("pod", &pod.uid).await?;
        let back = all_filled(stage, &machine, 0).await?;
        ensure!(back == ready && machine.vlans().await?.is_empty(), "{ready:?} became {back:?}");
        let heard = first.counters().await?.moved_since(&before, "kuryr_controller_openstack_requests");
        let writes: BTreeSet<_> = heard.keys().filter(|name| !name.contains("\"GET\"")).collect();
        ensure!(writes.is_empty(), "of such a pod Neutron hears nothing, but it heard {writes:?}");

        let status = first.stop().await?;
        ensure!(status.success(), "it ended with {status}");
        let _next = pooling(stage).await?;
        on(stage, &machine, "late").await?;
        let (port, vlan) = recorded(stage, "late").await?;
        ensure!(ready.get(&vlan) == Some(&port), "it has {port} at {vlan}, ready were {ready:?}");
        let after = all_filled(stage, &machine, 1).await?;
        ensure!(after == ready, "{ready:?} became {after:?}");
        Ok(())
    })
    .await
}

/// A controller that keeps ports ready, in place of the lab's own.
async fn pooling(stage: &Stage) -> Result<Controller> {
    stage.leading_controller(&Instead { pools: Some(BATCH), ..Instead::default() }).await
}

/// Waits until all nodes have their ports, and the machine has so many pods and awaits no port back. Tells what its trunk carries then.
async fn all_filled(stage: &Stage, machine: &Machine, pods: u32) -> Result<BTreeMap<u16, String>> {
    let nodes = Api::<KuryrNode>::all(stage.kube.clone());
    let mut found = BTreeMap::new();
    until("ports are ready", seconds(60), async || {
        let known = nodes.list(&ListParams::default()).await?.items;
        let is_filled = |node: &KuryrNode| usize::try_from(node.spec.free + node.spec.pods) == Ok(BATCH);
        ensure!(known.len() == 3 && known.iter().all(is_filled), "KuryrNodes are {known:?}");
        let its = known.iter().find(|node| node.name_any() == machine.node.name).map(|node| &node.spec);
        let records = stage.api::<KuryrPort>().list(&ListParams::default()).await?;
        let going = records.iter().filter(|record| record.metadata.deletion_timestamp.is_some()).count();
        ensure!(
            its.is_some_and(|its| its.pods == pods) && going == 0,
            "the machine has {its:?}, {going} records are going"
        );
        found = carried(stage, machine).await?;
        ensure!(found.len() == BATCH, "the trunk has {found:?}");
        Ok(())
    })
    .await?;
    Ok(found)
}

async fn phase(name: &'static str, play: impl Future<Output = Result<()>>) -> Result<()> {
    say(&format!("    {name}"));
    play.await.context(name)
}

/// Pods on the trunk reach others and are reached, on both families; what they leave is nothing.
async fn traffic(stage: &Stage, machine: &Machine) -> Result<()> {
    let (a, b, c) = tokio::try_join!(
        on(stage, machine, "a"),
        on(stage, machine, "b"),
        stage.pod("c").on("node1").serving().start(),
    )?;
    for (from, to) in [(&c, &a), (&c, &b), (&a, &c), (&a, &b)] {
        for address in [to.v4, to.v6] {
            stage.reaches(from, to, address, Protocol::Tcp).await?;
        }
        stage.reaches(from, to, to.v4, Protocol::Udp).await?;
    }
    let carried = carried(stage, machine).await?;
    for pod in [&a, &b] {
        let (port, vlan) = recorded(stage, &pod.name).await?;
        ensure!(
            carried.get(&vlan) == Some(&port),
            "{} is {port} at {vlan}, the trunk has {carried:?}",
            pod.name
        );
    }
    for pod in [&a, &b, &c] {
        stage.delete_pod(&pod.name).await?;
    }
    empty(stage, machine).await
}

/// A pod that asks for a port goes where the controller says that there are some: of the lab's nodes that is the virtual machine alone.
async fn scheduled_by_ports(stage: &Stage, machine: &Machine) -> Result<()> {
    stage.schedule_by_ports().await?;
    let labels = json!({ SCHEDULE_BY_PORTS_LABEL: "true" });
    let asks = stage.pod("asks").with_metadata("labels", labels);
    asks.asks_for_a_port().await?;
    let pod = asks.start().await?;
    ensure!(pod.node == machine.node.name, "it is on {}", pod.node);
    stage.delete_pod("asks").await?;
    empty(stage, machine).await
}

/// Security groups and load balancers do not care what carries a pod.
async fn policy_and_service(stage: &Stage, machine: &Machine) -> Result<()> {
    let (nested, bare, client) = tokio::try_join!(
        stage.pod("nested").on(&machine.node.name).serving().like_those_of("web").start(),
        stage.pod("bare").on("node2").serving().like_those_of("web").start(),
        stage.pod("client").on("node1").serving().start(),
    )?;
    let service = stage.service("web").ports(json!([{ "port": 80, "targetPort": 8080 }])).start().await?;
    for from in [&client, &nested] {
        stage.answered_by(from, service.at(80), Protocol::Tcp, &[&nested, &bare]).await?;
    }
    let forbid = json!({
        "metadata": { "name": "nobody" },
        "spec": { "podSelector": { "matchLabels": { "app": "web" } }, "policyTypes": ["Ingress"] },
    });
    let policies: Api<NetworkPolicy> = stage.api();
    policies.create(&PostParams::default(), &serde_json::from_value(forbid)?).await?;
    for pod in [&nested, &bare] {
        stage.unanswered(&client, SocketAddr::new(pod.v4, 8080), Protocol::Tcp).await?;
    }
    policies.delete("nobody", &DeleteParams::default()).await?;
    stage.reaches(&client, &nested, nested.v4, Protocol::Tcp).await?;
    stage.delete_service("web").await?;
    for pod in [&nested, &bare, &client] {
        stage.delete_pod(&pod.name).await?;
    }
    empty(stage, machine).await
}

/// Nothing is handed out twice, or lost, when those who remember nothing but what Neutron and the kernel know begin anew.
async fn crowd(stage: &Stage, machine: &Machine) -> Result<()> {
    stage.deployment_on("crowd", CROWD.into(), &machine.node.name).await?;
    stage.all_ready("crowd", CROWD.into(), CROWD_WITHIN).await?;
    let before = carried(stage, machine).await?;
    ensure!(before.keys().copied().eq(1..=CROWD), "the ids are {before:?}");
    stage.restart_controller().await?;
    stage.lab(["kuryr", "restart", &machine.node.name]).await?;
    let late = on(stage, machine, "late").await?;
    let after = carried(stage, machine).await?;
    ensure!(before.iter().all(|(id, port)| after.get(id) == Some(port)), "{before:?} became {after:?}");
    let links = machine.vlans().await?;
    ensure!(
        after.len() == links.len() && links.len() == usize::from(CROWD) + 1,
        "{after:?}, links {links:?}"
    );
    let other = stage.pod("other").on("node1").serving().start().await?;
    stage.reaches(&other, &late, late.v4, Protocol::Tcp).await?;
    stage.api::<Deployment>().delete("crowd", &DeleteParams::default()).await?;
    for pod in [&late, &other] {
        stage.delete_pod(&pod.name).await?;
    }
    empty(stage, machine).await
}

/// A machine that was halted comes back with its pods, whose ports and ids are what they were.
async fn halt(stage: &Stage, machine: &Machine) -> Result<()> {
    let pod = on(stage, machine, "pod").await?;
    let before = carried(stage, machine).await?;
    let power = Component::on(&machine.node.name, "node");
    stage.stop(&power).await?;
    stage.start(&power).await?;
    stage.start(&Component::on(&machine.node.name, "daemon")).await?;
    let other = stage.pod("other").on("node1").serving().start().await?;
    until("the pod answers again", seconds(90), async || {
        stage.reaches(&other, &pod, pod.v4, Protocol::Tcp).await
    })
    .await?;
    let (after, links) = (carried(stage, machine).await?, machine.vlans().await?);
    ensure!(after == before && links.len() == 1, "{before:?} became {after:?}, links {links:?}");
    Ok(())
}

/// Three pods reach each other and another node's, and are reached; what they leave is nothing. Their own node does not reach them, so that
/// no probe of its kubelet could.
async fn ipvlan(stage: &Stage, machine: &Machine) -> Result<()> {
    let names = ["a", "b", "c", "far"];
    for name in names {
        let node = if name == "far" { "node1" } else { machine.node.name.as_str() };
        stage.pod(name).on(node).running(&["netexec", "--http-port=8080"]).create().await?;
    }
    let mut addresses = BTreeMap::new();
    for name in names {
        let address = until(&format!("pod {name} runs"), CROWD_WITHIN, async || {
            let pod = stage.api::<Pod>().get(name).await?;
            let status = pod.status.context("it has no status")?;
            ensure!(status.phase.as_deref() == Some("Running"), "it is {:?}", status.phase);
            status.pod_ip.context("it has no address")
        })
        .await?;
        addresses.insert(name, address);
    }
    for (from, to) in [("a", "b"), ("a", "far"), ("far", "b"), ("c", "far"), ("far", "c")] {
        let (asked, wanted) = (&addresses[from], &addresses[to]);
        let url = format!(
            "http://{asked}:8080/dial?host={wanted}&port=8080&protocol=http&request=hostname&tries=3"
        );
        until(&format!("{from} reaches {to}"), seconds(20), async || {
            let answer = stage.http.get(&url).send().await?.error_for_status()?.text().await?;
            ensure!(answer.contains(&format!("\"{to}\"")) && !answer.contains("errors"), "{answer}");
            Ok(())
        })
        .await?;
    }
    let parent = parent(stage, machine).await?;
    let shown: BTreeSet<_> = parent.allowed_address_pairs.iter().map(|pair| &pair.ip_address).collect();
    ensure!(
        shown == ["a", "b", "c"].map(|name| &addresses[name]).into(),
        "pods have {addresses:?}, pairs are {shown:?}"
    );
    for name in ["a", "b", "c"] {
        let record = stage.api::<KuryrPort>().get(name).await?;
        let vif = record.default_vif().context("the record has no VIF")?;
        ensure!(matches!(vif, Vif::IpvlanNested(_)), "{name} is plugged as {}", vif.class());
        ensure!(vif.base().address == parent.mac_address && vif.base().active, "{:?}", vif.base());
    }
    for name in names {
        stage.delete_pod(name).await?;
    }
    until("no pairs and no ports are left", seconds(60), async || {
        let (ports, parent) = (stage.kuryr_ports().await?.len(), self::parent(stage, machine).await?);
        let pairs = parent.allowed_address_pairs;
        ensure!(ports == 0 && pairs.is_empty(), "{ports} ports, pairs {pairs:?}");
        Ok(())
    })
    .await
}

/// ML2/OVN lets a port send from no MAC address but its own: who asks for it is told so.
async fn macvlan(stage: &Stage, machine: &Machine) -> Result<()> {
    stage.pod("refused").on(&machine.node.name).create().await?;
    let told = stage.event("AddressPairRefused", seconds(30)).await?;
    ensure!(told.contains("nested-ipvlan"), "{told}");
    let pairs = parent(stage, machine).await?.allowed_address_pairs;
    ensure!(pairs.is_empty(), "pairs are {pairs:?}");
    stage.force_delete_pod("refused").await
}

async fn label(stage: &Stage, machine: &Machine, driver: &str) -> Result<()> {
    let patch = Patch::Merge(json!({ "metadata": { "labels": { POD_VIF_LABEL: driver } } }));
    let nodes = Api::<Node>::all(stage.kube.clone());
    Ok(nodes.patch(&machine.node.name, &PatchParams::default(), &patch).await.map(drop)?)
}

/// The machine's own port.
async fn parent(stage: &Stage, machine: &Machine) -> Result<Port> {
    let filter = TrunkFilter { ids: Some(vec![machine.trunk.clone()]), ..TrunkFilter::default() };
    let trunks = stage.neutron.trunks(&filter).await?;
    let trunk = trunks.first().context("the machine's trunk is gone")?;
    Ok(stage.neutron.port(&trunk.port_id).await?)
}

async fn on(stage: &Stage, machine: &Machine, name: &str) -> Result<RunningPod> {
    stage.pod(name).on(&machine.node.name).serving().start().await
}

async fn empty(stage: &Stage, machine: &Machine) -> Result<()> {
    until("nothing is on the trunk, and no VLAN link in the machine", seconds(60), async || {
        let (links, carried) = (machine.vlans().await?, carried(stage, machine).await?);
        ensure!(links.is_empty() && carried.is_empty(), "links {links:?}, trunk {carried:?}");
        Ok(())
    })
    .await
}

/// What the machine's trunk carries in Neutron: ports by VLAN ids.
async fn carried(stage: &Stage, machine: &Machine) -> Result<BTreeMap<u16, String>> {
    let filter = TrunkFilter { ids: Some(vec![machine.trunk.clone()]), ..TrunkFilter::default() };
    let trunks = stage.neutron.trunks(&filter).await?;
    let subports = trunks.into_iter().flat_map(|trunk| trunk.sub_ports);
    Ok(subports.map(|sub| (sub.segmentation_id, sub.port_id.to_string())).collect())
}

/// Port and VLAN id in a pod's record.
async fn recorded(stage: &Stage, pod: &str) -> Result<(String, u16)> {
    let record = stage.api::<KuryrPort>().get(pod).await?;
    match record.default_vif().context("the record has no VIF")? {
        Vif::VlanNested(vif) => Ok((vif.base.id.clone(), vif.vlan_id)),
        other => bail!("{pod} is plugged as {}", other.class()),
    }
}
