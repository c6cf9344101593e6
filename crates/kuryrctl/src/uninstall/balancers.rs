//! The load balancers and floating IPs that are Kuryr's: those with the cluster's tag, and those that a record names, which an
//! earlier Kuryr made.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Service;
use kube::{Api, Client, ResourceExt, api::ListParams};
use kuryr_api::{FloatingIpId, KuryrLoadBalancer, LoadBalancerId};
use kuryr_core::service::Wishes;
use kuryr_openstack::{
    Kind,
    neutron::{FloatingIp, FloatingIpFilter},
    octavia::{LoadBalancer, LoadBalancerFilter, Octavia},
};

use super::{cloud::Cloud, step::Step};

/// How the descriptions of Kuryr's floating IPs begin, before the name of the Service.
const PURPOSE: &str = "Kuryr: Service ";

/// A step for each: floating IPs first, while they still lead somewhere, then load balancers, and a wait for their end.
pub(super) async fn ours(client: &Client, cloud: &Cloud, own_tag: &str) -> Result<Vec<Step>> {
    let records = records(client).await?;
    let mut steps = floating_ips(client, cloud, own_tag, &records).await?;
    let balancers = load_balancers(&cloud.octavia, own_tag, &records).await?;
    let ids = balancers.keys().cloned().collect::<Vec<_>>();
    steps.extend(balancers.into_iter().map(|(id, name)| Step::DeleteBalancer(id, name)));
    if !ids.is_empty() {
        steps.push(Step::AwaitBalancers(ids));
    }
    Ok(steps)
}

async fn records(client: &Client) -> Result<Vec<KuryrLoadBalancer>> {
    match Api::all(client.clone()).list(&ListParams::default()).await {
        // Their definition is gone, and they with it.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        records => Ok(records.context("cannot list KuryrLoadBalancers")?.items),
    }
}

/// Ids and names.
async fn load_balancers(
    octavia: &Octavia,
    own_tag: &str,
    records: &[KuryrLoadBalancer],
) -> Result<BTreeMap<LoadBalancerId, String>> {
    let tagged = LoadBalancerFilter { tags: vec![own_tag.to_owned()], ..LoadBalancerFilter::default() };
    let mut found = match octavia.load_balancers(&tagged).await {
        // Without Octavia there are none.
        Err(error) if error.kind() == Kind::NoEndpoint => return Ok(BTreeMap::new()),
        found => found.context("cannot list the load balancers with this cluster's tag")?,
    };
    for record in records {
        let Some(recorded) = record.status.as_ref().and_then(|status| status.loadbalancer.as_ref()) else {
            continue;
        };
        match octavia.load_balancer(&recorded.id.as_str().into()).await {
            Ok(balancer) if is_of(record, &balancer) => found.push(balancer),
            Ok(_) => {}
            Err(error) if error.kind() == Kind::NotFound => {}
            Err(error) => return Err(error).context("cannot read a load balancer that a record names"),
        }
    }
    Ok(found.into_iter().map(|one| (one.id, one.name)).collect())
}

/// A record may name any load balancer, also one that is not Kuryr's, or another cluster's.
fn is_of(record: &KuryrLoadBalancer, balancer: &LoadBalancer) -> bool {
    let name = format!("{}/{}", record.namespace().unwrap_or_default(), record.name_any());
    balancer.name == name && balancer.tags.iter().all(|tag| !tag.starts_with("kuryr-cluster="))
}

async fn floating_ips(
    client: &Client,
    cloud: &Cloud,
    own_tag: &str,
    records: &[KuryrLoadBalancer],
) -> Result<Vec<Step>> {
    let all = cloud.neutron.floating_ips(&FloatingIpFilter::default()).await;
    let all = match all {
        // A Neutron that routes nothing has none.
        Err(error) if error.kind() == Kind::NotFound => return Ok(Vec::new()),
        all => all.context("cannot list floating IPs")?,
    };
    let recorded: BTreeSet<FloatingIpId> = records.iter().filter_map(made_one).collect();
    let kept = kept(client).await?;
    let is_ours = |one: &FloatingIp| {
        one.tags.iter().any(|tag| tag == own_tag)
            || recorded.contains(&one.id)
            || (one.description.starts_with(PURPOSE) && one.description.ends_with(&format!("({own_tag})")))
    };
    let is_kept = |one: &FloatingIp| {
        let named = one.description.strip_prefix(PURPOSE).and_then(|rest| rest.split_once(" ("));
        named.is_some_and(|(service, _)| kept.contains(service))
    };
    let going = all.into_iter().filter(|one| is_ours(one) && !is_kept(one));
    Ok(going.map(|one| Step::DeleteFloatingIp(one.id, one.floating_ip_address)).collect())
}

/// The floating IP that a record says to be made by a Kuryr, and not by a user.
fn made_one(record: &KuryrLoadBalancer) -> Option<FloatingIpId> {
    let info = record.status.as_ref()?.service_pub_ip_info.as_ref()?;
    (info.alloc_method == "pool").then(|| info.ip_id.as_str().into())
}

/// Services whose floating IP is to outlive them.
async fn kept(client: &Client) -> Result<BTreeSet<String>> {
    let services = Api::<Service>::all(client.clone()).list(&ListParams::default()).await;
    let services = services.context("cannot list Services")?;
    let keeps = services.iter().filter(|service| {
        let annotations = service.annotations().iter();
        Wishes::read(annotations.map(|(name, value)| (name.as_str(), value.as_str()))).keep_address
    });
    Ok(keeps
        .map(|service| format!("{}/{}", service.namespace().unwrap_or_default(), service.name_any()))
        .collect())
}
