//! The plugin over the unix socket, and the Python Kuryr's API over TCP.

use std::os::unix::fs::PermissionsExt;

use kuryr_cni::Outcome;
use kuryr_daemon::{legacy, server};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::stage::{Pod, Stage, mac, vif};

/// Runs the plugin as a runtime does.
async fn plugin(command: &'static str, pod: &Pod, config: Value) -> (bool, Value) {
    let variables = [
        ("CNI_COMMAND", command.to_owned()),
        ("CNI_CONTAINERID", pod.sandbox.clone()),
        ("CNI_NETNS", pod.netns()),
        ("CNI_IFNAME", "eth0".to_owned()),
        ("CNI_ARGS", pod.request(kuryr_cni::Command::Add).args),
        ("CNI_PATH", "/opt/cni/bin".to_owned()),
    ];
    let run = move || {
        let find =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
        kuryr_cni::run(find, config.to_string().as_bytes())
    };
    let (good, text) = match tokio::task::spawn_blocking(run).await.unwrap() {
        Outcome::Done(text) => (true, text),
        Outcome::Failed(text) => (false, text),
    };
    (good, if text.is_empty() { Value::Null } else { serde_json::from_slice(&text).unwrap() })
}

#[tokio::test]
async fn the_plugin_connects_and_disconnects_a_pod_in_every_version() {
    let stage = Stage::new().await;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("run/kuryr-cni.sock");
    let listener = server::listen(&socket).unwrap();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(socket.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    let router = server::router(stage.door.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    for (number, version) in (1..).zip(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]) {
        let pod = stage.pod_with_port(number);
        let mut config =
            json!({"cniVersion": version, "name": "kuryr", "type": "kuryr-cni", "kuryr_socket": socket});
        let (good, result) = plugin("ADD", &pod, config.clone()).await;
        assert!(good, "{result}");
        assert_eq!(
            (&result["cniVersion"], &result["interfaces"][1]["mac"]),
            (&json!(version), &json!(mac(number)))
        );
        config["prevResult"] = result;
        let (good, result) = plugin("CHECK", &pod, config.clone()).await;
        assert_eq!(good, !version.starts_with("0.3"), "{result}");
        let (good, result) = plugin("DEL", &pod, config.clone()).await;
        assert_eq!((good, result), (true, Value::Null));
        let (good, result) = plugin("STATUS", &pod, config).await;
        assert_eq!(good, version == "1.1.0", "{result}");
    }
    assert_eq!(stage.ports(), Vec::<String>::new());
}

#[tokio::test]
async fn an_error_reaches_the_runtime_in_the_version_of_its_configuration() {
    let stage = Stage::new().await;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("kuryr-cni.sock");
    let router = server::router(stage.door.clone());
    let listener = server::listen(&socket).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let pod = stage.pod("web-0", "u", "s");
    let config = json!({"cniVersion": "0.4.0", "name": "kuryr", "type": "kuryr-cni", "kuryr_socket": socket});
    let (good, error) = plugin("ADD", &pod, config).await;
    assert!(!good);
    assert_eq!((&error["cniVersion"], &error["code"]), (&json!("0.4.0"), &json!(11)));
    assert!(error["msg"].as_str().unwrap().contains("no KuryrPort"), "{error}");
}

/// A raw exchange, so that nothing is tidied up on the way.
async fn post(address: std::net::SocketAddr, path: &str, body: &Value) -> (String, String) {
    let body = body.to_string();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn the_python_kuryrs_plugins_are_served() {
    let stage = Stage::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = legacy::router(stage.door.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let pod = stage.pod_with_port(5);
    let body = json!({
        "CNI_IFNAME": "eth0", "CNI_NETNS": pod.netns(), "CNI_PATH": "/opt/cni/bin", "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": pod.sandbox, "CNI_ARGS": pod.request(kuryr_cni::Command::Add).args,
        "config_kuryr": {"cniVersion": "0.3.1", "name": "kuryr", "type": "kuryr-cni"},
    });
    let (head, vif_text) = post(address, "/addNetwork", &body).await;
    assert!(head.starts_with("HTTP/1.1 202 "), "{head}");
    assert!(vif_text.starts_with("{\"versioned_object.name\": \"VIFOpenVSwitch\", "), "{vif_text}");
    assert_eq!(serde_json::from_str::<Value>(&vif_text).unwrap(), vif(5));
    for _ in 0..2 {
        let (head, body) = post(address, "/delNetwork", &body).await;
        assert!(head.starts_with("HTTP/1.1 204 ") && body.is_empty(), "{head}");
    }
    let (head, body) = post(address, "/addNetwork", &json!({})).await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    assert!(body.starts_with("{\"code\": 4, \"msg\": \"Required CNI params missing.\""), "{body}");
}
