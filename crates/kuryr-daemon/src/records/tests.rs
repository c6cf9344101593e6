//! Which record is the one for a call.

use kuryr_k8s::slim::Slim;
use serde_json::{Value, json};

use super::*;

fn record(change: impl FnOnce(&mut Value)) -> PortRecord {
    let vif = include_str!("../../../kuryr-api/testdata/vif_ovo_and_cni_results.json");
    let cases: Value = serde_json::from_str(vif).unwrap();
    let mut wire = json!({
        "metadata": {"name": "web-0", "namespace": "default", "uid": "record"},
        "spec": {"podUid": "new", "podNodeName": "node1"},
        "status": {"vifs": {"eth0": {"default": true, "vif": cases[0]["vif"]}}},
    });
    change(&mut wire);
    PortRecord::trim(serde_json::from_value(wire).unwrap())
}

fn pod(uid: &str, change: impl FnOnce(&mut Value)) -> Pod {
    let mut wire = json!({
        "metadata": {"name": "web-0", "namespace": "default", "uid": uid},
        "spec": {"nodeName": "node1"},
    });
    change(&mut wire);
    Pod::trim(serde_json::from_value(wire).unwrap())
}

fn good() -> PortRecord {
    record(|_| {})
}

fn waits_for(verdict: &Verdict, word: &str) -> bool {
    matches!(verdict, Verdict::NotYet(reason) if reason.contains(word))
}

#[test]
fn a_record_of_the_kubelets_pod_is_good_whatever_the_api_says() {
    assert_eq!(judge(Some(&good()), None, Some("new")), Verdict::Good);
    assert_eq!(judge(Some(&good()), Some(&pod("old", |_| {})), Some("new")), Verdict::Good);
}

#[test]
fn a_record_of_an_earlier_pod_of_the_name_is_not() {
    let verdict = judge(Some(&good()), None, Some("newer"));
    assert!(waits_for(&verdict, "earlier pod"), "{verdict:?}");
}

#[test]
fn without_a_uid_from_the_runtime_the_api_tells_it() {
    assert_eq!(judge(Some(&good()), Some(&pod("new", |_| {})), None), Verdict::Good);
    assert!(waits_for(&judge(Some(&good()), Some(&pod("newer", |_| {})), None), "earlier pod"));
    assert!(waits_for(&judge(Some(&good()), None, None), "does not list the pod"));
}

#[test]
fn a_static_pod_has_another_uid_with_the_kubelet() {
    let by_record = record(|wire| wire["spec"]["podStatic"] = json!(true));
    assert_eq!(judge(Some(&by_record), None, Some("hash")), Verdict::Good);
    assert_eq!(judge(Some(&by_record), Some(&pod("new", |_| {})), Some("hash")), Verdict::Good);
    let by_pod =
        pod("new", |wire| wire["metadata"]["annotations"] = json!({"kubernetes.io/config.source": "file"}));
    assert_eq!(judge(Some(&good()), Some(&by_pod), Some("hash")), Verdict::Good);
    assert!(waits_for(&judge(Some(&by_record), Some(&pod("newer", |_| {})), Some("hash")), "earlier pod"));
}

#[test]
fn what_is_not_complete_is_waited_for() {
    let cases = [
        (record(|wire| wire["status"]["vifs"] = json!({})), "no interface"),
        (record(|wire| wire["status"]["vifs"] = json!({"eth0": 7})), "not readable"),
        (
            record(|wire| wire["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z")),
            "being deleted",
        ),
    ];
    for (record, word) in cases {
        let verdict = judge(Some(&record), None, Some("new"));
        assert!(waits_for(&verdict, word), "{verdict:?}");
    }
    assert!(waits_for(&judge(None, None, Some("new")), "neither"));
    assert!(waits_for(&judge(None, Some(&pod("new", |_| {})), Some("new")), "no KuryrPort"));
}

#[test]
fn a_pod_that_is_being_deleted_gets_no_record_any_more() {
    let deleting = |wire: &mut Value| wire["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert!(matches!(judge(None, Some(&pod("new", deleting)), Some("new")), Verdict::Gone(_)));
    // The API's pod is the one before the kubelet's.
    assert!(matches!(judge(None, Some(&pod("old", deleting)), Some("new")), Verdict::NotYet(_)));
}
