//! What can be seen of a Service.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use kuryr_api::LoadBalancerId;
use kuryr_controller::explain;
use kuryr_k8s::Key;
use kuryr_openstack::octavia::StatusTree;
use serde::Serialize;

/// A fact, or why it could not be seen.
pub(super) type Seen<T> = Result<T, String>;

/// All that was looked at.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) key: Key,
    pub(super) said: Seen<explain::Said>,
    pub(super) events: Seen<Vec<Event>>,
    /// None: no Service is served by this configuration.
    pub(super) cloud: Seen<Option<Cloud>>,
}

/// What OpenStack has.
#[derive(Debug)]
pub(super) struct Cloud {
    /// As the controller sees it.
    pub(super) seen: explain::Seen,
    /// What Octavia and its provider say of each load balancer.
    pub(super) statuses: BTreeMap<LoadBalancerId, Seen<StatusTree>>,
}

/// Something that Kuryr told the Service's owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Event {
    /// When it was last said.
    pub(super) said: Option<Timestamp>,
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) reason: String,
    pub(super) message: String,
}
