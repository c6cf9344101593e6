//! How much a project may have, and has.

use super::Neutron;
use crate::{Call, Result, Service};
use http::Method;
use kuryr_api::ids::ProjectId;
use serde::Deserialize;

/// The quotas that Kuryr lives within. Address groups have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Quotas {
    /// Ports.
    pub port: Quota,
    /// Networks.
    pub network: Quota,
    /// Subnets.
    pub subnet: Quota,
    /// Security groups.
    pub security_group: Quota,
    /// The rules of all security groups together.
    pub security_group_rule: Quota,
    /// Floating IPs; none where Neutron routes nothing.
    #[serde(default)]
    pub floatingip: Option<Quota>,
}

/// One quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Quota {
    /// The most that there may be; below zero: as many as you like.
    pub limit: i64,
    /// How many there are.
    pub used: i64,
    /// How many are being made.
    #[serde(default)]
    pub reserved: i64,
}

impl Quota {
    /// How many more there may be; `None` if there is no limit.
    pub fn free(&self) -> Option<u64> {
        let free = || self.limit.saturating_sub(self.used).saturating_sub(self.reserved);
        (self.limit >= 0).then(|| free().try_into().unwrap_or(0))
    }
}

impl Neutron {
    /// The quotas of `project`.
    pub async fn quotas(&self, project: &ProjectId) -> Result<Quotas> {
        self.get("/quotas/{id}/details", format!("/quotas/{project}/details.json")).await
    }

    /// Sets how many ports `project` may have; below zero: as many as it likes. An administrator's right.
    pub async fn set_port_quota(&self, project: &ProjectId, ports: i64) -> Result<()> {
        let call = Call::new(Service::Network, Method::PUT, "/quotas/{id}", format!("/quotas/{project}"));
        let call = call.json(&serde_json::json!({ "quota": { "port": ports } }))?;
        self.session.call(&call).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_never_negative() {
        let quota = |limit, used, reserved| Quota { limit, used, reserved }.free();
        assert_eq!(quota(10, 3, 2), Some(5));
        assert_eq!(quota(10, 12, 0), Some(0));
        assert_eq!(quota(-1, 500, 0), None);
    }
}
