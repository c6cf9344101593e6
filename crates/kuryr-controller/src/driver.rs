//! How the pods of a node get their ports: by `[kubernetes] pod_vif_driver`, or by the label of their node.

use kuryr_api::names::POD_VIF_LABEL;
use kuryr_config::Config;
use kuryr_core::carrier::Sharing;
use kuryr_k8s::slim::Node;
use std::str::FromStr;

/// The pool that keeps no ports.
const NO_POOL: &str = "noop";

/// How the pods of a node get their ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// The node is a host that Neutron binds ports to.
    #[default]
    NeutronVif,
    /// The node is a virtual machine, whose trunk carries them.
    NestedVlan,
    /// The node is a virtual machine, whose link they share, each with its own MAC address.
    NestedMacvlan,
    /// The same, with the machine's MAC address.
    NestedIpvlan,
    /// The node is a virtual machine, to which Nova attaches them.
    NestedDpdk,
    /// The node is a host, and each pod has a virtual function of one of its network cards.
    Sriov,
}

impl Driver {
    /// All that there are.
    pub const ALL: [Self; 6] = [
        Self::NeutronVif,
        Self::NestedVlan,
        Self::NestedMacvlan,
        Self::NestedIpvlan,
        Self::NestedDpdk,
        Self::Sriov,
    ];

    /// As configuration and labels call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NeutronVif => "neutron-vif",
            Self::NestedVlan => "nested-vlan",
            Self::NestedMacvlan => "nested-macvlan",
            Self::NestedIpvlan => "nested-ipvlan",
            Self::NestedDpdk => "nested-dpdk",
            Self::Sriov => "sriov",
        }
    }

    /// What they are called.
    pub fn names() -> [&'static str; 6] {
        Self::ALL.map(Self::as_str)
    }

    /// Whether its nodes are virtual machines of this OpenStack, which carry the ports of their pods.
    pub fn is_nested(self) -> bool {
        match self {
            Self::NeutronVif | Self::Sriov => false,
            Self::NestedVlan | Self::NestedMacvlan | Self::NestedIpvlan | Self::NestedDpdk => true,
        }
    }

    /// How its pods share the link of their machine, if they do.
    pub fn sharing(self) -> Option<Sharing> {
        match self {
            Self::NeutronVif | Self::NestedVlan | Self::NestedDpdk | Self::Sriov => None,
            Self::NestedMacvlan => Some(Sharing::Macvlan),
            Self::NestedIpvlan => Some(Sharing::Ipvlan),
        }
    }

    /// The pool of its ports, as `[vif_pool]` calls it; none: none can be kept ready.
    pub fn pool(self) -> Option<&'static str> {
        match self {
            Self::NeutronVif => Some("neutron"),
            Self::NestedVlan => Some("nested"),
            // Which virtual function a pod has is the kubelet's word, when the pod is there.
            Self::NestedMacvlan | Self::NestedIpvlan | Self::NestedDpdk | Self::Sriov => None,
        }
    }

    /// The driver of a node's pods; without a label, this one.
    ///
    /// # Errors
    /// The label says what no driver is called.
    pub fn of(self, node: &Node) -> Result<Self, String> {
        node.pod_vif.as_deref().map_or(Ok(self), |label| {
            label.parse().map_err(|()| {
                format!("its label {POD_VIF_LABEL} is {label:?}, and may be {}", Self::names().join(" or "))
            })
        })
    }
}

impl FromStr for Driver {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|driver| driver.as_str() == name).ok_or(())
    }
}

/// What `vif_pool_mapping` asks for and no pool can do: drivers, and the pools that they are to have.
pub fn impossible_pools(config: &Config) -> Vec<String> {
    let is_possible = |driver: &str, pool: &str| {
        pool == NO_POOL || driver.parse::<Driver>().is_ok_and(|driver| driver.pool() == Some(pool))
    };
    let mapping = config.vif_pool.mapping().into_iter();
    mapping
        .filter(|(driver, pool)| !is_possible(driver, pool))
        .map(|(driver, pool)| format!("{driver}:{pool}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_that_no_driver_has_are_told_of() {
        let mut config = Config::default();
        let asked = [
            ("neutron-vif", "neutron"),
            ("nested-vlan", "neutron"),
            ("nested-dpdk", "noop"),
            ("sriov", "neutron"),
            ("sr-iov", "noop"),
        ];
        config.vif_pool.vif_pool_mapping =
            asked.into_iter().map(|(driver, pool)| (driver.to_owned(), pool.to_owned())).collect();
        assert_eq!(impossible_pools(&config), ["nested-vlan:neutron", "sriov:neutron"]);
        config.vif_pool.pools_vif_drivers = [("nested".to_owned(), "neutron-vif".to_owned())].into();
        assert_eq!(
            impossible_pools(&config).len(),
            2,
            "the older option counts where the newer one says nothing"
        );
        config.vif_pool.vif_pool_mapping.clear();
        assert_eq!(impossible_pools(&config), ["neutron-vif:nested"]);
    }
}
