//! The part of kuryr.conf that says where pods and Services are.

use std::fmt::Write;

use anyhow::Result;
use kuryr_api::ProjectId;
use kuryr_config::cloud::CloudAccess;
use kuryr_core::layout::{Found, Layout};

use super::known;

/// kuryr.conf for a complete layout. It holds no credentials: those stay where they were read from.
pub(super) fn render(layout: &Layout, found: &Found, project: &ProjectId, access: &CloudAccess) -> Result<String> {
    let subnets = layout.subnets()?;
    let ids = subnets.iter().map(|subnet| Ok(known(found.same(subnet), &subnet.name)?.id.clone()));
    let ids = ids.collect::<Result<Vec<_>>>()?;
    let (pods, services) = ids.split_at(layout.pod_ranges.len());
    let mut text = String::from(HEADER);
    writeln!(text, "auth_url = {}", access.auth_url)?;
    for (option, value) in [("region_name", &access.region_name)] {
        if let Some(value) = value {
            writeln!(text, "{option} = {value}")?;
        }
    }
    writeln!(text, "\n[neutron_defaults]\nproject = {project}")?;
    match pods {
        [only] => writeln!(text, "pod_subnet = {only}")?,
        several => writeln!(text, "pod_subnets = {}", several.join(","))?,
    }
    writeln!(text, "service_subnet = {}", services.concat())?;
    writeln!(text, "pod_security_groups = {}", known(found.group(&layout.security_group), &layout.security_group)?.id)?;
    if let Some(external) = &layout.external_network {
        writeln!(text, "external_svc_net = {}", known(found.network(external), external)?.id)?;
    }
    let router = &known(found.router(&layout.router), &layout.router)?.id;
    writeln!(text, "\n[namespace_subnet]\npod_router = {router}")?;
    Ok(text)
}

const HEADER: &str = "\
# Made by `kuryrctl openstack init`. Put the user and its password beside auth_url, or give the credentials another way;
# then: kuryrctl generate --config FILE | kubectl apply -f -
[neutron]
";
