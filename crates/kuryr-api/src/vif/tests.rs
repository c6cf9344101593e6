//! Our JSON against what the Python Kuryr wrote.

use super::Vif;
use serde_json::{Value, json};

const GOLDEN: &str = include_str!("../../testdata/vif_ovo_and_cni_results.json");
const TRACES: [(&str, &str); 4] = [
    ("neutron", include_str!("../../testdata/trace_neutron.json")),
    ("nested", include_str!("../../testdata/trace_nested.json")),
    ("neutronpool", include_str!("../../testdata/trace_neutronpool.json")),
    ("nestedpool", include_str!("../../testdata/trace_nestedpool.json")),
];

#[test]
fn every_golden_vif_is_written_as_it_was_read_to_the_byte() {
    let cases: Vec<Value> = serde_json::from_str(GOLDEN).unwrap();
    assert_eq!(cases.len(), 10);
    for text in raw_vifs(GOLDEN) {
        let vif: Vif = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&vif).unwrap(), compact(text));
    }
}

#[test]
fn every_vif_in_the_traces_of_the_original_is_written_as_it_was_read() {
    for (name, trace) in TRACES {
        let texts = raw_vifs(trace);
        assert!(!texts.is_empty(), "{name}");
        for text in texts {
            let vif: Vif = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&vif).unwrap(), compact(text), "{name}");
        }
    }
}

#[test]
fn changes_later_fields_and_later_minor_versions_are_tolerated() {
    let mut object: Value = serde_json::from_str(raw_vifs(GOLDEN)[0]).unwrap();
    object["versioned_object.changes"] = json!(["active"]);
    object["versioned_object.version"] = json!("1.7");
    object["versioned_object.data"]["colour"] = json!("blue");
    let vif: Vif = serde_json::from_value(object).unwrap();
    assert_eq!(vif.base().extra["colour"], "blue");
    assert_eq!(serde_json::to_value(&vif).unwrap()["versioned_object.data"]["colour"], "blue");
}

#[test]
fn fields_that_older_versions_lack_have_their_defaults() {
    let mut object: Value = serde_json::from_str(raw_vifs(GOLDEN)[0]).unwrap();
    let data = object["versioned_object.data"].as_object_mut().unwrap();
    for field in ["active", "plugin", "preserve_on_delete", "has_traffic_filtering", "port_profile"] {
        data.remove(field);
    }
    let vif: Vif = serde_json::from_value(object).unwrap();
    assert!(!vif.base().active);
}

#[test]
fn another_major_version_or_class_is_refused_by_name() {
    let mut object: Value = serde_json::from_str(raw_vifs(GOLDEN)[0]).unwrap();
    object["versioned_object.version"] = json!("2.0");
    let error = serde_json::from_value::<Vif>(object.clone()).unwrap_err().to_string();
    assert!(error.contains("version 2.0 of VIFOpenVSwitch is not 1.x"), "{error}");
    object["versioned_object.name"] = json!("VIFCarrierPigeon");
    object["versioned_object.version"] = json!("1.0");
    let error = serde_json::from_value::<Vif>(object).unwrap_err().to_string();
    assert!(error.contains("`VIFCarrierPigeon`"), "{error}");
}

#[test]
fn variants_without_golden_data_survive_a_round_trip() {
    for (class, own) in [
        ("VIFMacvlanNested", json!({ "vif_name": "tapx" })),
        ("VIFIpvlanNested", json!({ "vif_name": "tapx" })),
        ("VIFDPDKNested", json!({ "pci_address": "", "dev_driver": "" })),
        ("VIFSriov", json!({ "vif_name": "", "physnet": "physnet1", "pod_name": "p", "pod_link": "/l" })),
    ] {
        let mut object: Value = serde_json::from_str(raw_vifs(GOLDEN)[0]).unwrap();
        object["versioned_object.name"] = json!(class);
        let data = object["versioned_object.data"].as_object_mut().unwrap();
        data.remove("vif_name");
        data.remove("bridge_name");
        data.extend(own.as_object().unwrap().clone());
        let vif: Vif = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(vif.class(), class);
        assert_eq!(serde_json::to_value(&vif).unwrap(), object);
    }
}

/// The text of every VIF in a document, found by its first key, so that the order of keys is compared too.
fn raw_vifs(document: &str) -> Vec<&str> {
    let key = "\"versioned_object.name\": \"VIF";
    let starts = document.match_indices(key).map(|(at, _)| document[..at].rfind('{').unwrap());
    let texts = starts.map(|start| &document[start..start + balanced(&document[start..])]);
    texts
        .filter(|text| !text.contains("\"versioned_object.name\": \"VIFPort") || text.contains("vif_name"))
        .collect()
}

/// Length of the JSON object at the start of `text`; no string in the test data holds a brace.
fn balanced(text: &str) -> usize {
    let mut depth = 0;
    for (at, character) in text.char_indices() {
        depth += match character {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        if depth == 0 {
            return at + 1;
        }
    }
    panic!("unbalanced: {text}");
}

/// `text` without the white space between its tokens; no string in the test data holds a blank.
fn compact(text: &str) -> String {
    text.split_whitespace().collect()
}
