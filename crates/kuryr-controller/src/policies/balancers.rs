//! Load balancers that hide their clients from the pods behind them: amphorae, which connect in their own name. Isolated pods let
//! them in, and they let in whom policies let reach every endpoint (`[octavia_defaults] enforce_sg_rules`).

use super::{Policies, Subject};
use crate::settings::ServiceDefaults;
use ipnet::IpNet;
use kuryr_core::policy::Clients;
use kuryr_core::service::{Guards, Slice, Socket};
use kuryr_k8s::slim::BalancerRecord;
use kuryr_openstack::Result;
use kuryr_openstack::neutron::{Neutron, SubnetFilter};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Octavia's provider whose load balancers show pods their clients.
const OPEN: &str = "ovn";

/// Where such load balancers are: on the subnets of cluster IPs, where nobody else is. None where there are none, as far as the
/// configuration and the records of load balancers tell.
pub(crate) async fn ranges(
    neutron: &Neutron,
    defaults: Option<&ServiceDefaults>,
    records: &[Arc<BalancerRecord>],
) -> Result<BTreeSet<IpNet>> {
    let Some(defaults) = defaults.filter(|defaults| defaults.guards && hides(defaults, records)) else {
        return Ok(BTreeSet::new());
    };
    let filter = SubnetFilter { ids: Some(defaults.subnets.clone()), ..SubnetFilter::default() };
    let subnets = neutron.subnets(&filter).await?;
    Ok(subnets.iter().filter_map(|subnet| subnet.cidr.parse().ok()).collect())
}

/// Where the configuration leaves the provider to Octavia, only a load balancer tells it.
fn hides(defaults: &ServiceDefaults, records: &[Arc<BalancerRecord>]) -> bool {
    match &defaults.provider {
        Some(provider) => provider != OPEN,
        None => records.iter().any(|record| {
            let made = record.status.loadbalancer.as_ref();
            made.is_some_and(|made| !made.provider.is_empty() && made.provider != OPEN)
        }),
    }
}

impl Policies {
    /// What policies say of the endpoints of these slices. None: it is not known yet.
    pub fn guards(&self, slices: &[Slice]) -> Option<Guards> {
        self.ask(|index| {
            let mut guards = Guards::new();
            for slice in slices {
                for port in &slice.ports {
                    let Some(number) = port.port else { continue };
                    for endpoint in &slice.endpoints {
                        let clients = index.clients_of(endpoint.address, port.protocol, number);
                        if let Clients::Only(only) = clients {
                            let socket = Socket { address: endpoint.address, port: number };
                            guards.insert((port.protocol, socket), only);
                        }
                    }
                }
            }
            guards
        })
    }

    /// Isolated pods let in load balancers on these subnets.
    pub fn let_in(&self, ranges: BTreeSet<IpNet>) {
        let is_news = self.index.lock().as_mut().is_some_and(|index| index.set_balancers(ranges));
        if is_news {
            self.progress.lock().outdate(&Subject::Shared);
            self.queue.add(Subject::Shared);
        }
    }
}
