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
                "the project sees several external networks ({}): choose one by --external-network",
                names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use kuryr_core::layout::Network;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        options: Options,
    }

    fn external(args: &[&str], outside: &[&str]) -> Result<Option<String>, String> {
        let options = Program::parse_from([&["program"], args].concat()).options;
        let network =
            |name: &&str| Network { id: format!("id of {name}"), name: (*name).to_owned(), external: true };
        let inside = Network { id: "inside".to_owned(), name: "inside".to_owned(), external: false };
        let networks = outside.iter().map(network).chain([inside]).collect();
        let layout = options.layout(&Found { networks, ..Found::default() });
        layout.map(|layout| layout.external_network).map_err(|error| error.to_string())
    }

    #[test]
    fn the_only_external_network_needs_no_word() {
        assert_eq!(external(&[], &["public"]), Ok(Some("public".to_owned())));
        assert_eq!(external(&["--external-network", "b"], &["a", "b"]), Ok(Some("b".to_owned())));
        assert_eq!(external(&["--no-external-network"], &["a", "b"]), Ok(None));
    }

    #[test]
    fn without_exactly_one_the_user_has_to_choose() {
        let none = external(&[], &[]).unwrap_err();
        assert!(none.contains("--no-external-network"), "{none}");
        let several = external(&[], &["a", "b"]).unwrap_err();
        assert!(several.contains("a, b") && several.contains("--external-network"), "{several}");
    }
}
