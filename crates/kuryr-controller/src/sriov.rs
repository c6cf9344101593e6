//! Which resource of the SR-IOV device plugin a pod has to ask for, to have a virtual function of its network (`[sriov]`).
//!
//! ```text
//!   subnet ── default_physnet_subnets ──► physical network ── physnet_resource_mappings ──► prefix/resource
//!   network ── provider:physical_network ─┘
//! ```

use kuryr_api::{SubnetId, names};
use kuryr_config::Config;
use kuryr_core::network::PodNetwork;
use std::collections::BTreeMap;

/// The physical networks and resources of virtual functions.
#[derive(Clone, Debug, Default)]
pub struct Functions {
    /// Physical network of each subnet, where Neutron need not tell it.
    physnets: BTreeMap<SubnetId, String>,
    /// Resource of each physical network.
    resources: BTreeMap<String, String>,
}

impl Functions {
    /// Reads the configuration.
    pub fn new(config: &Config) -> Self {
        let options = &config.sriov;
        let prefix = &options.device_plugin_resource_prefix;
        let subnets = options.default_physnet_subnets.iter();
        let resources = options.physnet_resource_mappings.iter();
        Self {
            physnets: subnets.map(|(physnet, subnet)| (subnet.as_str().into(), physnet.clone())).collect(),
            resources: resources
                .map(|(physnet, resource)| (physnet.clone(), names::device_resource(prefix, resource)))
                .collect(),
        }
    }

    /// The physical network behind subnets.
    pub fn physnet_of<'s>(&self, subnets: impl IntoIterator<Item = &'s SubnetId>) -> Option<&str> {
        subnets.into_iter().find_map(|subnet| self.physnets.get(subnet)).map(String::as_str)
    }

    /// The resource by which a pod asks for a virtual function of `network`.
    ///
    /// # Errors
    /// Why nobody can: what to write in the configuration.
    pub fn resource_of(&self, network: &PodNetwork) -> Result<&str, String> {
        let Some(physnet) = &network.physnet else {
            return Err(format!(
                "the physical network of Neutron's network {} is not known. Name it in [sriov] default_physnet_subnets (PHYSNET:SUBNET-ID), \
                 or let Kuryr's OpenStack user see provider:physical_network.",
                network.id
            ));
        };
        self.resources.get(physnet).map(String::as_str).ok_or_else(|| {
            format!(
                "[sriov] physnet_resource_mappings has no resource for the physical network {physnet}. Name the one of the SR-IOV device \
                 plugin ({physnet}:RESOURCE)."
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kuryr_core::network::Naming;

    fn network(physnet: Option<&str>) -> PodNetwork {
        PodNetwork {
            id: "net".into(),
            name: String::new(),
            mtu: None,
            vlan: None,
            physnet: physnet.map(ToOwned::to_owned),
            subnets: Vec::new(),
            security_groups: Vec::new(),
            project: None,
            tags: Vec::new(),
            bridge: None,
            vhostuser_dir: String::new(),
            naming: Naming::None,
        }
    }

    #[test]
    fn subnets_lead_to_resources() {
        let mut config = Config::default();
        let pair = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        config.sriov.default_physnet_subnets = pair("physnet1", "subnet-1");
        config.sriov.physnet_resource_mappings = pair("physnet1", "sriov_net");
        let functions = Functions::new(&config);
        let subnets = ["other", "subnet-1"].map(SubnetId::from);
        assert_eq!(functions.physnet_of(&subnets), Some("physnet1"));
        assert_eq!(functions.physnet_of(&subnets[..1]), None);
        assert_eq!(functions.resource_of(&network(Some("physnet1"))), Ok("intel.com/sriov_net"));
        let refused = |physnet| functions.resource_of(&network(physnet)).unwrap_err();
        assert!(refused(None).contains("default_physnet_subnets"), "{}", refused(None));
        assert!(refused(Some("physnet2")).contains("physnet2:RESOURCE"), "{}", refused(Some("physnet2")));
    }
}
