//! How many addresses the subnets of a network have left.

use super::Neutron;
use crate::Result;
use kuryr_api::ids::{NetworkId, SubnetId};
use serde::Deserialize;

/// The addresses of one subnet.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct SubnetAvailability {
    /// The subnet.
    pub subnet_id: SubnetId,
    /// Its name.
    pub subnet_name: String,
    /// Addresses in its allocation pools. An IPv6 subnet has more than an integer holds.
    pub total_ips: f64,
    /// Those that are in use.
    pub used_ips: f64,
}

impl SubnetAvailability {
    /// Addresses left.
    pub fn free(&self) -> f64 {
        (self.total_ips - self.used_ips).max(0.0)
    }
}

#[derive(Deserialize)]
struct NetworkAvailability {
    subnet_ip_availability: Vec<SubnetAvailability>,
}

impl Neutron {
    /// The addresses of the subnets of `network`. By default an administrator's right.
    pub async fn subnet_availability(&self, network: &NetworkId) -> Result<Vec<SubnetAvailability>> {
        let path = format!("/network-ip-availabilities/{network}");
        let found: NetworkAvailability = self.get("/network-ip-availabilities/{id}", path).await?;
        Ok(found.subnet_ip_availability)
    }
}
