//! What goes over the wire, against what the Python Kuryr sent.

use serde_json::json;

use super::*;

const GOLDEN: &str = include_str!("../../../kuryr-api/testdata/vif_ovo_and_cni_results.json");

/// JSON text, however laid out, as Python's `json.dumps` lays it out.
fn as_python(text: &str) -> String {
    let (mut written, mut inside, mut escaped) = (String::new(), false, false);
    for character in text.chars() {
        if !inside && character.is_whitespace() {
            continue;
        }
        written.push(character);
        match character {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '"' => inside = !inside,
            ',' | ':' if !inside => written.push(' '),
            _ => {}
        }
    }
    written
}

/// The texts of all members `"vif"`, each from its brace to the brace that closes it.
fn raw_vifs() -> Vec<&'static str> {
    GOLDEN
        .match_indices("\"vif\":")
        .map(|(position, key)| {
            let rest = GOLDEN[position + key.len()..].trim_start();
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            values.next().unwrap().unwrap();
            &rest[..values.byte_offset()]
        })
        .collect()
}

#[test]
fn a_vif_is_sent_to_the_byte_as_the_python_kuryr_sent_it() {
    let texts = raw_vifs();
    assert_eq!(texts.len(), 10);
    for text in texts {
        let vif: Vif = serde_json::from_str(text).unwrap();
        assert_eq!(python_json(&vif), as_python(text));
    }
}

#[test]
fn a_request_of_the_python_kuryrs_plugins_is_understood() {
    let body = json!({
        "CNI_IFNAME": "eth0", "CNI_NETNS": "/var/run/netns/x", "CNI_PATH": "/opt/cni/bin", "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "c1", "CNI_ARGS": "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0",
        "config_kuryr": {"cniVersion": "0.3.1", "name": "kuryr", "type": "kuryr-cni", "kuryr_conf": "/etc/kuryr/kuryr.conf"},
    });
    let request = request(Command::Add, body.to_string().as_bytes()).unwrap();
    assert_eq!((request.command, request.netns.as_deref()), (Command::Add, Some("/var/run/netns/x")));
    assert!(request.complete().is_ok());
    let error = super::request(Command::Del, b"{}").unwrap_err();
    assert_eq!((error.code, error.msg.as_str()), (4, "Required CNI params missing."));
}

#[tokio::test]
async fn failures_have_the_statuses_and_codes_that_the_plugins_know() {
    let gone = Failure::PodGone { pod: "default/web-0".into(), reason: "deleted".into() };
    let late = Failure::Superseded("default/web-0".into());
    let broken = Failure::Switch { link: "tap1".into(), reason: "no such device".into() };
    let wrong = Failure::Call(CniError::new(Code::InvalidEnvironment, "Required CNI params missing."));
    for (failure, status, code) in [(gone, 410, 3), (late, 504, 11), (broken, 500, 999), (wrong, 400, 4)] {
        let response = fail(&failure);
        assert_eq!(response.status().as_u16(), status, "{failure}");
        assert_eq!(response.headers()["ContentType"], "application/json");
        assert_eq!(response.headers()["connection"], "close");
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.starts_with(&format!("{{\"code\": {code}, \"msg\": \"")), "{text}");
    }
}
