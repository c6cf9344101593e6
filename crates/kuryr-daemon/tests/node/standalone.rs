//! A node without daemon: the container that installs, and the plugin that does all by itself, each as a program of its own.

use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use kuryr_net::Stack;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::{
    api::NODE_ADDRESS,
    process::serve,
    stage::{Pod, Stage, mac, nested, until},
};

/// The container, with the stage's node around it.
struct Container {
    stage: Stage,
    folder: tempfile::TempDir,
    child: Child,
}

impl Container {
    async fn start() -> Self {
        Self::on(Stage::new().await).await
    }

    async fn on(stage: Stage) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let netlink = stage.host().await;
        netlink.set_up(netlink.link("lo").await.unwrap().unwrap().index).await.unwrap();
        let port = serve(&stage.api, &stage.host).await;
        let config = format!(
            "[kubernetes]\napi_root = http://127.0.0.1:{port}\ntoken_file = {token}\nssl_ca_crt_file =\nuse_events = false\n\
             [cni_daemon]\nvif_annotation_timeout = 3\ndocker_mode = true\nnetns_proc_dir = /nowhere\n\
             [vif_plug_ovs]\novsdb_connection = {ovsdb}\n",
            token = folder.path().join("token").display(),
            ovsdb = stage.server.endpoint(),
        );
        std::fs::write(folder.path().join("kuryr.conf"), config).unwrap();
        std::fs::write(folder.path().join("token"), "first").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_kuryr-daemon"));
        command.arg("--config-file").arg(folder.path().join("kuryr.conf")).env("CNI_DAEMON", "False");
        command.arg("--cni-conf-dir").arg(folder.path().join("net.d")).args(["--node-name", "node1"]);
        command.arg("--cni-bin-dir").arg(folder.path().join("bin"));
        command.stdout(Stdio::null()).stderr(std::fs::File::create(folder.path().join("log")).unwrap());
        let child = stage.host.enter(move || command.spawn().unwrap()).await.unwrap();
        let container = Self { stage, folder, child };
        until(|| container.conflist().exists()).await;
        container
    }

    fn conflist(&self) -> PathBuf {
        self.folder.path().join("net.d/10-kuryr.conflist")
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("net.d/kuryr.d/kubeconfig")
    }

    /// What the runtime is given for the plugin, in a version.
    fn config(&self, version: &str) -> Value {
        let conflist: Value = serde_json::from_slice(&std::fs::read(self.conflist()).unwrap()).unwrap();
        let mut config = conflist["plugins"][0].clone();
        config["cniVersion"] = json!(version);
        config["name"] = json!("kuryr");
        config
    }

    /// Runs the plugin that was installed, as a runtime does: on the host, with its configuration on standard input.
    async fn plugin(&self, command: &str, pod: &Pod, config: &Value) -> (bool, Value) {
        let mut plugin = Command::new(self.folder.path().join("bin/kuryr-cni"));
        plugin.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        plugin.env("CNI_COMMAND", command).env("CNI_CONTAINERID", &pod.sandbox).env("CNI_IFNAME", "eth0");
        // Of this process, which the plugin's is not.
        plugin.env("CNI_NETNS", pod.netns().replace("self", &std::process::id().to_string()));
        plugin.env("CNI_ARGS", pod.request(kuryr_cni::Command::Add).args);
        let input = config.to_string();
        let run = move || {
            let mut child = plugin.spawn().unwrap();
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            child.wait_with_output().unwrap()
        };
        let output = self.stage.host.enter(run).await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let said = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
        (output.status.success(), said)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_plugin_alone_does_every_verb_in_every_version() {
    let container = Container::start().await;
    for (number, version) in (1..).zip(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]) {
        let pod = container.stage.pod_with_port(number);
        let mut config = container.config(version);
        let (good, result) = container.plugin("ADD", &pod, &config).await;
        assert!(good, "{result}");
        assert_eq!(
            (&result["cniVersion"], &result["interfaces"][1]["mac"]),
            (&json!(version), &json!(mac(number)))
        );
        config["prevResult"] = result.clone();
        let (good, again) = container.plugin("ADD", &pod, &config).await;
        assert_eq!((good, &again), (true, &result), "ADD may be repeated");
        let (good, said) = container.plugin("CHECK", &pod, &config).await;
        assert_eq!(good, !version.starts_with("0.3"), "{said}");
        let (good, said) = container.plugin("STATUS", &pod, &config).await;
        assert_eq!(good, version == "1.1.0", "{said}");
        config["cni.dev/valid-attachments"] = json!([{"containerID": pod.sandbox, "ifname": "eth0"}]);
        let (good, said) = container.plugin("GC", &pod, &config).await;
        assert_eq!((good, container.stage.ports().len()), (version == "1.1.0", 1), "{said}");
        assert_eq!(container.plugin("DEL", &pod, &config).await, (true, Value::Null));
        assert_eq!(
            container.plugin("DEL", &pod, &config).await,
            (true, Value::Null),
            "nothing is left to do"
        );
        assert_eq!(container.stage.ports(), Vec::<String>::new());
        container.stage.links_go().await;
    }
    let pod = container.stage.pod_with_port(9);
    let (good, said) = container.plugin("VERSION", &pod, &container.config("1.1.0")).await;
    assert!(good && said["supportedVersions"].as_array().unwrap().len() == 5, "{said}");
}

#[tokio::test]
async fn the_plugin_alone_connects_the_pods_of_a_vm() {
    let mut container = Container::on(Stage::vm("nested-macvlan").await).await;
    let pod = container.stage.pod("web-0", "u", "s");
    let vif = nested(5, Stack::Macvlan);
    container.stage.record(&pod, json!({"eth0": {"default": true, "vif": vif}}));
    let mut config = container.config("1.1.0");
    assert_eq!(config["node"], json!({"pod_vif": "nested-macvlan", "addresses": [NODE_ADDRESS]}));
    let (good, result) = container.plugin("ADD", &pod, &config).await;
    assert!(good && result["interfaces"][0]["mac"] == mac(5), "{result}");
    config["prevResult"] = result.clone();
    assert_eq!(container.plugin("ADD", &pod, &config).await, (true, result), "ADD may be repeated");
    kill(Pid::from_raw(i32::try_from(container.child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert!(container.child.wait().unwrap().success());
    for command in ["CHECK", "DEL", "DEL"] {
        assert_eq!(container.plugin(command, &pod, &config).await, (true, Value::Null), "{command}");
    }
    assert!(pod.inside().await.link("eth0").await.unwrap().is_none());
}

#[tokio::test]
async fn garbage_of_sandboxes_that_the_runtime_forgot_is_collected() {
    let container = Container::start().await;
    let pod = container.stage.pod_with_port(5);
    let mut config = container.config("1.1.0");
    assert!(container.plugin("ADD", &pod, &config).await.0);
    config["cni.dev/valid-attachments"] = json!([]);
    assert_eq!(container.plugin("GC", &pod, &config).await, (true, Value::Null));
    assert_eq!(container.stage.ports(), Vec::<String>::new());
}

#[tokio::test]
async fn what_takes_a_pod_away_needs_no_credentials() {
    let mut container = Container::start().await;
    let pod = container.stage.pod_with_port(5);
    let config = container.config("1.1.0");
    assert!(container.plugin("ADD", &pod, &config).await.0);
    kill(Pid::from_raw(i32::try_from(container.child.id()).unwrap()), Signal::SIGTERM).unwrap();
    until(|| !container.kubeconfig().exists()).await;
    assert!(container.child.wait().unwrap().success());
    assert!(!container.conflist().exists());
    let (good, said) = container.plugin("STATUS", &pod, &config).await;
    assert!(!good && said["code"] == 50, "{said}");
    let (good, said) = container.plugin("ADD", &pod, &config).await;
    assert!(!good && said["code"] == 11 && said["msg"].as_str().unwrap().contains("kubeconfig"), "{said}");
    assert_eq!(container.plugin("DEL", &pod, &config).await, (true, Value::Null));
    assert_eq!(container.stage.ports(), Vec::<String>::new());
}

#[tokio::test]
async fn a_pod_without_record_fails_with_what_is_missing_and_leaves_nothing() {
    let container = Container::start().await;
    let pod = container.stage.pod("web-0", "u", "s");
    let (good, said) = container.plugin("ADD", &pod, &container.config("0.4.0")).await;
    assert!(!good);
    assert_eq!((&said["cniVersion"], &said["code"]), (&json!("0.4.0"), &json!(11)));
    assert!(said["msg"].as_str().unwrap().contains("no KuryrPort"), "{said}");
    assert_eq!(container.stage.ports(), Vec::<String>::new());
}

#[tokio::test]
async fn the_container_hands_over_each_new_token_to_root_alone() {
    let container = Container::start().await;
    assert_eq!(std::fs::metadata(container.kubeconfig()).unwrap().permissions().mode() & 0o777, 0o600);
    let tells = |token: &str| std::fs::read_to_string(container.kubeconfig()).unwrap().contains(token);
    assert!(tells("first"));
    std::fs::write(container.folder.path().join("token"), "second").unwrap();
    until(|| tells("second")).await;
}
