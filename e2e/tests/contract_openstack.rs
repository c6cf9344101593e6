//! The lab's Keystone and Neutron keep the contract that the fake cloud keeps.
//!
//! The body is the same as the fake's (`crates/kuryr-openstack/tests/contract`), so that the fake cannot drift.
#![allow(clippy::unwrap_used)]

#[path = "../../crates/kuryr-openstack/tests/contract/mod.rs"]
mod contract;

use contract::Cloud;
use serde_json::Value;
use std::{env, fs, path::PathBuf};

/// The lab as its `lab.json` describes it. A missing lab is a failed test.
async fn lab() -> (Cloud, ()) {
    let folder = env::var_os("KURYR_LAB").map(PathBuf::from);
    let folder =
        folder.unwrap_or_else(|| PathBuf::from(env::var_os("HOME").unwrap()).join(".cache/kuryr-lab"));
    let facts = fs::read(folder.join("lab.json")).expect("the lab is up (`make lab-up`)");
    let facts: Value = serde_json::from_slice(&facts).unwrap();
    let cloud = &facts["openstack"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let subnet = |family: char| {
        let subnets = cloud["pod_subnets"].as_array().unwrap();
        text(&subnets.iter().find(|subnet| text(&subnet["cidr"]).contains(family)).unwrap()["id"])
    };
    let cloud = Cloud {
        auth_url: text(&cloud["keystone"]),
        user: text(&cloud["user"]),
        password: text(&cloud["password"]),
        project: text(&cloud["project"]),
        project_id: text(&cloud["project_id"]).into(),
        domain: text(&cloud["domain"]),
        network: text(&cloud["pod_network"]["id"]).into(),
        network_name: text(&cloud["pod_network"]["name"]),
        subnet_v4: subnet('.').into(),
        subnet_v6: subnet(':').into(),
        group: text(&cloud["security_group"]["id"]).into(),
        group_name: text(&cloud["security_group"]["name"]),
        neutron_url: text(&cloud["neutron"]),
        host: text(&facts["nodes"][0]["name"]),
    };
    (cloud, ())
}

contract!(lab());
