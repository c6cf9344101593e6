//! What the lab says of itself in its `lab.json`.

use anyhow::{Context, Result};
use kuryr_api::{NetworkId, ProjectId, SecurityGroupId, SubnetId, TrunkId};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::{env, fs};

/// The lab.
#[derive(Debug, Clone, Deserialize)]
pub struct Facts {
    /// Its folder.
    pub lab: PathBuf,
    /// Where its command is.
    pub repository: PathBuf,
    /// Its cluster.
    pub kubernetes: Kubernetes,
    /// Its cloud.
    pub openstack: OpenStack,
    /// What its networks are made of.
    pub ovn: Ovn,
    /// Its nodes.
    pub nodes: Vec<NodeFacts>,
    /// Its nodes that are virtual machines, once one was made (`lab nested up`).
    pub nested: Option<Nested>,
    /// Programs that look around.
    pub binaries: BTreeMap<String, PathBuf>,
    /// Images that every node has.
    pub images: BTreeMap<String, String>,
}

/// The cluster.
#[derive(Debug, Clone, Deserialize)]
pub struct Kubernetes {
    /// Where its API is, from this machine.
    pub api_local: String,
    /// Who vouches for it.
    pub ca: PathBuf,
    /// The administrator's.
    pub kubeconfig: PathBuf,
    /// Its store, without a password.
    pub etcd: String,
    /// The API as nodes reach it.
    pub api_from_nodes: String,
    /// What the API server noted of Kuryr's requests.
    pub audit_log: PathBuf,
}

/// The cloud.
#[derive(Debug, Clone, Deserialize)]
pub struct OpenStack {
    /// Keystone.
    pub keystone: String,
    /// Neutron.
    pub neutron: String,
    /// Octavia.
    pub octavia: String,
    /// Domain of all users and projects.
    pub domain: String,
    /// Kuryr's user.
    #[serde(flatten)]
    pub kuryr: Account,
    /// The administrator.
    pub admin: Account,
    /// Kuryr's project.
    pub project_id: ProjectId,
    /// Where pods live.
    pub pod_network: Named<NetworkId>,
    /// Where their addresses come from.
    pub pod_subnets: Vec<PodSubnet>,
    /// Where Services have their addresses.
    pub service_subnet: Named<SubnetId>,
    /// What lets their packets pass.
    pub security_group: Named<SecurityGroupId>,
    /// The network of addresses outside.
    pub external_network: Named<NetworkId>,
    /// The world outside.
    pub external_subnet: External,
}

/// OVN.
#[derive(Debug, Clone, Deserialize)]
pub struct Ovn {
    /// The database that says what should be.
    pub northbound: String,
    /// The database that says how it comes about.
    pub southbound: String,
}

/// A user in a project.
#[derive(Debug, Clone, Deserialize)]
pub struct Account {
    /// Name.
    pub user: String,
    /// Password.
    pub password: String,
    /// Name of the project.
    pub project: String,
}

/// Something with an id.
#[derive(Debug, Clone, Deserialize)]
pub struct Named<Id> {
    /// Id.
    pub id: Id,
    /// Name.
    pub name: String,
}

/// Where pods of one family have their addresses.
#[derive(Debug, Clone, Deserialize)]
pub struct PodSubnet {
    /// Id.
    pub id: SubnetId,
    /// The router's address there.
    pub gateway: IpAddr,
}

/// The world outside.
#[derive(Debug, Clone, Deserialize)]
pub struct External {
    /// The root namespace as pods reach it through the router.
    pub gateway: IpAddr,
}

/// A node.
#[derive(Debug, Clone, Deserialize)]
pub struct NodeFacts {
    /// Name, in Kubernetes and as Neutron's host.
    pub name: String,
    /// Its own file system.
    pub file_system: PathBuf,
}

/// Nodes that are virtual machines.
#[derive(Debug, Clone, Deserialize)]
pub struct Nested {
    /// What their addresses are from.
    pub subnet: Named<SubnetId>,
    /// All of them.
    pub vms: Vec<VmFacts>,
}

/// A node that is a virtual machine.
#[derive(Debug, Clone, Deserialize)]
pub struct VmFacts {
    /// Name, in Kubernetes.
    pub name: String,
    /// The trunk of its port.
    pub trunk: TrunkId,
}

impl Facts {
    /// Reads them. A missing lab is a failed test, never a skipped one.
    pub fn read() -> Result<Self> {
        let path = folder()?.join("lab.json");
        let text = fs::read(&path).with_context(|| {
            format!("the lab is missing ({}): `make lab-up`, then `lab/lab kuryr up`", path.display())
        })?;
        serde_json::from_slice(&text).context("lab.json is not of this version: `make lab-up`")
    }

    /// The lab's command.
    pub fn command(&self) -> PathBuf {
        self.repository.join("lab/lab")
    }

    /// A program that looks around.
    pub fn binary(&self, name: &str) -> Result<&PathBuf> {
        self.binaries.get(name).with_context(|| format!("lab.json names no {name}"))
    }

    /// An image that every node has.
    pub fn image(&self, name: &str) -> &str {
        self.images.get(name).map_or("missing-in-lab.json", String::as_str)
    }
}

fn folder() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("KURYR_LAB") {
        return Ok(folder.into());
    }
    let home = env::var_os("HOME").context("neither KURYR_LAB nor HOME is set")?;
    Ok(PathBuf::from(home).join(".cache/kuryr-lab"))
}
