//! The plugin as a container runtime starts it, with a daemon that is away or plays up.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::{
    io::{Read, Write},
    os::unix::net::UnixListener,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use serde_json::{Value, json};

struct Ended {
    good: bool,
    output: Value,
    errors: String,
}

fn start(variables: &[(&str, &str)], input: &str) -> Ended {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kuryr-cni"))
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The plugin may end without having read its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let ended = child.wait_with_output().unwrap();
    let output =
        if ended.stdout.is_empty() { Value::Null } else { serde_json::from_slice(&ended.stdout).unwrap() };
    Ended { good: ended.status.success(), output, errors: String::from_utf8(ended.stderr).unwrap() }
}

fn call(command: &str, netns: &str, socket: &Path) -> Ended {
    let variables = [
        ("CNI_COMMAND", command),
        ("CNI_CONTAINERID", "c1"),
        ("CNI_NETNS", netns),
        ("CNI_IFNAME", "eth0"),
        ("CNI_ARGS", "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0"),
        ("CNI_PATH", "/opt/cni/bin"),
    ];
    let config = json!({"cniVersion": "1.1.0", "name": "kuryr", "type": "kuryr-cni", "kuryr_socket": socket});
    start(&variables, &config.to_string())
}

/// A daemon that answers each request with the same bytes, whatever it asks.
fn daemon(folder: &Path, answer: &'static str) -> std::path::PathBuf {
    let socket = folder.join("kuryr-cni.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap();
            assert!(request[..length].starts_with(b"POST /cni HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    socket
}

#[test]
fn a_person_who_starts_it_is_told_what_it_is() {
    let ended = start(&[], "");
    assert!(ended.good && ended.output.is_null() && ended.errors.contains("CNI plugin"));
}

#[test]
fn versions_are_told_without_the_daemon() {
    for (input, version) in
        [(r#"{"cniVersion": "0.4.0"}"#, "0.4.0"), (r#"{"cniVersion": "9.9.9"}"#, "1.1.0"), ("", "1.1.0")]
    {
        let ended = start(&[("CNI_COMMAND", "VERSION")], input);
        assert!(ended.good);
        let supported = json!(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]);
        assert_eq!(ended.output, json!({"cniVersion": version, "supportedVersions": supported}));
    }
}

#[test]
fn what_is_no_configuration_is_an_error() {
    for (input, code) in [
        ("", 6),
        ("{", 6),
        ("[]", 1),
        ("{}", 1),
        (r#"{"cniVersion": "0.1.0"}"#, 1),
        (r#"{"cniVersion": 1}"#, 1),
    ] {
        let ended = start(
            &[("CNI_COMMAND", "ADD"), ("CNI_CONTAINERID", "c"), ("CNI_IFNAME", "e"), ("CNI_NETNS", "/n")],
            input,
        );
        assert!(!ended.good);
        assert_eq!(ended.output["code"], code, "{input}: {}", ended.output);
    }
}

#[test]
fn a_daemon_that_is_away_is_a_reason_to_try_again() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nobody.sock");
    for command in ["ADD", "CHECK", "GC"] {
        let ended = call(command, "/proc/self/ns/net", &socket);
        assert!(!ended.good);
        assert_eq!(
            (&ended.output["code"], &ended.output["cniVersion"]),
            (&json!(11), &json!("1.1.0")),
            "{command}"
        );
        let message = ended.output["msg"].as_str().unwrap();
        assert!(message.contains("nobody.sock") && message.contains("kuryr-daemon"), "{message}");
    }
    assert_eq!(call("STATUS", "", &socket).output["code"], 50);
}

#[test]
fn without_the_daemon_only_a_sandbox_that_is_gone_can_be_disconnected() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nobody.sock");
    for gone in ["", "/run/netns/no-such-thing-of-kuryr"] {
        let ended = call("DEL", gone, &socket);
        assert!(ended.good && ended.output.is_null(), "{gone}: {}", ended.output);
    }
    let ended = call("DEL", "/proc/self/ns/net", &socket);
    assert!(!ended.good);
    assert_eq!(ended.output["code"], 11);
}

#[test]
fn the_daemons_answer_is_passed_on_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let result = "HTTP/1.1 200 OK\r\ncontent-length: 23\r\n\r\n{\"cniVersion\": \"1.1.0\"}";
    let ended = call("ADD", "/proc/self/ns/net", &daemon(folder.path(), result));
    assert!(ended.good);
    assert_eq!(ended.output, json!({"cniVersion": "1.1.0"}));
}

#[test]
fn the_daemons_error_is_passed_on_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let error =
        "HTTP/1.1 500 Internal Server Error\r\n\r\n{\"code\": 102, \"msg\": \"no\", \"details\": \"\"}";
    let ended = call("CHECK", "/proc/self/ns/net", &daemon(folder.path(), error));
    assert!(!ended.good);
    assert_eq!(ended.output, json!({"code": 102, "msg": "no", "details": ""}));
}

#[test]
fn a_daemon_that_answers_nonsense_or_dies_is_an_error() {
    for (answer, code) in [
        ("HTTP/1.1 500 Internal Server Error\r\n\r\n<html>", 5),
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}", 11),
        ("", 11),
        ("?\r\n\r\n", 11),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let ended = call("ADD", "/proc/self/ns/net", &daemon(folder.path(), answer));
        assert!(!ended.good);
        assert_eq!(ended.output["code"], code, "{answer}: {}", ended.output);
    }
}
