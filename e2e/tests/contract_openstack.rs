//! The lab's Keystone and Neutron keep the contract that the fake cloud keeps.
//!
//! The body is the same as the fake's (`crates/kuryr-openstack/tests/contract`), so that the fake cannot drift.
#![allow(clippy::unwrap_used)]

#[path = "../../crates/kuryr-openstack/tests/contract/mod.rs"]
mod contract;

use contract::Cloud;
use kuryr_openstack::{Kind, Session, Settings, Trust};
use serde_json::Value;
use std::{env, fs, path::PathBuf};

/// What the lab says of itself. A missing lab is a failed test.
fn facts() -> Value {
    let folder = env::var_os("KURYR_LAB").map(PathBuf::from);
    let folder =
        folder.unwrap_or_else(|| PathBuf::from(env::var_os("HOME").unwrap()).join(".cache/kuryr-lab"));
    let facts = fs::read(folder.join("lab.json")).expect("the lab is up (`make lab-up`)");
    serde_json::from_slice(&facts).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn lab() -> (Cloud, ()) {
    let facts = facts();
    let cloud = &facts["openstack"];
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
        external: text(&cloud["external_network"]["id"]).into(),
        external_subnet: text(&cloud["external_subnet"]["id"]).into(),
        neutron_url: text(&cloud["neutron"]),
        host: text(&facts["nodes"][0]["name"]),
    };
    (cloud, ())
}

contract!(std::future::ready(lab()));

/// The lab's OpenStack speaks plain HTTP, but its Kubernetes API has a certificate of an authority of its own.
#[tokio::test]
async fn certificates_are_checked() {
    let (cloud, ()) = lab();
    let facts = facts();
    let sign_in = async |trust: Trust| {
        let mut settings = Settings::new(text(&facts["kubernetes"]["api_local"]), cloud.auth());
        settings.tls.trust = trust;
        settings.retry.times = 0;
        contract::install_provider();
        Session::open(settings).unwrap().check().await.unwrap_err()
    };
    for known in [Trust::File(text(&facts["kubernetes"]["ca"]).into()), Trust::Anyone] {
        let error = sign_in(known.clone()).await;
        assert!(
            error.refusal().is_some(),
            "{known:?}: the server answers, though it is no Keystone: {}",
            error.chain()
        );
    }
    let error = sign_in(Trust::System).await;
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(error.chain().contains("certificate"), "{}", error.chain());
}
