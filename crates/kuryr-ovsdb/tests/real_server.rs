//! The client against a real ovsdb-server, which each test starts for itself from the lab's Open vSwitch.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use kuryr_ovsdb::{Device, Endpoint, Link, NewPort, Ovsdb, OvsdbError, Removed, Switch};
use serde_json::json;
use tokio::time::{sleep, timeout};

const SOON: Duration = Duration::from_secs(10);

/// An ovsdb-server with an empty `Open_vSwitch` database, gone with this value.
struct Server {
    folder: tempfile::TempDir,
    process: Option<Child>,
}

fn lab() -> PathBuf {
    let lab = std::env::var_os("KURYR_LAB").map(PathBuf::from);
    let lab = lab.unwrap_or_else(|| Path::new(&std::env::var_os("HOME").unwrap()).join(".cache/kuryr-lab"));
    let places = [lab.join("ovn"), lab.join("opt/ovn")];
    let found = places.into_iter().find(|place| place.join("bin/ovsdb-server").exists());
    found.unwrap_or_else(|| panic!("no ovsdb-server in {}: bring the lab up first", lab.display()))
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(lab().join("bin").join(program)).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

impl Server {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let schema = lab().join("usr/share/openvswitch/vswitch.ovsschema");
        run("ovsdb-tool", &["create", folder.path().join("db").to_str().unwrap(), schema.to_str().unwrap()]);
        let mut server = Self { folder, process: None };
        server.start();
        run("ovs-vsctl", &[&format!("--db={}", server.endpoint()), "--no-wait", "init"]);
        server.vsctl(&["add-br", "br-int"]);
        server
    }

    fn start(&mut self) {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let process = Command::new(lab().join("bin/ovsdb-server"))
            .args([
                &path("db"),
                &format!("--remote=punix:{}", path("sock")),
                "--unixctl=none",
                "--no-chdir",
                "-vconsole:off",
            ])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(process);
        for _ in 0..500 {
            if std::os::unix::net::UnixStream::connect(path("sock")).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("ovsdb-server does not listen");
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Unix(self.folder.path().join("sock"))
    }

    fn vsctl(&self, arguments: &[&str]) -> String {
        let db = format!("--db={}", self.endpoint());
        run("ovs-vsctl", &[&[db.as_str(), "--no-wait", "--"], arguments].concat())
    }

    async fn client(&self) -> Ovsdb {
        let client = Ovsdb::connect(self.endpoint());
        timeout(SOON, client.wait_for(|switch| switch.is_up().then_some(()))).await.unwrap();
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn port(name: &str) -> NewPort<'_> {
    let ids = [("iface-id", "11-22"), ("attached-mac", "fa:16:3e:00:00:01")];
    let external_ids = ids.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    NewPort { bridge: "br-int", name, device: Device::Link, external_ids }
}

/// No ovs-vswitchd runs here: somebody has to confirm a change in its place.
fn confirm(client: &Ovsdb) -> tokio::task::JoinHandle<()> {
    let client = client.clone();
    tokio::spawn(async move {
        let asked =
            client.wait_for(|switch| (switch.carried_out() < switch.asked()).then(|| switch.asked())).await;
        let confirm =
            json!({"op": "update", "table": "Open_vSwitch", "where": [], "row": {"cur_cfg": asked}});
        client.transact(vec![confirm]).await.unwrap();
    })
}

#[tokio::test]
async fn a_port_is_added_and_removed() {
    let server = Server::new();
    let client = server.client().await;
    client.add_port(&port("tap1")).await.unwrap();
    client.look(|switch| {
        let (row, _) = switch.port("tap1").unwrap();
        assert_eq!(switch.bridge_of(row).unwrap().1.name, "br-int");
        assert_eq!(switch.interface("tap1").unwrap().id("iface-id"), Some("11-22"));
    });
    assert_eq!(client.del_port("tap1").await.unwrap(), Removed::Port);
    assert_eq!(client.del_port("tap1").await.unwrap(), Removed::Nothing);
    client.look(|switch| assert!(switch.interface("tap1").is_none()));
}

#[tokio::test]
async fn a_port_that_is_there_already_is_replaced() {
    let server = Server::new();
    let client = server.client().await;
    client.add_port(&port("tap1")).await.unwrap();
    let confirmation = confirm(&client);
    let newer = NewPort { external_ids: BTreeMap::from([("iface-id".into(), "33".into())]), ..port("tap1") };
    timeout(Duration::from_secs(4), client.add_port(&newer)).await.unwrap().unwrap();
    confirmation.await.unwrap();
    client.look(|switch| {
        assert_eq!(switch.interface("tap1").unwrap().id("iface-id"), Some("33"));
        assert_eq!(switch.interfaces().filter(|interface| interface.name == "tap1").count(), 1);
    });
}

#[tokio::test]
async fn a_vacant_port_is_occupied_and_vacated_and_stays_the_same_row() {
    let server = Server::new();
    let client = server.client().await;
    client.add_vacant(&port("tap1")).await.unwrap();
    let row = |client: &Ovsdb| client.look(|switch| switch.port("tap1").unwrap().1.interfaces.clone());
    let before = row(&client);
    let see = |client: &Ovsdb| {
        client.look(|switch| {
            let interface = switch.interface("tap1").unwrap();
            let ids = ["iface-id", "kuryr-sandbox"].map(|key| interface.id(key).map(str::to_owned));
            (interface.is_vacant(), ids)
        })
    };
    let iface_id = Some("11-22".to_owned());
    assert_eq!(see(&client), (true, [iface_id.clone(), None]));
    for sandbox in ["first", "second"] {
        let (ids, confirmation) = ([("kuryr-sandbox".into(), sandbox.into())].into(), confirm(&client));
        client.occupy("tap1", &ids).await.unwrap();
        timeout(Duration::from_secs(4), client.carried_out("tap1")).await.unwrap();
        confirmation.await.unwrap();
        assert_eq!(see(&client), (false, [iface_id.clone(), Some(sandbox.to_owned())]));
        let confirmation = confirm(&client);
        let left = BTreeMap::from([("kuryr-left".to_owned(), "true".to_owned())]);
        client.vacate("tap1", &["kuryr-sandbox", "kuryr-pod"], &left).await.unwrap();
        confirmation.await.unwrap();
        assert_eq!(see(&client), (true, [iface_id.clone(), None]));
    }
    client.write_beside(&["tap1", "gone"], &[("kuryr-told".into(), "true".into())].into()).await.unwrap();
    let beside = |switch: &Switch| {
        ["kuryr-left", "kuryr-told"].map(|key| switch.interface("tap1").unwrap().id(key) == Some("true"))
    };
    assert_eq!(client.look(beside), [true, true]);
    assert_eq!(row(&client), before);
    assert_eq!(client.del_port("tap1").await.unwrap(), Removed::Port);
}

#[tokio::test]
async fn a_change_is_waited_for_and_not_that_of_another_port() {
    let server = Server::new();
    let client = server.client().await;
    for name in ["tap1", "tap2"] {
        client.add_vacant(&port(name)).await.unwrap();
    }
    let carried_out =
        async |name| timeout(Duration::from_millis(200), client.carried_out(name)).await.is_ok();
    assert!(carried_out("tap1").await, "nobody has asked for anything");
    let first = confirm(&client);
    client.occupy("tap1", &BTreeMap::new()).await.unwrap();
    first.await.unwrap();
    client.occupy("tap2", &BTreeMap::new()).await.unwrap();
    assert!(carried_out("tap1").await && client.has_carried_out("tap1"));
    assert!(!carried_out("tap2").await && !client.has_carried_out("tap2"));
    confirm(&client).await.unwrap();
    assert!(carried_out("tap2").await);
}

#[tokio::test]
async fn a_vacant_port_does_not_replace_one_and_what_is_missing_is_not_occupied() {
    let server = Server::new();
    let client = server.client().await;
    client.add_port(&port("tap1")).await.unwrap();
    let refused = client.add_vacant(&port("tap1")).await.unwrap_err();
    assert!(matches!(refused, OvsdbError::Refused(_)) && refused.is_transient(), "{refused:?}");
    assert!(!client.look(|switch| switch.interface("tap1").unwrap().is_vacant()));
    let error = client.occupy("tap2", &BTreeMap::new()).await.unwrap_err();
    assert!(error.is_transient() && std::error::Error::source(&error).unwrap().to_string().contains("tap2"));
    let error = client.add_vacant(&NewPort { bridge: "br-none", ..port("tap3") }).await.unwrap_err();
    assert!(matches!(error, OvsdbError::NoBridge(_)), "{error:?}");
}

#[tokio::test]
async fn a_missing_bridge_is_named_and_nothing_stays_behind() {
    let server = Server::new();
    let client = server.client().await;
    let error = client.add_port(&NewPort { bridge: "br-none", ..port("tap1") }).await.unwrap_err();
    assert!(matches!(&error, OvsdbError::NoBridge(name) if name == "br-none"), "{error:?}");
    client.look(|switch| assert!(switch.port("tap1").is_none() && switch.interface("tap1").is_none()));
}

#[tokio::test]
async fn what_is_behind_a_port_in_user_space_is_told_to_open_vswitch() {
    let server = Server::new();
    let client = server.client().await;
    let listening = Device::VhostServer { mtu: 1442 };
    let calling = Device::VhostClient { mtu: 1450, socket: "/run/vhost/vhu2" };
    client.add_port(&NewPort { device: listening, ..port("vhu1") }).await.unwrap();
    client.add_port(&NewPort { device: calling, ..port("vhu2") }).await.unwrap();
    client.add_port(&port("tap3")).await.unwrap();
    let expected = [
        ("vhu1", "dpdkvhostuser\n1442\n{}"),
        ("vhu2", "dpdkvhostuserclient\n1450\n{vhost-server-path=\"/run/vhost/vhu2\"}"),
        ("tap3", "\"\"\n[]\n{}"),
    ];
    for (name, told) in expected {
        assert_eq!(server.vsctl(&["get", "Interface", name, "type", "mtu_request", "options"]), told);
    }
    client.look(|switch| assert_eq!(switch.interface("vhu2").unwrap().id("iface-id"), Some("11-22")));
}

#[tokio::test]
async fn a_bridge_in_user_space_is_made_once_and_one_that_is_there_stays_as_it_is() {
    let server = Server::new();
    let client = server.client().await;
    let other = server.client().await;
    let (one, two) =
        tokio::join!(client.add_userspace_bridge("br-dpdk"), other.add_userspace_bridge("br-dpdk"));
    assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    client.add_userspace_bridge("br-int").await.unwrap();
    assert_eq!(server.vsctl(&["list-br"]), "br-dpdk\nbr-int");
    assert_eq!(server.vsctl(&["get", "Bridge", "br-dpdk", "datapath_type"]), "netdev");
    assert_eq!(server.vsctl(&["get", "Interface", "br-dpdk", "type"]), "internal");
    assert_eq!(server.vsctl(&["get", "Bridge", "br-int", "datapath_type"]), "\"\"");
    client.add_port(&NewPort { bridge: "br-dpdk", ..port("vhu1") }).await.unwrap();
}

#[tokio::test]
async fn ovn_installed_is_seen_when_it_appears() {
    let server = Server::new();
    let client = server.client().await;
    client.add_port(&port("tap1")).await.unwrap();
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.wait_for(|switch| switch.interface("tap1")?.is_installed().then_some(())).await }
    });
    sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    server.vsctl(&["set", "Interface", "tap1", "external_ids:ovn-installed=true"]);
    timeout(SOON, waiting).await.unwrap().unwrap();
}

#[tokio::test]
async fn ovn_is_told_by_the_nodes_settings() {
    let server = Server::new();
    let client = server.client().await;
    assert!(!client.look(kuryr_ovsdb::Switch::runs_ovn));
    server.vsctl(&["set", "open", ".", "external_ids:ovn-remote=tcp:127.0.0.1:6642"]);
    timeout(SOON, client.wait_for(|switch| switch.runs_ovn().then_some(()))).await.unwrap();
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing() {
    let server = Server::new();
    let client = server.client().await;
    client.add_port(&port("tap1")).await.unwrap();
    let twice = json!({"op": "insert", "table": "Interface", "uuid-name": "i", "row": {"name": "tap1"}});
    let refused = client.transact(vec![
        json!({"op": "insert", "table": "Port", "uuid-name": "p", "row": {"name": "tap2", "interfaces": ["named-uuid", "i"]}}),
        twice,
        json!({"op": "mutate", "table": "Bridge", "where": [], "mutations": [["ports", "insert", ["named-uuid", "p"]]]}),
    ]);
    let error = refused.await.unwrap_err();
    assert!(
        matches!(&error, OvsdbError::Refused(refusal) if refusal.error == "constraint violation"),
        "{error:?}"
    );
    assert!(error.is_transient());
    let error =
        client.transact(vec![json!({"op": "insert", "table": "Nothing", "row": {}})]).await.unwrap_err();
    assert!(!error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn the_connection_comes_back_after_a_restart() {
    let mut server = Server::new();
    let client = server.client().await;
    client.add_port(&port("tap1")).await.unwrap();
    server.stop();
    timeout(SOON, client.wait_for(|switch| matches!(switch.link(), Link::Down(_)).then_some(())))
        .await
        .unwrap();
    let error = client.add_port(&port("tap2")).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    server.start();
    timeout(SOON, client.wait_for(|switch| switch.is_up().then_some(()))).await.unwrap();
    client.look(|switch| assert!(switch.port("tap1").is_some()));
    client.add_port(&port("tap2")).await.unwrap();
}

#[tokio::test]
async fn many_requests_at_once_are_told_apart() {
    let server = Server::new();
    let client = server.client().await;
    let names: Vec<String> = (0..50).map(|number| format!("tap{number}")).collect();
    let adding = names.iter().map(|name| {
        let (client, name) = (client.clone(), name.clone());
        tokio::spawn(async move { client.add_port(&port(&name)).await })
    });
    for task in adding.collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
    client.look(|switch| assert!(names.iter().all(|name| switch.port(name).is_some())));
}
