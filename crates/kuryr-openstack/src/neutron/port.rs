//! A Neutron port, and the requests that make and change one.

use super::wire::any_of;
use crate::wire::{Listed, Query};
use kuryr_api::ids::{NetworkId, PortId, ProjectId, SecurityGroupId, SubnetId, TrunkId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::net::IpAddr;

/// A port as Neutron shows it. What a list's `fields` left out has its default here.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Port {
    /// Its id.
    pub id: PortId,
    /// Its name, often empty.
    #[serde(default)]
    pub name: String,
    /// The network that it is on.
    #[serde(default)]
    pub network_id: Option<NetworkId>,
    /// Whose it is.
    #[serde(default)]
    pub project_id: Option<ProjectId>,
    /// Its MAC address, as Neutron writes it: lower case, with colons.
    #[serde(default)]
    pub mac_address: String,
    /// Its addresses.
    #[serde(default)]
    pub fixed_ips: Vec<FixedIp>,
    /// Whether it is wired.
    #[serde(default)]
    pub status: PortStatus,
    /// What uses it: for a pod its uid.
    #[serde(default)]
    pub device_id: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// What kind of thing uses it.
    #[serde(default)]
    pub device_owner: String,
    /// The groups that say what may pass.
    #[serde(default)]
    pub security_groups: Vec<SecurityGroupId>,
    /// Whether it may carry traffic.
    #[serde(default)]
    pub admin_state_up: bool,
    /// The host that it is bound to.
    #[serde(default, rename = "binding:host_id")]
    pub host: String,
    /// How it is to be plugged there: `ovs`, `unbound`, `binding_failed`.
    #[serde(default, rename = "binding:vif_type")]
    pub vif_type: String,
    /// Particulars of the plugging.
    #[serde(default, rename = "binding:vif_details", deserialize_with = "object_or_nothing")]
    pub vif_details: Map<String, Value>,
    /// `normal`, `direct`.
    #[serde(default, rename = "binding:vnic_type")]
    pub vnic_type: String,
    /// What the binding was asked with.
    #[serde(default, rename = "binding:profile", deserialize_with = "object_or_nothing")]
    pub profile: Map<String, Value>,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Counts its changes.
    #[serde(default)]
    pub revision_number: u64,
    /// When it was made.
    #[serde(default)]
    pub created_at: Option<jiff::Timestamp>,
    /// When it was last changed.
    #[serde(default)]
    pub updated_at: Option<jiff::Timestamp>,
    /// The trunk whose parent it is.
    #[serde(default)]
    pub trunk_details: Option<TrunkDetails>,
    /// Other addresses that it may send from.
    #[serde(default)]
    pub allowed_address_pairs: Vec<AddressPair>,
    /// Whether it carries the addresses of its security groups; absent where the cloud does not say.
    #[serde(default)]
    pub port_security_enabled: Option<bool>,
}

/// An address of a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FixedIp {
    /// The subnet that it is from.
    pub subnet_id: SubnetId,
    /// The address.
    pub ip_address: IpAddr,
}

/// The trunk of a parent port, as far as the port shows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct TrunkDetails {
    /// The trunk.
    pub trunk_id: TrunkId,
}

/// An address to be given to a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct FixedIpRequest {
    /// The subnet to take it from.
    pub subnet_id: SubnetId,
    /// The address; without one, whichever is free.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<IpAddr>,
}

/// An address that a port may send from besides its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AddressPair {
    /// The address or prefix.
    pub ip_address: String,
    /// With this MAC; without one, the port's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<String>,
}

/// Whether a port is wired.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "String")]
pub enum PortStatus {
    /// It is.
    Active,
    /// It is being.
    Build,
    /// It is not.
    #[default]
    Down,
    /// It cannot be.
    Error,
    /// Another word of Neutron's (`N/A`).
    Other(String),
}

/// A port to be made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct NewPort {
    /// The network to put it on.
    pub network_id: NetworkId,
    /// Whose it is to be; by default the session's project's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The addresses that it is to have; if there are none, Neutron chooses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fixed_ips: Vec<FixedIpRequest>,
    /// What kind of thing uses it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub device_owner: String,
    /// What uses it. A create whose answer is lost can be taken up only if this is set, or the description: it is how the port is
    /// found again.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub device_id: String,
    /// What it is for. A port that is to be a trunk's must not have a `device_id`: it is found again by this.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The groups that say what may pass. None set means the project's default group, an empty list that nothing may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_groups: Option<Vec<SecurityGroupId>>,
    /// Whether it may carry traffic.
    pub admin_state_up: bool,
    /// The host to bind it to.
    #[serde(rename = "binding:host_id", skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What kind of link it is for, if not one that is made for it: `direct` is a virtual function of a network card.
    #[serde(rename = "binding:vnic_type", skip_serializing_if = "Option::is_none")]
    pub vnic_type: Option<&'static str>,
    /// Its tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// What to change of a port; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PortUpdate {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The groups that say what may pass, each once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_groups: Option<Vec<SecurityGroupId>>,
    /// What uses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What kind of thing uses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_owner: Option<String>,
    /// The host to bind it to; an empty name unbinds.
    #[serde(rename = "binding:host_id", skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Other addresses that it may send from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_address_pairs: Option<Vec<AddressPair>>,
    /// Whether it may carry traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_state_up: Option<bool>,
}

/// Which ports to list: those that answer to all that is set. An empty list of ids finds none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortFilter {
    /// One of these.
    pub ids: Option<Vec<PortId>>,
    /// Used by one of these.
    pub device_ids: Option<Vec<String>>,
    /// Used by this kind of thing.
    pub device_owner: Option<String>,
    /// With one of these descriptions.
    pub descriptions: Option<Vec<String>>,
    /// With one of these names.
    pub names: Option<Vec<String>>,
    /// With one of these addresses.
    pub addresses: Option<Vec<IpAddr>>,
    /// On this network.
    pub network: Option<NetworkId>,
    /// Of this project.
    pub project: Option<ProjectId>,
    /// Bound to this host.
    pub host: Option<String>,
    /// With this status.
    pub status: Option<PortStatus>,
    /// With all of these tags.
    pub tags: Vec<String>,
    /// Without one of these tags, at least.
    pub not_tags: Vec<String>,
    /// On one of these subnets.
    pub subnets: Option<Vec<SubnetId>>,
    /// What to tell of each port, by Neutron's names (`id` always is); everything if empty.
    pub fields: &'static [&'static str],
}

impl Port {
    /// Neutron found no way to bind it to its host.
    pub fn binding_failed(&self) -> bool {
        self.vif_type == "binding_failed"
    }

    /// OVN binds it, so its chassis tells when it is wired.
    pub fn bound_by_ovn(&self) -> bool {
        let drivers = self.vif_details.get("bound_drivers").and_then(Value::as_object);
        drivers.is_some_and(|drivers| drivers.values().any(|driver| driver == "ovn"))
    }
}

impl Listed for Port {
    fn marker(&self) -> &str {
        self.id.as_str()
    }
}

impl NewPort {
    /// A port on `network`, that may carry traffic.
    pub fn on(network: NetworkId) -> Self {
        Self {
            network_id: network,
            project_id: None,
            name: String::new(),
            fixed_ips: Vec::new(),
            device_owner: String::new(),
            device_id: String::new(),
            description: String::new(),
            security_groups: None,
            admin_state_up: true,
            host: None,
            vnic_type: None,
            tags: Vec::new(),
        }
    }

    /// Whether the port can be found again though the answer to its create is lost.
    pub(super) fn is_traceable(&self) -> bool {
        !self.device_id.is_empty() || !self.description.is_empty()
    }

    /// Whether `port` is what this request makes: same network, user and host, and the addresses that it asks for.
    pub fn describes(&self, port: &Port) -> bool {
        port.network_id.as_ref() == Some(&self.network_id)
            && port.device_id == self.device_id
            && port.device_owner == self.device_owner
            && port.description == self.description
            && port.name == self.name
            && self.host.as_ref().is_none_or(|host| *host == port.host)
            && self.addresses_are_on(port)
    }

    fn addresses_are_on(&self, port: &Port) -> bool {
        let mut left: Vec<_> = port.fixed_ips.iter().collect();
        // Exact addresses first, lest "any of this subnet" takes theirs.
        let (exact, any): (Vec<_>, Vec<_>) =
            self.fixed_ips.iter().partition(|asked| asked.ip_address.is_some());
        exact.into_iter().chain(any).all(|asked| {
            let found = left.iter().position(|given| asked.is_met_by(given));
            found.map(|at| left.swap_remove(at)).is_some()
        })
    }
}

impl FixedIpRequest {
    /// Any free address of this subnet.
    pub fn any(subnet: SubnetId) -> Self {
        Self { subnet_id: subnet, ip_address: None }
    }

    fn is_met_by(&self, given: &FixedIp) -> bool {
        self.subnet_id == given.subnet_id && self.ip_address.is_none_or(|asked| asked == given.ip_address)
    }
}

impl PortFilter {
    /// The queries that together list these ports.
    pub(super) fn queries(&self) -> Vec<Query> {
        let common = self.common();
        let ids = self.ids.as_ref().map(|ids| ids.iter().map(ToString::to_string).collect());
        let addresses = self.addresses.as_ref();
        let addresses =
            addresses.map(|all| all.iter().map(|address| format!("ip_address={address}")).collect());
        let subnets = self.subnets.as_ref();
        let subnets = subnets.map(|all| all.iter().map(|subnet| format!("subnet_id={subnet}")).collect());
        let sets = [
            any_of("id", ids),
            any_of("device_id", self.device_ids.clone()),
            any_of("description", self.descriptions.clone()),
            any_of("name", self.names.clone()),
            any_of("fixed_ips", addresses),
            any_of("fixed_ips", subnets),
        ];
        sets.into_iter().fold(vec![common], |queries, set| {
            let join = |query: &Query| {
                set.iter().map(|more| [query.as_slice(), more.as_slice()].concat()).collect::<Vec<_>>()
            };
            queries.iter().flat_map(join).collect()
        })
    }

    fn common(&self) -> Query {
        let mut query = Query::new();
        let mut add = |name, value: Option<String>| query.extend(value.map(|value| (name, value)));
        add("device_owner", self.device_owner.clone());
        add("network_id", self.network.as_ref().map(ToString::to_string));
        add("project_id", self.project.as_ref().map(ToString::to_string));
        add("binding:host_id", self.host.clone());
        add("status", self.status.as_ref().map(|status| status.as_str().to_owned()));
        add("tags", (!self.tags.is_empty()).then(|| self.tags.join(",")));
        add("not-tags", (!self.not_tags.is_empty()).then(|| self.not_tags.join(",")));
        if !self.fields.is_empty() {
            let fields = self.fields.iter().filter(|field| **field != "id");
            query.extend(["id"].iter().chain(fields).map(|field| ("fields", (*field).to_owned())));
        }
        query
    }
}

impl PortStatus {
    /// Neutron's word for it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Active => "ACTIVE",
            Self::Build => "BUILD",
            Self::Down => "DOWN",
            Self::Error => "ERROR",
            Self::Other(status) => status,
        }
    }
}

impl From<String> for PortStatus {
    fn from(status: String) -> Self {
        match status.as_str() {
            "ACTIVE" => Self::Active,
            "BUILD" => Self::Build,
            "DOWN" => Self::Down,
            "ERROR" => Self::Error,
            _ => Self::Other(status),
        }
    }
}

/// Neutron writes an empty object in several ways.
fn object_or_nothing<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Map<String, Value>, D::Error> {
    match Value::deserialize(from)? {
        Value::Object(map) => Ok(map),
        _ => Ok(Map::new()),
    }
}
