//! The ports of load balancers' addresses, which the fake Octavia has the fake Neutron make.

use super::{FakeNeutron, Object, Reply, text};
use serde_json::{Value, json};

/// A load balancer's address.
#[derive(Debug)]
pub(crate) struct Vip {
    pub(crate) port: String,
    pub(crate) network: String,
    pub(crate) address: String,
}

impl FakeNeutron {
    /// The network of a subnet, if there is such a one.
    pub(crate) fn network_of(&self, subnet: &str) -> Option<String> {
        let state = self.state.lock();
        state.subnets.iter().find(|known| known.id() == subnet).map(|known| known.network().to_owned())
    }

    /// Makes the port of the load balancer `balancer`, at `address` if that is not null.
    pub(crate) fn make_vip(
        &self,
        balancer: &str,
        [network, subnet, project]: [&str; 3],
        address: &Value,
    ) -> Result<Vip, Reply> {
        let mut fixed_ip = json!({ "subnet_id": subnet });
        if !address.is_null() {
            fixed_ip["ip_address"] = address.clone();
        }
        let wanted = json!({
            "network_id": network, "name": format!("ovn-lb-vip-{balancer}"), "device_id": format!("lb-{balancer}"),
            "device_owner": "ovn-lb-vip", "project_id": project, "fixed_ips": [fixed_ip],
        });
        let wanted: Object = wanted.as_object().cloned().unwrap_or_default();
        let made = self.state.lock().create_all(&[&wanted])?;
        let port = made.into_iter().next().unwrap_or_default();
        let address = port["fixed_ips"][0]["ip_address"].as_str().unwrap_or_default().to_owned();
        Ok(Vip { port: text(&port, "id").to_owned(), network: network.to_owned(), address })
    }

    /// Removes such a port again.
    pub(crate) fn remove_vip(&self, port: &str) {
        self.state.lock().delete_port(port);
    }
}
