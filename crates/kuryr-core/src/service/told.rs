//! What a Service's owner is told, and what to do about it.

use super::{Address, Balancer};
use crate::news::News;
use kuryr_api::PortId;
use std::net::IpAddr;

pub(super) fn no_node_ports() -> News {
    News {
        kind: crate::news::Kind::Normal,
        reason: "NodePortNotServed",
        message: "Kuryr serves this Service at its cluster IP. Its node ports are served by kube-proxy, where one runs; use \
                  type LoadBalancer to reach it from outside."
            .to_owned(),
    }
}

pub(super) fn no_local_traffic() -> News {
    News {
        kind: crate::news::Kind::Normal,
        reason: "InternalTrafficPolicyNotServed",
        message: "internalTrafficPolicy Local has no effect: a load balancer serves all nodes, and its endpoints of all nodes serve \
                  every client."
            .to_owned(),
    }
}

pub(super) fn no_source_ranges() -> News {
    News::warning(
        "SourceRangesNotServed",
        "loadBalancerSourceRanges needs Octavia's provider amphora: OVN forwards to members whoever the client is. The Service is \
         served inside of the cluster and gets no address outside. Use a NetworkPolicy on its pods, which see their clients' own \
         addresses, and remove the field.",
    )
}

pub(super) fn lacks(what: &str) -> News {
    News::warning(
        "ProviderLacksFeature",
        format!(
            "Octavia's provider OVN has no {what}: what the Service's annotations ask for has no effect."
        ),
    )
}

pub(super) fn outside(vip: IpAddr) -> News {
    News::warning(
        "ClusterIpOutsideServiceSubnet",
        format!(
            "The cluster IP {vip} is in no subnet of [neutron_defaults] service_subnet, so that no load balancer can have it. \
             The subnet has to hold the whole range of the API server's --service-cluster-ip-range."
        ),
    )
}

pub(super) fn taken(by: &Balancer) -> News {
    News::warning(
        "ClusterIpTaken",
        format!(
            "The load balancer {} (`{}`) has the cluster IP {} already, and is not Kuryr's. It is left alone; delete it, and Kuryr \
             makes its own.",
            by.id, by.name, by.vip
        ),
    )
}

pub(super) fn stuck(balancer: &Balancer) -> News {
    News::warning(
        "LoadBalancerStuck",
        format!(
            "Octavia has been at work with load balancer {0} for longer than [neutron_defaults] lbaas_activation_timeout, and takes \
             no change of it. Kuryr goes on when Octavia is done. If it never is, look at the logs of its provider {1}; an \
             administrator can end the state, and Kuryr makes the load balancer anew when it is deleted.",
            balancer.id, balancer.provider
        ),
    )
}

pub(super) fn broken(balancer: &Balancer) -> News {
    News::warning(
        "LoadBalancerInError",
        format!(
            "Octavia calls load balancer {0} broken and takes no change of it, but it forwards still, so that Kuryr does not delete \
             it. Delete it when an interruption of a few seconds does no harm (openstack loadbalancer delete --cascade {0}): Kuryr \
             makes it anew.",
            balancer.id
        ),
    )
}

pub(super) fn no_external() -> News {
    News::warning(
        "NoExternalNetwork",
        "[neutron_defaults] external_svc_net is not set, so that Kuryr knows no network to take an address outside from. Set it, or \
         annotate the Service with loadbalancer.openstack.org/floating-network-id. It is served inside of the cluster.",
    )
}

pub(super) fn in_use(address: &Address) -> News {
    News::warning(
        "AddressInUse",
        format!(
            "The floating IP {} that the Service asks for leads to another port ({}). Detach it there, or ask for another one.",
            address.ip,
            address.port.as_ref().map(PortId::as_str).unwrap_or_default()
        ),
    )
}

pub(super) fn provider_changed(balancer: &Balancer, wanted: Option<&str>) -> News {
    News::warning(
        "ProviderChanged",
        format!(
            "The load balancer is made anew by Octavia's provider {}, as [kubernetes] endpoints_driver_octavia_provider says; {} made \
             it. The Service is not served for as long as that takes.",
            wanted.unwrap_or_default(),
            balancer.provider
        ),
    )
}
