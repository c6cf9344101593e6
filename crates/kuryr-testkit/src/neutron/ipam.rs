//! Which address of a subnet is whose.

use super::Object;
use ipnet::IpNet;
use serde_json::{Value, json};
use std::{collections::BTreeSet, net::IpAddr};

#[derive(Debug)]
pub(super) struct Subnet {
    pub(super) shown: Object,
    prefix: IpNet,
    taken: BTreeSet<IpAddr>,
    most: Option<usize>,
}

impl Subnet {
    pub(super) fn new(shown: Object, prefix: &str, gateway: &str) -> Self {
        let prefix = prefix.parse().expect("a seeded prefix is valid");
        let gateway = gateway.parse().expect("a seeded address is valid");
        Self { shown, prefix, taken: [gateway].into(), most: None }
    }

    pub(super) fn id(&self) -> &str {
        super::text(&self.shown, "id")
    }

    pub(super) fn network(&self) -> &str {
        super::text(&self.shown, "network_id")
    }

    pub(super) fn availability(&self) -> Value {
        let bits = self.prefix.max_prefix_len() - self.prefix.prefix_len();
        json!({
            "subnet_id": self.shown["id"], "subnet_name": self.shown["name"],
            "total_ips": 2_f64.powi(bits.into()), "used_ips": self.taken.len(),
        })
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.prefix.contains(&address)
    }

    pub(super) fn is_v4(&self) -> bool {
        matches!(self.prefix, IpNet::V4(_))
    }

    /// Takes this address, if it is free.
    pub(super) fn take(&mut self, address: IpAddr) -> bool {
        self.taken.insert(address)
    }

    /// It has so many addresses beside its gateway's.
    pub(super) fn limit(&mut self, addresses: usize) {
        self.most = Some(addresses + 1);
    }

    /// Takes the first free address.
    pub(super) fn take_any(&mut self) -> Option<IpAddr> {
        if self.most.is_some_and(|most| self.taken.len() >= most) {
            return None;
        }
        let free = self.prefix.hosts().find(|address| !self.taken.contains(address))?;
        self.taken.insert(free);
        Some(free)
    }

    pub(super) fn give_back(&mut self, address: IpAddr) {
        self.taken.remove(&address);
    }
}
