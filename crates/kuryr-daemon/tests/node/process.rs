//! The program itself: what it installs, what it says of itself, how it ends.

use std::{
    fs::File,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use kuryr_cni::{Outcome, Request};
use kuryr_net::{NetNs, Stack};
use kuryr_ovsdb::Ovsdb;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    api::{Api, PORTS},
    ovs::{self, Server},
    stage::{BRIDGE, SOON, add_lower, namespace, nested, tap, until, vif},
};

/// The program in a namespace of its own, with all that it needs.
struct Daemon {
    folder: tempfile::TempDir,
    server: Server,
    api: Api,
    host: NetNs,
    child: Child,
    _host_file: File,
}

impl Daemon {
    async fn start() -> Self {
        let (host, host_file) = namespace();
        host.netlink().await.unwrap().add_bridge(BRIDGE, 1500).await.unwrap();
        Self::on(Api::of_node(None), host, host_file).await
    }

    async fn on(api: Api, host: NetNs, host_file: File) -> Self {
        let (folder, server) = (tempfile::tempdir().unwrap(), Server::new());
        server.vsctl(&["set", "open", ".", "external_ids:ovn-remote=tcp:127.0.0.1:6642"]);
        ovs::vswitchd(Ovsdb::connect(server.endpoint()));
        let netlink = host.netlink().await.unwrap();
        netlink.set_up(netlink.link("lo").await.unwrap().unwrap().index).await.unwrap();
        let port = serve(&api, &host).await;
        let config = format!(
            "[kubernetes]\napi_root = http://127.0.0.1:{port}\ntoken_file =\nssl_ca_crt_file =\nuse_events = false\n\
             [cni_daemon]\nsocket_path = {socket}\nvif_annotation_timeout = 10\n\
             [vif_plug_ovs]\novsdb_connection = {ovsdb}\n",
            socket = folder.path().join("run/kuryr-cni.sock").display(),
            ovsdb = server.endpoint(),
        );
        let child = spawn(folder.path(), &host, &config).await;
        let daemon = Self { folder, server, api, host, child, _host_file: host_file };
        until(|| daemon.conflist().exists()).await;
        daemon
    }

    fn conflist(&self) -> PathBuf {
        self.folder.path().join("net.d/10-kuryr.conflist")
    }

    /// The answer of one of its ports inside its namespace.
    async fn get(&self, port: u16, path: &'static str) -> String {
        let ask = move || {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream
                .write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
                .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        self.host.enter(ask).await.unwrap()
    }

    async fn says(&self, path: &'static str, wanted: &str) {
        let mut answer = String::new();
        for _ in 0..500 {
            answer = self.get(8090, path).await;
            if answer.contains(wanted) {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("{path} does not say {wanted:?} but {answer:?}");
    }

    /// What a runtime does with the network configuration that it finds.
    fn call(&self, request: &Request) -> tokio::task::JoinHandle<(bool, Value)> {
        let conflist: Value = serde_json::from_slice(&std::fs::read(self.conflist()).unwrap()).unwrap();
        let mut config = conflist["plugins"][0].clone();
        config["cniVersion"] = conflist["cniVersion"].clone();
        let variables = [
            ("CNI_COMMAND", request.command.to_string()),
            ("CNI_CONTAINERID", request.container_id.as_ref().unwrap().to_string()),
            ("CNI_NETNS", request.netns.clone().unwrap()),
            ("CNI_IFNAME", "eth0".to_owned()),
            ("CNI_ARGS", request.args.clone()),
        ];
        tokio::task::spawn_blocking(move || {
            let find =
                |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
            match kuryr_cni::run(find, config.to_string().as_bytes()) {
                Outcome::Done(text) => (true, serde_json::from_slice(&text).unwrap_or_default()),
                Outcome::Failed(text) => (false, serde_json::from_slice(&text).unwrap()),
            }
        })
    }

    async fn ends(&mut self) -> Option<i32> {
        let mut status = None;
        for _ in 0..2000 {
            status = self.child.try_wait().unwrap();
            if status.is_some() {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        status.expect("it does not end").code()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves the API inside the namespace: a socket stays where it was born.
pub async fn serve(api: &Api, host: &NetNs) -> u16 {
    let listener = host.enter(|| TcpListener::bind("127.0.0.1:0").unwrap()).await.unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (listener, router) = (tokio::net::TcpListener::from_std(listener).unwrap(), api.router());
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

async fn spawn(folder: &Path, host: &NetNs, config: &str) -> Child {
    let file = folder.join("kuryr.conf");
    std::fs::write(&file, config).unwrap();
    let plugin = folder.join("kuryr-cni");
    std::fs::write(&plugin, "the plugin").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kuryr-daemon"));
    command.arg("--config-file").arg(file);
    command.arg("--cni-conf-dir").arg(folder.join("net.d")).arg("--cni-bin-dir").arg(folder.join("bin"));
    command.arg("--cni-binary").arg(plugin).arg("--node-name").arg("node1");
    command.stdout(Stdio::null()).stderr(File::create(folder.join("log")).unwrap());
    host.enter(move || command.spawn().unwrap()).await.unwrap()
}

/// A pod of the API's, with a sandbox whose namespace this process keeps.
fn pod(daemon: &Daemon, number: u16) -> (Request, File) {
    use std::os::fd::AsRawFd;
    let (name, (_, file)) = (format!("pod-{number}"), namespace());
    let metadata = json!({"name": name, "namespace": "default", "uid": format!("uid-{number}")});
    daemon.api.put("pods", json!({"metadata": metadata, "spec": {"nodeName": "node1"}}));
    let request = Request {
        command: kuryr_cni::Command::Add,
        container_id: Some(format!("sandbox-{number}").parse().unwrap()),
        netns: Some(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())),
        ifname: Some("eth0".parse().unwrap()),
        args: format!("K8S_POD_NAMESPACE=default;K8S_POD_NAME={name};K8S_POD_UID=uid-{number}"),
        config: Value::Null,
    };
    (request, file)
}

fn record(daemon: &Daemon, number: u16) {
    record_vif(daemon, number, vif(number));
}

fn record_vif(daemon: &Daemon, number: u16, vif: Value) {
    daemon.api.put(
        PORTS,
        json!({
            "metadata": {"name": format!("pod-{number}"), "namespace": "default", "uid": "record"},
            "spec": {"podUid": format!("uid-{number}"), "podNodeName": "node1"},
            "status": {"vifs": {"eth0": {"default": true, "vif": vif}}},
        }),
    );
}

#[tokio::test]
async fn it_installs_itself_serves_and_ends_when_its_work_is_done() {
    let mut daemon = Daemon::start().await;
    assert_eq!(std::fs::read_to_string(daemon.folder.path().join("bin/kuryr-cni")).unwrap(), "the plugin");
    daemon.says("/ready", "HTTP/1.1 200 ").await;
    let ((first, _first), (second, _second)) = (pod(&daemon, 5), pod(&daemon, 6));
    record(&daemon, 5);
    let (good, result) = daemon.call(&first).await.unwrap();
    assert!(good, "{result}");
    let waiting = daemon.call(&second);
    sleep(Duration::from_millis(200)).await;
    daemon.signal(Signal::SIGTERM);
    sleep(Duration::from_millis(200)).await;
    assert!(daemon.conflist().exists(), "it serves still");
    record(&daemon, 6);
    let (good, result) = waiting.await.unwrap();
    assert!(good, "{result}");
    assert_eq!(daemon.ends().await, Some(0));
    assert!(!daemon.conflist().exists() && !daemon.folder.path().join("run/kuryr-cni.sock").exists());
    for number in [5, 6] {
        assert!(
            daemon.host.netlink().await.unwrap().link(&tap(number)).await.unwrap().is_some(),
            "running pods keep their links"
        );
    }
}

#[tokio::test]
async fn on_a_vm_it_leaves_open_vswitch_alone() {
    let (host, host_file) = namespace();
    add_lower(&host.netlink().await.unwrap()).await;
    let daemon = Daemon::on(Api::of_node(Some("nested-macvlan")), host, host_file).await;
    daemon.says("/ready", "HTTP/1.1 200 ").await;
    daemon.says("/ready", "open-vswitch: not needed: the node's label pod_vif is nested-macvlan").await;
    let (mut request, _namespace) = pod(&daemon, 5);
    record_vif(&daemon, 5, nested(5, Stack::Macvlan));
    let (good, result) = daemon.call(&request).await.unwrap();
    assert!(good && result["interfaces"][0]["name"] == "eth0", "{result}");
    request.command = kuryr_cni::Command::Del;
    let (good, result) = daemon.call(&request).await.unwrap();
    assert!(good, "{result}");
    let log = || std::fs::read_to_string(daemon.folder.path().join("log")).unwrap();
    until(|| log().contains("unplugged")).await;
    assert!(!log().contains("OVSDB"), "{}", log());
}

#[tokio::test]
async fn its_health_follows_what_it_can_do() {
    let mut daemon = Daemon::start().await;
    daemon.says("/ready", "HTTP/1.1 200 ").await;
    daemon.server.stop();
    daemon.says("/ready", "open-vswitch: OVSDB is out of reach").await;
    daemon.says("/alive", "HTTP/1.1 200 ").await;
    daemon.server.start();
    daemon.says("/ready", "HTTP/1.1 200 ").await;
    daemon.server.vsctl(&["del-br", BRIDGE]);
    daemon.says("/ready", "open-vswitch: there is no bridge br-int").await;
}

#[tokio::test]
async fn its_metrics_have_the_names_that_dashboards_know() {
    let daemon = Daemon::start().await;
    let (request, _namespace) = pod(&daemon, 5);
    record(&daemon, 5);
    let (good, result) = daemon.call(&request).await.unwrap();
    assert!(good, "{result}");
    let metrics = daemon.get(9655, "/metrics").await;
    assert!(
        metrics.contains("kuryr_cni_request_duration_seconds_count{command=\"ADD\",error=\"False\"} 1\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains(
            "kuryr_cni_request_duration_seconds_bucket{le=\"180.0\",command=\"ADD\",error=\"False\"} 1\n"
        ),
        "{metrics}"
    );
    for step in ["record", "link", "ovsdb", "wired", "address"] {
        assert!(
            metrics.contains(&format!("kuryr_cni_step_duration_seconds_count{{step=\"{step}\"}} 1\n")),
            "{metrics}"
        );
    }
}

#[tokio::test]
async fn killed_in_the_middle_it_goes_on_where_it_was() {
    let mut daemon = Daemon::start().await;
    let (request, _namespace) = pod(&daemon, 5);
    let waiting = daemon.call(&request);
    sleep(Duration::from_millis(200)).await;
    daemon.signal(Signal::SIGKILL);
    let (good, error) = waiting.await.unwrap();
    assert!(!good && error["code"] == 11, "{error}");
    assert_eq!(daemon.ends().await, None);
    let config = std::fs::read_to_string(daemon.folder.path().join("kuryr.conf")).unwrap();
    daemon.child = spawn(daemon.folder.path(), &daemon.host, &config).await;
    daemon.says_when_up().await;
    record(&daemon, 5);
    let (good, result) = daemon.call(&request).await.unwrap();
    assert!(good, "{result}");
}

impl Daemon {
    /// Like `says("/ready", …)`, for a program that may not listen yet.
    async fn says_when_up(&self) {
        let listening =
            || async { self.host.enter(|| TcpStream::connect("127.0.0.1:8090").is_ok()).await.unwrap() };
        let waiting = async {
            while !listening().await {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, waiting).await.unwrap();
        self.says("/ready", "HTTP/1.1 200 ").await;
    }
}

#[test]
fn a_wrong_configuration_is_refused_with_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kuryr.conf");
    for (text, named) in [
        ("[cni_daemon]\nvif_annotation_timeout = soon\n", "vif_annotation_timeout"),
        ("[vif_plug_ovs]\novsdb_connection = ssl:127.0.0.1:6640\n", "ovsdb_connection"),
    ] {
        std::fs::write(&file, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_kuryr-daemon"))
            .arg("--config-file")
            .arg(&file)
            .output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(named), "{errors}");
    }
}
