//! The options of `kuryrctl openstack init`.

use anyhow::{Result, bail};
use clap::Args;
use ipnet::IpNet;
use kuryr_core::layout::{Found, Layout};

use crate::cli::Sources;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(super) sources: Sources,
    /// Only say what is missing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Range of pods; twice, one of each family, for pods with two addresses
    #[arg(long = "pod-range", value_name = "CIDR", default_value = "10.1.0.0/16")]
    pod_ranges: Vec<IpNet>,
    /// Range that Kubernetes gives cluster IPs from, as kube-apiserver has it in --service-cluster-ip-range.
    ///
    /// The subnet is twice as large: Neutron gives from its other half.
    #[arg(long, value_name = "CIDR", default_value = "10.96.0.0/16")]
    service_range: IpNet,
    /// Network of pods
    #[arg(long, value_name = "NAME", default_value = "k8s-pod-net")]
    pod_network: String,
    /// Network of Services
    #[arg(long, value_name = "NAME", default_value = "k8s-service-net")]
    service_network: String,
    /// Router between the networks
    #[arg(long, value_name = "NAME", default_value = "k8s-router")]
    router: String,
    /// Security group of pods
    #[arg(long, value_name = "NAME", default_value = "k8s-pods")]
    security_group: String,
    /// Network that the router leads to, and floating IPs come from [default: the only one that is external]
    #[arg(long, value_name = "NAME", conflicts_with = "no_external_network")]
    external_network: Option<String>,
    /// Let the router lead nowhere
    #[arg(long)]
    no_external_network: bool,
    /// Raise the quota of ports for so many pods, if the user may; say what is to be done if not
    #[arg(long, value_name = "NUMBER")]
    pub(super) pods: Option<u32>,
}

impl Options {
    /// The layout that is asked for.
    pub(super) fn layout(&self, found: &Found) -> Result<Layout> {
        Ok(Layout {
            pod_network: self.pod_network.clone(),
            pod_ranges: self.pod_ranges.clone(),
            service_network: self.service_network.clone(),
            service_range: self.service_range,
            external_network: self.external(found)?,
            router: self.router.clone(),
            security_group: self.security_group.clone(),
        })
    }

    fn external(&self, found: &Found) -> Result<Option<String>> {
        if self.no_external_network || self.external_network.is_some() {
            return Ok(self.external_network.clone());
        }
        let names: Vec<_> =
            found.networks.iter().filter(|network| network.external).map(|network| &network.name).collect();
        match names[..] {
            [only] => Ok(Some(only.clone())),
            [] => bail!(
                "the project sees no external network: say --no-external-network, or ask the cloud's administrator for one"
            ),
            _ => bail!(
                "the project sees several external networks, {names:?}: choose one by --external-network"
            ),
        }
    }
}
