//! Everything that checks look at, as far as it could be seen.

use std::{collections::BTreeSet, net::IpAddr, path::PathBuf};

use ipnet::IpNet;
use kuryr_api::{NetworkId, ServerId};
use kuryr_controller::driver::Driver;
use kuryr_openstack::neutron::{Network, Quota, Right, Subnet};

use super::finding::{Gap, Seen};

/// All of it.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) config: Config,
    pub(crate) cloud: Cloud,
    pub(crate) cluster: Cluster,
    pub(crate) host: Host,
}

/// The configuration.
#[derive(Debug)]
pub(crate) enum Config {
    Read(Box<Settings>),
    /// Everything that is wrong with it.
    Unreadable(Vec<String>),
}

/// What the configuration says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// How many files it was read from.
    pub(crate) files: usize,
    /// What in it does not do what its writer may think.
    pub(crate) ignored: Vec<String>,
    /// Files that it names for Kubernetes and that can't be read, with the reason.
    pub(crate) unreadable: Vec<(&'static str, PathBuf, String)>,
    pub(crate) project: Option<String>,
    pub(crate) pod_subnets: Vec<String>,
    pub(crate) security_groups: Vec<String>,
    pub(crate) service_subnets: Vec<String>,
    /// Network of floating IPs.
    pub(crate) external_network: Option<String>,
    /// Greatest MTU of a pod's interface; 0: that of its network.
    pub(crate) mtu: u32,
    /// Network policies are wanted.
    pub(crate) enforces_policies: bool,
    pub(crate) pool: PoolSizes,
    /// What `vif_pool_mapping` asks for and there is not.
    pub(crate) impossible_pools: Vec<String>,
    pub(crate) balancer: Balancer,
    pub(crate) ports: Ports,
    pub(crate) bridge: String,
    /// How ports get to nodes that do not say it themselves.
    pub(crate) pod_vif_driver: String,
    /// Subnets of nodes that are virtual machines; empty: any.
    pub(crate) worker_subnets: Vec<String>,
    /// Where Open vSwitch's database is.
    pub(crate) ovsdb: String,
}

/// `[vif_pool]`
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PoolSizes {
    /// Ports are kept ready at all.
    pub(crate) are_kept: bool,
    /// 0: any number.
    pub(crate) max: i64,
    pub(crate) min: i64,
    pub(crate) batch: i64,
}

impl PoolSizes {
    /// Most ports of a node that are ready beside those of its pods.
    pub(crate) fn most_free(&self) -> u64 {
        if !self.are_kept {
            return 0;
        }
        let most = self.min.max(2 * self.batch - 1);
        let most = if self.max > 0 { most.min(self.max) } else { most };
        most.try_into().unwrap_or(0)
    }
}

/// How load balancers are wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Balancer {
    pub(crate) provider: String,
    pub(crate) algorithm: String,
    /// Somebody has chosen it.
    pub(crate) algorithm_is_set: bool,
    pub(crate) enforce_rules: bool,
}

/// The TCP ports of both programs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ports {
    pub(crate) controller_health: u16,
    pub(crate) controller_metrics: u16,
    pub(crate) daemon_health: u16,
    pub(crate) daemon_metrics: u16,
}

/// OpenStack.
#[derive(Debug)]
pub(crate) struct Cloud {
    /// Whether there is a way in.
    pub(crate) way: Seen<Way>,
    pub(crate) extensions: Seen<BTreeSet<String>>,
    /// Those of the configured pod subnets that there are.
    pub(crate) pod_subnets: Seen<Vec<Subnet>>,
    /// The network of the first of them.
    pub(crate) pod_network: Seen<Network>,
    /// The ids of those of the configured security groups that there are.
    pub(crate) security_groups: Seen<BTreeSet<String>>,
    /// Those of the configured service subnets that there are.
    pub(crate) service_subnets: Seen<Vec<Subnet>>,
    /// Whether there is the network that floating IPs are to be of.
    pub(crate) has_external_network: Seen<bool>,
    /// To make ports with `binding:host_id`.
    pub(crate) binding: Seen<Right>,
    /// Of ports.
    pub(crate) quota: Seen<Quota>,
    /// How many ports pods have.
    pub(crate) pod_ports: Seen<u64>,
    /// Ports that have addresses of nodes that are virtual machines.
    pub(crate) parents: Seen<Vec<Parent>>,
    /// Those of the servers that have these ports, and whose pods' ports Nova is to attach, that Nova shows; none if there is no Nova.
    pub(crate) servers: Seen<Option<BTreeSet<ServerId>>>,
    /// Octavia's; none if there is no Octavia.
    pub(crate) providers: Seen<Option<BTreeSet<String>>>,
}

/// A port that a node's may be.
#[derive(Debug, Clone)]
pub(crate) struct Parent {
    pub(crate) id: String,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) subnets: Vec<String>,
    pub(crate) network: Option<NetworkId>,
    pub(crate) has_trunk: bool,
    /// The server that it is an interface of.
    pub(crate) server: Option<ServerId>,
}

/// How far the way into OpenStack leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    Open,
    /// The configuration does not say how.
    Unsaid(String),
    /// TLS can't be set up.
    Tls(String),
    /// Keystone refuses the credentials.
    Refused(String),
    /// Keystone does not answer as it should.
    Closed(String),
}

/// Kubernetes.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: Seen<Vec<Node>>,
    /// What cluster IPs are given from.
    pub(crate) service_ranges: Seen<Vec<IpNet>>,
    pub(crate) definitions: Seen<Vec<Definition>>,
    /// What the controller may not do, and ought to.
    pub(crate) controller_lacks: Seen<Vec<String>>,
    /// The same of the daemons.
    pub(crate) daemons_lack: Seen<Vec<String>>,
    /// How many network policies there are.
    pub(crate) policies: Seen<usize>,
}

/// A node.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// How many pods it may have.
    pub(crate) pods: u64,
    pub(crate) addresses: Vec<IpAddr>,
    /// How its pods are plugged, where its label says so.
    pub(crate) pod_vif: Option<String>,
}

/// A custom resource definition of ours.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) state: State,
}

/// How a definition is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Same,
    Missing,
    /// Its versions or their schemas are not those of this program.
    Different,
    /// The API server does not serve it, for this reason.
    NotServed(String),
}

/// The machine that this runs on.
#[derive(Debug)]
pub(crate) struct Host {
    /// Ports that Kuryr needs and somebody else has.
    pub(crate) taken: Seen<Vec<Taken>>,
    /// Whether the kernel makes veth pairs in a network namespace and lets their sysctls be set.
    pub(crate) plumbing: Seen<Result<(), String>>,
    /// Whether Open vSwitch's database takes connections.
    pub(crate) ovsdb: Seen<Result<(), String>>,
    /// Whether the integration bridge is there.
    pub(crate) bridge: Seen<bool>,
}

/// A port that somebody else has.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) port: u16,
    /// The option that chooses it.
    pub(crate) option: &'static str,
    /// Who needs it.
    pub(crate) program: &'static str,
}

impl Facts {
    /// The configuration, if it can be read.
    pub(crate) fn settings(&self) -> Result<&Settings, Gap> {
        match &self.config {
            Config::Read(settings) => Ok(settings),
            Config::Unreadable(_) => Err(Gap::unknown("the configuration can't be read")),
        }
    }
}

impl Node {
    /// What says how its pods are plugged.
    pub(crate) fn driver_name<'n>(&'n self, settings: &'n Settings) -> &'n str {
        self.pod_vif.as_deref().unwrap_or(&settings.pod_vif_driver)
    }

    /// Those of `parents` that may be its own.
    pub(crate) fn ports<'p>(&self, parents: &'p [Parent], settings: &Settings) -> Vec<&'p Parent> {
        let workers = &settings.worker_subnets;
        let is_its = |port: &&Parent| {
            port.addresses.iter().any(|address| self.addresses.contains(address))
                && (workers.is_empty() || port.subnets.iter().any(|subnet| workers.contains(subnet)))
        };
        parents.iter().filter(is_its).collect()
    }

    /// How its pods are plugged; none: in no way that there is.
    pub(crate) fn driver(&self, settings: &Settings) -> Option<Driver> {
        self.driver_name(settings).parse().ok()
    }
}

impl Cloud {
    /// Nothing is known of it, for one reason.
    pub(crate) fn unseen(way: Seen<Way>, gap: &Gap) -> Self {
        Self {
            way,
            extensions: Err(gap.clone()),
            pod_subnets: Err(gap.clone()),
            pod_network: Err(gap.clone()),
            security_groups: Err(gap.clone()),
            service_subnets: Err(gap.clone()),
            has_external_network: Err(gap.clone()),
            binding: Err(gap.clone()),
            quota: Err(gap.clone()),
            pod_ports: Err(gap.clone()),
            parents: Err(gap.clone()),
            servers: Err(gap.clone()),
            providers: Err(gap.clone()),
        }
    }
}

impl Cluster {
    /// Nothing is known of it, for one reason.
    pub(crate) fn unseen(gap: &Gap) -> Self {
        Self {
            nodes: Err(gap.clone()),
            service_ranges: Err(gap.clone()),
            definitions: Err(gap.clone()),
            controller_lacks: Err(gap.clone()),
            daemons_lack: Err(gap.clone()),
            policies: Err(gap.clone()),
        }
    }
}

impl Host {
    /// Nothing is known of it, for one reason.
    pub(crate) fn unseen(gap: &Gap) -> Self {
        Self {
            taken: Err(gap.clone()),
            plumbing: Err(gap.clone()),
            ovsdb: Err(gap.clone()),
            bridge: Err(gap.clone()),
        }
    }
}
