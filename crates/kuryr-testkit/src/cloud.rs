//! A fake cloud: Keystone, Neutron with a project, a pod network of both families, a service network, an external one and a
//! security group, Octavia and Nova.

use crate::{
    keystone::FakeKeystone, neutron::FakeNeutron, nova::FakeNova, octavia::FakeOctavia, reply::Server,
};
use std::io;

/// A cloud on the loopback, that ends with this value.
#[derive(Debug)]
pub struct FakeCloud {
    keystone: FakeKeystone,
    neutron: FakeNeutron,
    identity: Server,
    network: Server,
    octavia: FakeOctavia,
    load_balancer: Server,
    nova: FakeNova,
    _compute: Server,
}

impl FakeCloud {
    /// The user's name.
    pub const USER: &'static str = "kuryr";
    /// The user's password.
    pub const PASSWORD: &'static str = "secret";
    /// The project's name.
    pub const PROJECT: &'static str = "k8s";
    /// The project's id.
    pub const PROJECT_ID: &'static str = "1679a7bd1c724c98af541ddbcac7904a";
    /// The domain of both.
    pub const DOMAIN: &'static str = "Default";

    /// Starts one.
    pub async fn start() -> io::Result<Self> {
        let keystone = FakeKeystone::new(Self::USER, Self::PASSWORD, Self::PROJECT, Self::PROJECT_ID);
        let neutron = FakeNeutron::new(keystone.clone(), Self::PROJECT_ID);
        let served = keystone.clone();
        let identity = Server::start(move |method, uri, headers, body| {
            let keystone = served.clone();
            async move { keystone.serve(&method, &uri, &headers, &body) }
        });
        let served = neutron.clone();
        let network = Server::start(move |method, uri, headers, body| {
            let neutron = served.clone();
            async move { neutron.serve(method, uri, headers, body).await }
        });
        let octavia = FakeOctavia::new(keystone.clone(), neutron.clone(), Self::PROJECT_ID);
        let served = octavia.clone();
        let load_balancer = Server::start(move |method, uri, headers, body| {
            let reply = served.serve(&method, &uri, &headers, &body);
            async move { reply }
        });
        let nova = FakeNova::new(keystone.clone(), neutron.clone());
        let served = nova.clone();
        let compute = Server::start(move |method, uri, headers, body| {
            let nova = served.clone();
            async move { nova.serve(&method, &uri, &headers, &body) }
        });
        let (identity, network) = (identity.await?, network.await?);
        let (load_balancer, compute) = (load_balancer.await?, compute.await?);
        keystone.set_endpoints(vec![
            ("identity", format!("{}/v3", identity.url())),
            ("network", network.url()),
            ("load-balancer", load_balancer.url()),
            ("compute", format!("{}/v2.1", compute.url())),
        ]);
        Ok(Self { keystone, neutron, identity, network, octavia, load_balancer, nova, _compute: compute })
    }

    /// Keystone's address.
    pub fn auth_url(&self) -> String {
        format!("{}/v3", self.identity.url())
    }

    /// Neutron's address, without the version.
    pub fn neutron_url(&self) -> String {
        self.network.url()
    }

    /// Octavia's address, without the version.
    pub fn octavia_url(&self) -> String {
        self.load_balancer.url()
    }

    /// Keystone's state.
    pub fn keystone(&self) -> &FakeKeystone {
        &self.keystone
    }

    /// Neutron's state.
    pub fn neutron(&self) -> &FakeNeutron {
        &self.neutron
    }

    /// Nova's state.
    pub fn nova(&self) -> &FakeNova {
        &self.nova
    }

    /// Octavia's state.
    pub fn octavia(&self) -> &FakeOctavia {
        &self.octavia
    }
}
