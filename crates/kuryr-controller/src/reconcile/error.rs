//! Why a reconcile failed, what a user should know of it, and when it is worth another try.

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
    DeletePort(#[source] openstack::Error),
    /// A port can't be tagged.
    #[error("failed to tag a port")]
    TagPort(#[source] openstack::Error),
    /// Ports can't be listed.
    #[error("failed to look up ports")]
    LookUp(#[source] openstack::Error),
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
            | Self::DeletePort(error)
            | Self::TagPort(error)
            | Self::LookUp(error) => match error.class() {
                openstack::Class::Retry => "retry",
                openstack::Class::Wait => "wait",
                openstack::Class::Permanent => "permanent",
            },
            Self::NetworkUnknown => "wait",
            Self::Record(records::Error::Refused { .. }) | Self::Restless => "permanent",
            Self::Record(_) => "retry",
        }
    }

    /// What OpenStack's logs know the failed request by.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::CreatePort(error)
            | Self::DeletePort(error)
            | Self::TagPort(error)
            | Self::LookUp(error) => error.request_id(),
            _ => None,
        }
    }

    /// What the pod's owner should know. Nothing where it goes over by itself before anybody could act.
    pub fn news(&self) -> Option<News> {
        match self {
            Self::CreatePort(error) if error.kind() == Kind::Fenced => None,
            Self::CreatePort(error) => Some(create_failed(error)),
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
    let id = error.request_id().map(|id| format!(" (request id {id})")).unwrap_or_default();
    News::warning(reason, format!("{advice} Neutron: {}{id}", error.chain()))
}
