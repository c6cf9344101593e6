//! A real ovsdb-server of the test's own, from the lab's Open vSwitch.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use kuryr_ovsdb::{Endpoint, Ovsdb};
use serde_json::json;
use tokio::task::JoinHandle;

pub struct Server {
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
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let schema = lab().join("usr/share/openvswitch/vswitch.ovsschema");
        run("ovsdb-tool", &["create", folder.path().join("db").to_str().unwrap(), schema.to_str().unwrap()]);
        let mut server = Self { folder, process: None };
        server.start();
        run("ovs-vsctl", &[&format!("--db={}", server.endpoint()), "--no-wait", "init"]);
        server.vsctl(&["add-br", "br-int"]);
        server
    }

    pub fn start(&mut self) {
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
            .spawn();
        self.process = Some(process.unwrap());
        for _ in 0..500 {
            if std::os::unix::net::UnixStream::connect(path("sock")).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("ovsdb-server does not listen");
    }

    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint::Unix(self.folder.path().join("sock"))
    }

    /// Where ovs-vswitchd listens for a bridge.
    pub fn bridge_socket(&self) -> PathBuf {
        self.folder.path().join("br-int.mgmt")
    }

    pub fn vsctl(&self, arguments: &[&str]) -> String {
        let db = format!("--db={}", self.endpoint());
        run("ovs-vsctl", &[&[db.as_str(), "--no-wait", "--"], arguments].concat())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What ovs-vswitchd and ovn-controller do with a new port, and with a removal that is to be confirmed.
pub fn vswitchd(ovsdb: Ovsdb) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let operations = ovsdb.wait_for(|switch| {
                let new: Vec<_> = switch.interfaces().filter(|found| found.ofport.is_none() && found.error.is_none()).collect();
                let next = switch.root()?.next_cfg;
                let mut operations: Vec<_> = new.iter().map(|interface| opened(&interface.name)).collect();
                if switch.carried_out() < switch.asked() {
                    operations.push(json!({"op": "update", "table": "Open_vSwitch", "where": [], "row": {"cur_cfg": next}}));
                }
                (!operations.is_empty()).then_some(operations)
            });
            let operations = operations.await;
            // The server may be away in the middle of a test.
            let _ = ovsdb.transact(operations).await;
        }
    })
}

fn opened(name: &str) -> serde_json::Value {
    json!({"op": "mutate", "table": "Interface", "where": [["name", "==", name]], "mutations": [
        ["ofport", "insert", 7], ["external_ids", "insert", ["map", [["ovn-installed", "true"]]]]]})
}
