//! The socket of the pools: what an operator asks by it is done, stays done, and is told as the Python Kuryr told it.

use super::pools::{NODES, READY};
use super::*;
use crate::pools::socket::{self, ListenError, Place, Served};
use crate::upkeep::NOT_LOADED;
use kuryr_api::pool::{ByHand, Changes, Key as PoolKey, NodePool, Pools, Refusal};
use serde::de::DeserializeOwned;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// A socket of a test's own.
struct Door {
    path: PathBuf,
    current: Current,
    _served: Served,
}

impl Door {
    async fn open() -> Self {
        let (path, current) = (path(), Current::default());
        let served = socket::serve(&Place { path: path.clone(), mode: 0o600 }, &current).await.unwrap();
        Self { path, current, _served: served }
    }

    async fn of(controller: &Controller) -> Self {
        let door = Self::open().await;
        door.current.set(&controller.context);
        door
    }

    /// As curl asks.
    async fn ask(&self, request: &str, body: &str) -> (u16, String) {
        self.send(request, "*/*", body).await
    }

    /// As a program asks.
    async fn ask_json<T: DeserializeOwned>(&self, request: &str, body: &Value) -> (u16, T) {
        let (status, text) = self.send(request, "application/json", &body.to_string()).await;
        (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    async fn send(&self, request: &str, accept: &str, body: &str) -> (u16, String) {
        let head = format!(
            "{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: {accept}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = UnixStream::connect(&self.path).await.unwrap();
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    async fn pool(&self, node: &str) -> NodePool {
        let (status, pool) = self.ask_json("GET /showPool", &json!({ "pool_key": [node] })).await;
        assert_eq!(status, 200);
        pool
    }
}

fn path() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("kuryr-pools-{}-{number}.sock", std::process::id()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_lost_is_not_filled() {
    let world = World::with_pools().await;
    let controller = world.controller().await;
    world.until_ready().await;
    world.node_says("node2", "Unknown", "2020-01-01T00:00:00Z".parse().unwrap());
    world.until("its ports are gone", |world| world.warm("node2").is_empty()).await;
    let door = Door::of(&controller).await;
    assert_eq!(door.pool("node2").await.target, 0);
    let (status, why) =
        door.ask("POST /populatePool", r#"{"trunks": ["node1", "node2"], "num_ports": 1}"#).await;
    assert!(status == 409 && why.contains("node2") && why.contains("ports_pool_lost"), "{status}: {why}");
    assert_eq!(world.warm("node1").len(), READY);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_fills_is_made_once_and_goes_slowly() {
    let idle = Duration::from_secs(4);
    let mut world = World::with_pools().await;
    world.pools.as_mut().unwrap().sizing.idle = idle;
    let controller = world.controller().await;
    world.until_ready().await;
    let door = Door::of(&controller).await;
    // What was there before lay idle for long when the pool is filled.
    tokio::time::sleep(idle).await;
    let filled = door.ask("POST /populatePool", r#"{"trunks": ["node1"], "num_ports": 7}"#).await;
    assert_eq!(filled, (200, "Ports pool at node1 was populated with 7 ports.\n".to_owned()));
    assert_eq!((world.warm("node1").len(), world.warm("node2").len()), (READY + 7, READY));
    assert_eq!(door.pool("node1").await.by_hand, Some(ByHand::Filled));
    // The pool is looked at each second.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(world.warm("node1").len(), READY + 7, "it was given back at once");

    world.until("it is as large as its pods want it", |world| world.warm("node1").len() == READY).await;
    assert_eq!(door.pool("node1").await.by_hand, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_empties_stays_empty_until_a_pod_comes() {
    let world = World::with_pools().await;
    let controller = world.controller().await;
    world.until_ready().await;
    let door = Door::of(&controller).await;
    let freed = door.ask("POST /freePool", r#"{"trunks": ["node1"]}"#).await;
    assert_eq!(freed, (200, format!("Ports pool at node1 lost {READY} ports.\n")));
    assert_eq!((world.warm("node1").len(), world.warm("node2").len()), (0, READY));
    let shown = |world: &World| world.kubernetes.get(&format!("{NODES}/node1")).unwrap()["spec"].clone();
    let empty = json!({ "pods": 0, "free": 0, "target": 0 });
    world.until("the KuryrNode says so", |world| shown(world) == empty).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(world.warm("node1").len(), 0, "it was filled again");
    assert_eq!(door.pool("node1").await.by_hand, Some(ByHand::Emptied));

    world.pod("web");
    world.until("the pod is recorded", |world| world.record("web").is_some()).await;
    world.until("ports are kept ready again", |world| !world.warm("node1").is_empty()).await;
    assert_eq!(door.pool("node1").await.by_hand, None);

    let (status, freed): (_, Changes) = door.ask_json("POST /freePool", &json!({})).await;
    let nodes: Vec<_> = freed.pools.iter().map(|change| change.node.as_str()).collect();
    assert_eq!((status, nodes), (200, vec!["node1", "node2"]));
    assert_eq!(world.ports().len(), 1, "the pod keeps its port");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_that_is_listed_shows_the_ports() {
    let world = World::with_pools().await;
    let controller = world.controller().await;
    world.until_ready().await;
    let door = Door::of(&controller).await;
    world.until("both are known", |world| controller.context.ports.free_len() == world.ports().len()).await;
    let (status, text) = door.ask("GET /listPools", "{}").await;
    let key = format!(r#"["node1","{}",["{}"]]"#, FakeCloud::PROJECT_ID, world.id_of("k8s-pods"));
    assert_eq!(status, 200);
    assert!(text.starts_with("Pools:\n") && text.contains(&format!("\n{key} has {READY} ports\n")), "{text}");

    let (status, text) = door.ask("GET /showPool", &format!(r#"{{"pool_key": {key}}}"#)).await;
    let shown: Vec<_> = text.lines().collect();
    assert_eq!((status, shown[0]), (200, format!("Pool {key} ports are:").as_str()));
    assert_eq!(
        shown[1..].iter().map(|id| (*id).to_owned()).collect::<std::collections::BTreeSet<_>>(),
        world.warm("node1")
    );

    let (_, all): (_, Pools) = door.ask_json("GET /listPools", &json!({})).await;
    let node1 = &all.pools[0];
    assert_eq!((node1.node.as_str(), node1.pods, node1.free, node1.target), ("node1", 0, 4, 4));
    let part = &node1.parts.as_ref().unwrap()[0];
    assert_eq!(part.key, serde_json::from_str::<PoolKey>(&key).unwrap());
    assert_eq!(part.ports[0].addresses.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_done_is_told_with_what_to_do() {
    let mut world = World::with_pools().await;
    world.pools.as_mut().unwrap().sizing.max = std::num::NonZeroUsize::new(READY + 2);
    world.kubernetes.create(
        "/api/v1/nodes",
        json!({ "metadata": { "name": "odd", "labels": { "pod_vif": "carrier-pigeon" } } }),
    );
    let controller = world.controller().await;
    world.until_ready().await;
    let door = Door::of(&controller).await;
    world.until("both are known", |world| controller.context.ports.free_len() == world.ports().len()).await;
    for (request, body, status, why) in [
        ("POST /populatePool", "{}", 400, "trunks is missing: give a list"),
        ("POST /populatePool", r#"{"trunks": ["node1", "x"]}"#, 400, r#"trunks[1] is "x", and no node has"#),
        (
            "POST /populatePool",
            r#"{"trunks": ["odd"]}"#,
            400,
            r#"trunks[0] is "odd", a node that has no pool"#,
        ),
        (
            "POST /populatePool",
            r#"{"trunks": ["node1"], "num_ports": 3}"#,
            409,
            "num_ports is 3: node1 has 4 free ports, and [vif_pool] ports_pool_max lets it have 6: ask for 2 at most",
        ),
        ("GET /showPool", r#"{"pool_key": ["node1", "p", []]}"#, 404, "no free port has this key"),
        ("GET /showPool", r#"{"pool_key": []}"#, 400, "pool_key is []: give one"),
        ("GET /pools", "", 404, "there are POST /populatePool"),
    ] {
        let (got, text) = door.ask(request, body).await;
        assert!(got == status && text.starts_with(why), "{request} {body}: {got} {text}");
    }
    assert_eq!(door.ask("GET /populatePool", "").await.0, 405);
    let (status, refusal): (_, Refusal) = door.ask_json("POST /freePool", &json!({ "trunks": [] })).await;
    assert!(status == 400 && refusal.error.starts_with("trunks is []"), "{refusal:?}");
    assert_eq!(world.ports().len(), 2 * READY, "something was done all the same");

    world.cloud.neutron().set_quota(FakeCloud::PROJECT_ID, "port", 9);
    let (status, filled): (_, Changes) =
        door.ask_json("POST /populatePool", &json!({ "trunks": ["node1"], "num_ports": 2 })).await;
    let why = filled.pools[0].failure.as_deref().unwrap_or_default();
    assert!(status == 502 && filled.pools[0].ports == 1 && why.contains("Quota exceeded"), "{filled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_says_who_leads_and_nobody_acts_before_ports_are_found() {
    let world = World::with_pools().await;
    let door = Door::open().await;
    door.current.stands_by("other");
    let stands_by = (503, "this controller stands by, other leads: ask there\n".to_owned());
    assert_eq!(door.ask("GET /listPools", "").await, stands_by);
    assert_eq!(door.ask("POST /freePool", "").await.0, 503);
    let context = world.context().await;
    door.current.set(&context);
    assert_eq!(door.ask("POST /freePool", "").await, (503, format!("{NOT_LOADED}\n")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trunk_is_known_by_its_address_and_its_nodes_name() {
    let world = World::with_pools().await;
    let trunk = world.machine("vm1", super::trunks::ADDRESS).await;
    let controller = world.controller().await;
    let is_ready = |world: &World| world.carried(&trunk).len() == READY;
    world.until("ports are ready on the trunk", is_ready).await;
    let door = Door::of(&controller).await;
    let filled = door.ask("POST /populatePool", r#"{"trunks": ["10.1.7.7", "vm1"], "num_ports": 3}"#).await;
    assert_eq!(filled, (200, "Ports pool at vm1 was populated with 3 ports.\n".to_owned()));
    assert_eq!(world.carried(&trunk).len(), READY + 3);
    let pool = door.pool("10.1.7.7").await;
    let part = &pool.parts.as_ref().unwrap()[0];
    assert_eq!((pool.node.as_str(), part.key.0.as_str()), ("vm1", "10.1.7.7"));
    assert!(part.ports.iter().all(|port| port.vlan.is_some()), "{part:?}");

    let (status, freed): (_, Changes) = door.ask_json("POST /freePool", &json!({ "trunks": ["vm1"] })).await;
    assert_eq!((status, freed.pools[0].ports), (200, 7));
    assert_eq!(world.carried(&trunk), []);
}

#[tokio::test]
async fn a_socket_is_its_users_alone_and_takes_no_others_place() {
    let (place, current) = (Place { path: path(), mode: 0o660 }, Current::default());
    let served = socket::serve(&place, &current).await.unwrap();
    let there = std::fs::symlink_metadata(&place.path).unwrap();
    assert!(there.file_type().is_socket());
    assert_eq!(there.permissions().mode() & 0o777, 0o660);
    assert!(matches!(socket::serve(&place, &current).await, Err(ListenError::Taken)));
    drop(served);
    assert!(!place.path.exists());

    // What a process left that was killed is nobody's.
    drop(tokio::net::UnixListener::bind(&place.path).unwrap());
    drop(socket::serve(&place, &current).await.unwrap());
    std::fs::write(&place.path, "a file").unwrap();
    assert!(matches!(socket::serve(&place, &current).await, Err(ListenError::NoSocket)));
    std::fs::remove_file(&place.path).unwrap();
}
