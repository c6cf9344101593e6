//! Who has a virtual function, and what it was before: what stands of it in the ledger.

use kuryr_net::{Function, MacAddr};
use serde::{Deserialize, Serialize};

use super::pci::DeviceError;

/// Who has a virtual function, and what it was before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The pod, as `namespace/name`.
    pub pod: String,
    /// Its uid.
    pub pod_uid: String,
    /// The sandbox.
    pub sandbox: String,
    /// The namespace's file.
    pub netns: String,
    /// The interface's name in the pod.
    pub ifname: String,
    /// The Neutron port.
    pub port: String,
    /// The port's MAC address.
    pub mac: String,
    /// As what the pod has it.
    pub form: Form,
    /// What it was before.
    pub was: Was,
}

/// As what a pod has a virtual function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A link in its network namespace.
    Link,
    /// A device that has this driver.
    Device(String),
}

/// What a virtual function was before a pod had it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Was {
    /// Its driver, if the pod's is another one.
    pub driver: Option<String>,
    /// Its link.
    pub link: Option<WasLink>,
    /// How it was set on its card.
    pub function: Option<WasFunction>,
}

/// What a link was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WasLink {
    /// Its name.
    pub name: String,
    /// Its MAC address.
    pub mac: String,
    /// Its MTU.
    pub mtu: u32,
}

/// How a virtual function was set on its card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WasFunction {
    /// Its MAC address.
    pub mac: String,
    /// Its VLAN.
    pub vlan: u16,
}

impl WasLink {
    pub(super) fn mac(&self) -> Result<MacAddr, DeviceError> {
        mac(&self.mac)
    }
}

impl WasFunction {
    pub(super) fn function(&self) -> Result<Function, DeviceError> {
        Ok(Function { mac: mac(&self.mac)?, vlan: self.vlan })
    }
}

impl From<Function> for WasFunction {
    fn from(function: Function) -> Self {
        Self { mac: function.mac.to_string(), vlan: function.vlan }
    }
}

fn mac(text: &str) -> Result<MacAddr, DeviceError> {
    text.parse().map_err(|_| DeviceError::NoMac(text.to_owned()))
}
