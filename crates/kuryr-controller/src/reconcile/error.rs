//! Why a reconcile failed, what a user should know of it, and when it is worth another try.

mod carrier;

use crate::policies::Shortage;
use crate::trunks::ChangeError as AttachError;
use kuryr_core::news::News;
use kuryr_k8s::records;
use kuryr_openstack::{self as openstack, Kind};
use thiserror::Error;

/// Why a reconcile failed.
#[derive(Debug, Error)]
pub enum Error {
    /// The pods' network is not known yet.
    #[error("the pods' network is not known yet")]
    NetworkUnknown,
    /// A port can't be made.
    #[error("failed to make a port")]
    CreatePort(#[source] openstack::Error),
    /// A port can't be deleted.
    #[error("failed to delete a port")]
    DeletePort(#[source] AttachError),
    /// A trunk does not take a port.
    #[error("failed to put a port on its node's trunk")]
    Attach(#[source] AttachError),
    /// A trunk does not give a port back.
    #[error("failed to take a port off a trunk")]
    Detach(#[source] AttachError),
    /// A node's port may not send from the addresses of a pod's.
    #[error("failed to let the node's port send from the pod's addresses")]
    AddPairs(#[source] openstack::Error),
    /// It still may.
    #[error("failed to take the pod's addresses off the node's port")]
    RemovePairs(#[source] openstack::Error),
    /// Nova does not attach a port.
    #[error("failed to attach a port to its node")]
    AttachInterface(#[source] openstack::Error),
    /// Nova does not detach a port.
    #[error("failed to detach a port from its node")]
    DetachInterface(#[source] openstack::Error),
    /// A port can't be given its security groups.
    #[error("failed to give a port its security groups")]
    Secure(#[source] openstack::Error),
    /// An address group still has the address of a port that is to be deleted: its next owner would be taken for the pod.
    #[error("an address group still has the port's address")]
    AddressHeld,
    /// What policies want is not known yet.
    #[error("the security groups of network policies were not looked at yet")]
    PoliciesUnknown,
    /// A security group, an address group or a rule can't be made.
    #[error("failed to make what a network policy needs")]
    MakeGroup(#[source] openstack::Error),
    /// What a network policy needs is more than the quotas leave.
    #[error("a network policy does not fit into the quotas")]
    NoRoom(#[source] Shortage),
    /// One can't be changed.
    #[error("failed to change what a network policy needs")]
    ChangeGroup(#[source] openstack::Error),
    /// One can't be deleted.
    #[error("failed to delete what a network policy needed")]
    DeleteGroup(#[source] openstack::Error),
    /// A port can't be tagged.
    #[error("failed to tag a port")]
    TagPort(#[source] openstack::Error),
    /// Ports can't be listed.
    #[error("failed to look up ports")]
    LookUp(#[source] openstack::Error),
    /// How load balancers are made is not known yet.
    #[error("Octavia was not looked at yet")]
    SiteUnknown,
    /// A load balancer can't be changed.
    #[error("failed to change a load balancer")]
    Balance(#[source] openstack::Error),
    /// What became of a load balancer can't be seen.
    #[error("failed to look at a load balancer")]
    LookAtBalancer(#[source] openstack::Error),
    /// A floating IP can't be made or led.
    #[error("failed to give the Service its address outside")]
    Address(#[source] openstack::Error),
    /// The floating IP that a Service asks for can't be seen.
    #[error("failed to look for a floating IP")]
    LookUpAddress(#[source] openstack::Error),
    /// Kubernetes did not take a write.
    #[error(transparent)]
    Record(#[from] records::Error),
    /// The planner never came to rest: a defect of ours, kept from spinning.
    #[error("the plan did not come to rest")]
    Restless,
}

impl Error {
    /// `retry`, `wait` or `permanent`, for metrics: every class is tried again.
    pub fn class(&self) -> &'static str {
        match self {
            Self::CreatePort(error)
            | Self::DeletePort(AttachError::Call(error))
            | Self::Attach(AttachError::Call(error))
            | Self::Detach(AttachError::Call(error))
            | Self::AddPairs(error)
            | Self::RemovePairs(error)
            | Self::AttachInterface(error)
            | Self::DetachInterface(error)
            | Self::Secure(error)
            | Self::MakeGroup(error)
            | Self::ChangeGroup(error)
            | Self::DeleteGroup(error)
            | Self::TagPort(error)
            | Self::LookUp(error)
            | Self::Balance(error)
            | Self::LookAtBalancer(error)
            | Self::Address(error)
            | Self::LookUpAddress(error) => match error.class() {
                openstack::Class::Retry => "retry",
                openstack::Class::Wait => "wait",
                openstack::Class::Permanent => "permanent",
            },
            Self::NetworkUnknown
            | Self::SiteUnknown
            | Self::PoliciesUnknown
            | Self::AddressHeld
            | Self::DeletePort(AttachError::Full(_))
            | Self::Attach(AttachError::Full(_))
            | Self::Detach(AttachError::Full(_))
            | Self::NoRoom(_) => "wait",
            Self::Record(records::Error::Refused { .. }) | Self::Restless => "permanent",
            Self::Record(_) => "retry",
        }
    }

    /// Whether it goes over by itself, and soon.
    pub fn passes(&self) -> bool {
        self.class() == "retry"
    }

    /// What OpenStack's logs know the failed request by.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::CreatePort(error)
            | Self::DeletePort(AttachError::Call(error))
            | Self::Attach(AttachError::Call(error))
            | Self::Detach(AttachError::Call(error))
            | Self::AddPairs(error)
            | Self::RemovePairs(error)
            | Self::AttachInterface(error)
            | Self::DetachInterface(error)
            | Self::Secure(error)
            | Self::MakeGroup(error)
            | Self::ChangeGroup(error)
            | Self::DeleteGroup(error)
            | Self::TagPort(error)
            | Self::LookUp(error)
            | Self::Balance(error)
            | Self::LookAtBalancer(error)
            | Self::Address(error)
            | Self::LookUpAddress(error) => error.request_id(),
            _ => None,
        }
    }

    /// What the pod's owner should know. Nothing where it goes over by itself before anybody could act.
    pub fn news(&self) -> Option<News> {
        match self {
            Self::CreatePort(error)
            | Self::Attach(AttachError::Call(error))
            | Self::AddPairs(error)
            | Self::AttachInterface(error)
            | Self::Balance(error)
            | Self::Address(error)
            | Self::Secure(error)
            | Self::MakeGroup(error)
            | Self::ChangeGroup(error)
                if error.kind() == Kind::Fenced =>
            {
                None
            }
            Self::CreatePort(error) => Some(create_failed(error)),
            Self::Attach(error) => Some(carrier::attach_failed(error)),
            Self::AddPairs(error) => Some(carrier::pairs_failed(error)),
            Self::AttachInterface(error) => Some(carrier::interface_failed(error)),
            Self::Balance(error) => Some(balance_failed(error)),
            Self::Address(error) => Some(address_failed(error)),
            Self::Secure(error) | Self::MakeGroup(error) | Self::ChangeGroup(error) => {
                Some(policy_failed(error))
            }
            Self::NoRoom(shortage) => Some(no_room(shortage)),
            Self::Record(records::Error::Refused { .. }) => Some(News::warning(
                "FailedToCreateKuryrPortCRD",
                format!(
                    "{self}. Check that Kuryr's custom resource definitions and its RBAC rules are those of this version.",
                ),
            )),
            _ => None,
        }
    }
}

fn create_failed(error: &openstack::Error) -> News {
    let (reason, advice) = match error.kind() {
        Kind::OverQuota => (
            "PortQuotaExceeded",
            "The project's quota of ports is used up. Raise it (openstack quota set --ports N PROJECT) or delete ports \
             that nobody uses; the pod starts by itself then.",
        ),
        Kind::NoFreeAddress => (
            "NoFreeAddress",
            "The pods' subnet has no free address. Add an allocation pool or use a larger subnet; the pod starts by \
             itself then.",
        ),
        Kind::Unauthorized => (
            "OpenStackCredentialsRefused",
            "Keystone does not accept Kuryr's credentials. Check [neutron] in kuryr.conf.",
        ),
        Kind::Forbidden => (
            "OpenStackForbids",
            "Kuryr's OpenStack user may not make this port. It needs the rights to set binding:host_id and to make \
             ports in the project of [neutron_defaults].",
        ),
        Kind::NotFound | Kind::Invalid => (
            "PortRefused",
            "Neutron refuses the port. Check the subnets, security groups and project of [neutron_defaults] in kuryr.conf.",
        ),
        Kind::NoEndpoint => (
            "NeutronNotInCatalogue",
            "Keystone's catalogue has no such network endpoint. Check [neutron] region_name and endpoint_type.",
        ),
        _ => (
            "NeutronUnavailable",
            "Neutron does not make ports now. Kuryr tries again; the pod starts as soon as Neutron answers.",
        ),
    };
    said(reason, advice, "Neutron", error)
}

fn balance_failed(error: &openstack::Error) -> News {
    let (reason, advice) = match error.kind() {
        Kind::OverQuota => (
            "LoadBalancerQuotaExceeded",
            "The project's quota of load balancers, listeners, pools or members is used up. Raise it (openstack loadbalancer quota \
             set PROJECT) or delete what nobody uses; the Service is served by itself then.",
        ),
        Kind::Unauthorized => (
            "OpenStackCredentialsRefused",
            "Keystone does not accept Kuryr's credentials. Check [neutron] in kuryr.conf.",
        ),
        Kind::Forbidden => (
            "OctaviaForbids",
            "Kuryr's OpenStack user may not change load balancers. It needs the role load-balancer_member in its project.",
        ),
        Kind::Unsupported => (
            "ProviderLacksFeature",
            "Octavia's provider can't do what the Service or [octavia_defaults] asks for. Use another provider \
             ([kubernetes] endpoints_driver_octavia_provider), or do without.",
        ),
        Kind::Conflict => (
            "ClusterIpInUse",
            "Somebody else in Neutron has the cluster IP. Keep the API server's --service-cluster-ip-range out of the allocation \
             pools of the service subnet, and delete the port that has it.",
        ),
        Kind::NotFound | Kind::Invalid => (
            "LoadBalancerRefused",
            "Octavia refuses the load balancer. Check [neutron_defaults] service_subnet and [octavia_defaults] in kuryr.conf.",
        ),
        Kind::NoEndpoint => (
            "OctaviaNotInCatalogue",
            "Keystone's catalogue has no such load-balancer endpoint. Install Octavia, or check [neutron] region_name and \
             endpoint_type.",
        ),
        _ => (
            "OctaviaUnavailable",
            "Octavia does not change load balancers now. Kuryr tries again; what is there forwards meanwhile.",
        ),
    };
    said(reason, advice, "Octavia", error)
}

fn address_failed(error: &openstack::Error) -> News {
    let (reason, advice) = match error.kind() {
        Kind::OverQuota => (
            "FloatingIpQuotaExceeded",
            "The project's quota of floating IPs is used up. Raise it (openstack quota set --floating-ips N PROJECT) or release some.",
        ),
        Kind::NoFreeAddress => (
            "NoFreeFloatingIp",
            "The external network has no free address. Release some, or name another network.",
        ),
        Kind::Forbidden => (
            "AddressForbidden",
            "Only an administrator may choose an address that nobody has reserved. Make the floating IP in Kuryr's project first, or ask \
             for none (loadBalancerIP, externalIPs).",
        ),
        Kind::Conflict => (
            "AddressUnavailable",
            "The address is somebody else's, or no router leads from the external network to the service subnet. Ask for another one, \
             or connect them.",
        ),
        Kind::NotFound | Kind::Invalid => (
            "ExternalNetworkRefused",
            "Neutron refuses the floating IP. Check [neutron_defaults] external_svc_net and external_svc_subnet, and the Service's \
             annotations and loadBalancerIP.",
        ),
        _ => ("NeutronUnavailable", "Neutron gives no addresses now. Kuryr tries again."),
    };
    said(reason, advice, "Neutron", error)
}

fn no_room(shortage: &Shortage) -> News {
    let enough = shortage.enough();
    News::warning(
        "SecurityGroupQuotaExceeded",
        format!(
            "The project's quotas have no room for this policy: {shortage}. Raise them (openstack quota set --secgroups {} \
             --secgroup-rules {} PROJECT). What the policy allows is forbidden until then.",
            enough.groups, enough.rules
        ),
    )
}

fn policy_failed(error: &openstack::Error) -> News {
    let (reason, advice) = match error.kind() {
        Kind::OverQuota => (
            "SecurityGroupQuotaExceeded",
            "The project's quota of security groups, rules or address groups is used up. Raise it (openstack quota set --secgroups N \
             --secgroup-rules N PROJECT). What the policy allows and Kuryr could not make a rule for is forbidden until then.",
        ),
        Kind::Unauthorized => (
            "OpenStackCredentialsRefused",
            "Keystone does not accept Kuryr's credentials. Check [neutron] in kuryr.conf.",
        ),
        Kind::Forbidden => (
            "SecurityGroupForbidden",
            "Kuryr's OpenStack user may not change security groups. It needs the role member in the project of [neutron_defaults].",
        ),
        Kind::NotFound | Kind::Invalid => (
            "SecurityGroupRefused",
            "Neutron refuses what the network policy needs. Kuryr looks at what is there and tries again.",
        ),
        _ => (
            "NeutronUnavailable",
            "Neutron does not change security groups now. Kuryr tries again; what is there is enforced meanwhile.",
        ),
    };
    said(reason, advice, "Neutron", error)
}

fn said(reason: &'static str, advice: &str, service: &str, error: &openstack::Error) -> News {
    let id = error.request_id().map(|id| format!(" (request id {id})")).unwrap_or_default();
    News::warning(reason, format!("{advice} {service}: {}{id}", error.chain()))
}
