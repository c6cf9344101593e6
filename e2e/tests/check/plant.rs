//! Mistakes that are planted, and taken out again when the story ends.

use std::net::IpAddr;

use kuryr_e2e::{AsAdmin, Context, Result, Stage};
use kuryr_openstack::neutron::{NewSubnet, SubnetFilter};
use kuryr_openstack::{Call, Service};
use kuryr_testkit::proxy::{Faulty, Plan};
use reqwest::{Method, StatusCode};
use serde_json::json;

const CRD: &str =
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/kuryrnetworkpolicies.openstack.org";

/// Neutron as a cloud without tags shows it.
pub async fn without_tags(stage: &Stage) -> Result<Faulty> {
    let proxy = Faulty::start(&stage.facts.openstack.neutron, Plan::harmless()).await?;
    let others = stage.neutron.extensions().await?.iter().filter(|alias| *alias != "standard-attr-tag");
    let others: Vec<_> = others.map(|alias| json!({ "alias": alias })).collect();
    proxy.answer_for("/v2.0/extensions", StatusCode::OK, json!({ "extensions": others }).to_string());
    Ok(proxy)
}

/// Kubernetes as a cluster shows it in which one definition was never applied.
pub async fn without_definition(url: &str) -> Result<Faulty> {
    let proxy = Faulty::start(url, Plan::harmless()).await?;
    let missing = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404, "message": "not found",
    });
    proxy.answer_for(CRD, StatusCode::NOT_FOUND, missing.to_string());
    Ok(proxy)
}

/// Room for a few ports more, until the story ends.
pub async fn small_quota(stage: &Stage) -> Result<()> {
    let before = stage.neutron.quotas(&stage.facts.openstack.project_id).await?.port;
    let facts = stage.facts.clone();
    stage.put_back("quota", async move { AsAdmin::new(&facts)?.set_port_quota(&facts, before.limit).await });
    AsAdmin::new(&stage.facts)?.set_port_quota(&stage.facts, before.used + 7).await
}

/// A subnet on a network of its own, of addresses that the service subnet has too.
pub async fn subnet_within_services(stage: &Stage) -> Result<String> {
    let network = stage.neutron.create_network(&stage.namespace).await?.id;
    let (neutron, path) = (stage.neutron.clone(), format!("/networks/{network}"));
    stage.put_back("network", async move {
        let call = Call::new(Service::Network, Method::DELETE, "/networks/{id}", path);
        Ok(neutron.session().call(&call).await.map(drop)?)
    });
    let subnet = NewSubnet {
        name: stage.namespace.clone(),
        network_id: network,
        cidr: "10.97.64.0/18".to_owned(),
        ip_version: 4,
        gateway_ip: None,
        allocation_pools: Vec::new(),
        enable_dhcp: false,
    };
    Ok(stage.neutron.create_subnet(&subnet).await?.id.to_string())
}

/// A real subnet that has nothing to do with Services.
pub async fn external_subnet(stage: &Stage) -> Result<String> {
    let outside: IpAddr = stage.facts.openstack.external_subnet.gateway;
    let subnets = stage.neutron.subnets(&SubnetFilter::default()).await?;
    let found = subnets.into_iter().find(|subnet| subnet.gateway_ip == Some(outside));
    Ok(found.context("the lab has no external subnet")?.id.to_string())
}
