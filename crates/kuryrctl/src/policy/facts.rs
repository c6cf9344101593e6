//! What can be seen of policies.

use kuryr_controller::explain::policies::{Said, Seen as Cloud};
use kuryr_core::policy::Index;

/// A fact, or why it could not be seen.
pub(super) type Seen<T> = Result<T, String>;

/// All that was looked at.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) said: Said,
    pub(super) cloud: Seen<Cloud>,
    /// What is wanted as far as Kubernetes tells it.
    by_records: Index,
}

impl Facts {
    pub(super) fn new(said: Said, cloud: Seen<Cloud>) -> Self {
        Self { by_records: said.index(), said, cloud }
    }

    /// What is wanted: with the addresses that ports have, or else those that records name.
    pub(super) fn index(&self) -> &Index {
        self.cloud.as_ref().map_or(&self.by_records, |cloud| &cloud.index)
    }

    /// What a reader should know about all of it.
    pub(super) fn notes(&self) -> Vec<String> {
        let is_enforced = self.cloud.as_ref().map_or(true, |cloud| cloud.is_enforced);
        (!is_enforced).then(|| NOT_ENFORCED.to_owned()).into_iter().collect()
    }
}

pub(super) const NOT_ENFORCED: &str =
    "no policy is enforced: [kubernetes] pod_security_groups_driver is not `policy` in this configuration";
