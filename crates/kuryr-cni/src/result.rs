//! The result of ADD, and the same as a runtime gives it back as `prevResult`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::version::Version;

/// What ADD did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddResult {
    /// The version that this result is in.
    #[serde(default)]
    pub cni_version: String,
    /// All links that were made, on the host and in the sandbox, and interfaces of programs in user space.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<Interface>,
    /// All addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<Ip>,
    /// All routes, the default ones among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// Name servers.
    #[serde(default, skip_serializing_if = "Dns::is_empty")]
    pub dns: Dns,
}

/// A link, or what a program in user space has instead of one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its MAC address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Its MTU; since 1.1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The sandbox's namespace; without it the link is on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// The socket by which a program in user space gets at it; since 1.1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket_path: Option<String>,
    /// The PCI device that it is; since 1.1.0.
    #[serde(default, rename = "pciID", skip_serializing_if = "Option::is_none")]
    pub pci_id: Option<String>,
}

/// An address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ip {
    /// `"4"` or `"6"`; until 0.4.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Which of the interfaces has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<usize>,
    /// The address with the length of its network's prefix.
    pub address: String,
    /// The gateway of its network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where to.
    pub dst: String,
    /// By way of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gw: Option<IpAddr>,
}

/// Name resolution, which Kubernetes' runtimes ignore.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// Name servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// The local domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Domains to search.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Options of the resolver.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

impl AddResult {
    /// The same result as a version wants it.
    #[must_use]
    pub fn in_version(mut self, version: Version) -> Self {
        version.as_str().clone_into(&mut self.cni_version);
        for ip in &mut self.ips {
            let family = if ip.address.contains(':') { "6" } else { "4" };
            ip.version = (version < Version::V1_0_0).then(|| family.to_owned());
        }
        if version < Version::V1_1_0 {
            for interface in &mut self.interfaces {
                (interface.mtu, interface.socket_path, interface.pci_id) = (None, None, None);
            }
        }
        self
    }
}

impl Dns {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn result() -> AddResult {
        AddResult {
            interfaces: vec![
                Interface {
                    name: "tap1".into(),
                    mac: Some("aa:aa:aa:aa:aa:aa".into()),
                    mtu: Some(1442),
                    socket_path: Some("/run/vhost/vhu1".into()),
                    pci_id: Some("0000:00:05.0".into()),
                    ..Interface::default()
                },
                Interface {
                    name: "eth0".into(),
                    sandbox: Some("/run/netns/x".into()),
                    ..Interface::default()
                },
            ],
            ips: vec![Ip {
                version: None,
                interface: Some(1),
                address: "fd00::5/64".into(),
                gateway: Some("fd00::1".parse().unwrap()),
            }],
            routes: vec![Route { dst: "::/0".into(), gw: Some("fd00::1".parse().unwrap()) }],
            ..AddResult::default()
        }
    }

    fn json_in(version: Version) -> Value {
        serde_json::to_value(result().in_version(version)).unwrap()
    }

    #[test]
    fn looks_as_each_version_wants_it() {
        for version in Version::ALL {
            let json = json_in(version);
            assert_eq!(json["cniVersion"], version.as_str());
            assert_eq!(
                json["ips"][0].get("version"),
                (version < Version::V1_0_0).then_some(&json!("6")),
                "{version}"
            );
            for (name, value) in [
                ("mtu", json!(1442)),
                ("socketPath", json!("/run/vhost/vhu1")),
                ("pciID", json!("0000:00:05.0")),
            ] {
                let expected = (version >= Version::V1_1_0).then_some(&value);
                assert_eq!(json["interfaces"][0].get(name), expected, "{version}");
            }
            assert_eq!(json["interfaces"][0].get("sandbox"), None);
            assert_eq!(json.get("dns"), None);
        }
    }

    #[test]
    fn a_previous_result_of_any_version_is_read_back() {
        for version in Version::ALL {
            let read: AddResult = serde_json::from_value(json_in(version)).unwrap();
            assert_eq!(read, result().in_version(version));
        }
    }
}
