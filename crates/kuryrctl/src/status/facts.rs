//! What can be seen of a running Kuryr.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::metrics::Requests;

/// A fact, or why it could not be seen.
pub(super) type Seen<T> = Result<T, String>;

/// All that was looked at.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) leader: Seen<Option<Leader>>,
    pub(super) controllers: Seen<Vec<Program>>,
    pub(super) daemons: Seen<Vec<Program>>,
    pub(super) nodes: Seen<Vec<String>>,
    pub(super) pods: Seen<Vec<Pod>>,
    pub(super) records: Seen<BTreeMap<Name, Record>>,
    /// Those that have, or may have, a load balancer.
    pub(super) services: Seen<Vec<Service>>,
    /// The Services whose record names a load balancer.
    pub(super) balanced: Seen<BTreeSet<Name>>,
    pub(super) warnings: Seen<Warnings>,
    pub(super) counts: Seen<Counts>,
}

/// Namespace and name.
pub(super) type Name = (String, String);

/// Who works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Leader {
    /// As the Lease calls it.
    pub(super) holder: String,
    /// When it last said so.
    pub(super) renewed: Option<Timestamp>,
    /// How long that holds, in seconds.
    #[serde(skip)]
    pub(super) lasts: i32,
}

/// A pod of Kuryr's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Program {
    pub(super) pod: String,
    pub(super) node: String,
    pub(super) image: String,
    pub(super) ready: bool,
}

/// A pod that Kuryr gives a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) name: Name,
    pub(super) uid: String,
    pub(super) node: String,
    /// It has an address, so its node has wired it.
    pub(super) has_address: bool,
    pub(super) created: Option<Timestamp>,
}

/// What a KuryrPort says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) uid: String,
    pub(super) active: bool,
}

/// A Service with a cluster IP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) name: Name,
    pub(super) uid: String,
    pub(super) created: Option<Timestamp>,
}

/// What Kuryr complained of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Warnings {
    pub(super) pods: BTreeMap<Name, Warning>,
    pub(super) services: BTreeMap<Name, Warning>,
}

/// The last that Kuryr complained of about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Warning {
    pub(super) uid: String,
    pub(super) reason: String,
    pub(super) message: String,
}

/// What the leader counted since it started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    /// Requests to OpenStack, all of them.
    pub(super) requests: u64,
    /// Those that failed, the most frequent first.
    pub(super) errors: Vec<Requests>,
    /// Free places by resource; -1: as many as you like.
    pub(super) quota_left: BTreeMap<String, i64>,
    /// Load balancers by what Octavia does with them; none where no Service is served.
    pub(super) load_balancers: BTreeMap<String, i64>,
    pub(super) floating_ips: i64,
}
