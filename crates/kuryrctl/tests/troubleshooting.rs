//! docs/troubleshooting.md names all that users are told, and nothing else.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Kinds of objects, which look like reasons of Events.
const KINDS: [&str; 3] = ["KuryrPort", "KuryrPorts", "NetworkPolicy"];
/// Values of a Service's `type`.
const TYPES: [&str; 5] = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName", "InternalIP"];

/// Operators of label selectors.
const OPERATORS: [&str; 2] = ["NotIn", "DoesNotExist"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The code below a folder, without its tests.
fn code(folder: &str) -> Vec<String> {
    let mut folders = vec![repository().join(folder)];
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = entry.file_name().unwrap().to_str().unwrap();
            if entry.is_dir() && name != "tests" {
                folders.push(entry);
            } else if entry.extension().is_some_and(|end| end == "rs") && !name.ends_with("tests.rs") {
                let text = fs::read_to_string(&entry).unwrap();
                texts.push(text.split("#[cfg(test)]").next().unwrap().to_owned());
            }
        }
    }
    texts
}

fn literals(text: &str) -> impl Iterator<Item = &str> {
    // No text that is looked for holds an escaped quote.
    text.split('"').skip(1).step_by(2)
}

/// What the first column of a section's tables names.
fn documented(section: &str) -> BTreeSet<String> {
    let document = fs::read_to_string(repository().join("docs/troubleshooting.md")).unwrap();
    let section = document.split("\n## ").find(|text| text.starts_with(section)).unwrap().to_owned();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.map(str::to_owned).collect()
}

#[test]
fn every_finding_is_explained() {
    let mut said = BTreeSet::new();
    for text in code("crates/kuryrctl/src/check") {
        let made = text.split("Finding::problem(").chain(text.split("Finding::warning("));
        let ids = made.skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
        said.extend(ids.filter(|id| !id.contains(' ')).map(str::to_owned));
    }
    assert!(said.len() > 30, "{said:?}");
    assert_eq!(documented("kuryrctl check"), said);
}

#[test]
fn every_reason_of_an_event_is_explained() {
    let is_reason = |text: &&str| {
        let humps = text.chars().filter(char::is_ascii_uppercase).count();
        humps > 1
            && text.starts_with(|first: char| first.is_ascii_uppercase())
            && text.chars().all(|letter| letter.is_ascii_alphabetic())
            && text.chars().any(|letter| letter.is_ascii_lowercase())
            && !KINDS.contains(text)
            && !TYPES.contains(text)
            && !OPERATORS.contains(text)
    };
    let mut said = BTreeSet::new();
    for folder in ["crates/kuryr-core/src", "crates/kuryr-controller/src", "crates/kuryr-daemon/src"] {
        for text in code(folder) {
            said.extend(literals(&text).filter(is_reason).map(str::to_owned));
        }
    }
    assert!(said.contains("PortVanished") && said.contains("CNITimeoutKuryrPortRegistry"), "{said:?}");
    let sections = ["Events of pods", "Events of Services", "Events of network policies"];
    let documented: BTreeSet<_> = sections.into_iter().flat_map(documented).collect();
    assert_eq!(documented, said);
}

#[test]
fn every_code_of_the_plugin_is_explained() {
    let text = fs::read_to_string(repository().join("crates/kuryr-cni/src/error.rs")).unwrap();
    let body = text.split("fn number(self)").nth(1).unwrap().split("\n    }\n").next().unwrap();
    let numbers = body.lines().filter_map(|line| line.split("=> ").nth(1)?.strip_suffix(','));
    let said: BTreeSet<_> = numbers.map(str::to_owned).collect();
    assert!(said.len() > 10, "{said:?}");
    assert_eq!(documented("Errors of the plugin"), said);
}
