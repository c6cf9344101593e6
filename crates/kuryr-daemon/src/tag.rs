//! What is written on the link of a pod of a VM, as its alias: whose it is. There is no Open vSwitch whose database could remember it.
//!
//! The pod may change what is written, if it has the right to change its links. Nothing but its own links is decided by it.

use std::fmt;

use kuryr_cni::ContainerId;
use kuryr_net::{ALIAS_MAX, Link};

use crate::{sandbox::Sandbox, wiring::Wiring};

const WHOSE: &str = "kuryr ";
const PORT: &str = "port=";
const SANDBOX: &str = "sandbox=";
const POD_UID: &str = "pod=";

/// Whose a link is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The Neutron port.
    pub port: String,
    /// The sandbox.
    pub sandbox: ContainerId,
    /// The pod's uid.
    pub pod_uid: String,
}

impl Tag {
    /// What to write on a link.
    pub fn of(wiring: &Wiring, sandbox: &Sandbox) -> Self {
        Self { port: wiring.port.to_string(), sandbox: sandbox.id.clone(), pod_uid: sandbox.pod_uid.clone() }
    }

    /// Reads what stands on a link, if it is that of a pod that this daemon has connected.
    pub fn read(link: &Link) -> Option<Self> {
        link.stacked?;
        Self::parse(link.alias.as_deref()?)
    }

    fn parse(alias: &str) -> Option<Self> {
        let mut words = alias.strip_prefix(WHOSE)?.split(' ');
        let mut next = |prefix: &str| words.next()?.strip_prefix(prefix);
        Some(Self {
            port: next(PORT)?.to_owned(),
            sandbox: next(SANDBOX)?.parse().ok()?,
            pod_uid: next(POD_UID)?.to_owned(),
        })
    }

    /// The text to be written; none if the kernel would refuse it for its length.
    pub fn text(&self) -> Option<String> {
        Some(self.to_string()).filter(|text| text.len() <= ALIAS_MAX)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { port, sandbox, pod_uid } = self;
        write!(f, "{WHOSE}{PORT}{port} {SANDBOX}{sandbox} {POD_UID}{pod_uid}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(port: &str) -> Tag {
        Tag { port: port.to_owned(), sandbox: "b0a1".parse().unwrap(), pod_uid: "uid-1".to_owned() }
    }

    #[test]
    fn what_is_written_is_read() {
        let text = tag("07cfe856-11cc-43d9-9200-ff4dc02d3620").text().unwrap();
        assert_eq!(text, "kuryr port=07cfe856-11cc-43d9-9200-ff4dc02d3620 sandbox=b0a1 pod=uid-1");
        assert_eq!(Tag::parse(&text), Some(tag("07cfe856-11cc-43d9-9200-ff4dc02d3620")));
        assert_eq!(tag(&"x".repeat(ALIAS_MAX)).text(), None, "the kernel would refuse it");
    }

    #[test]
    fn what_others_write_is_not_ours() {
        for alias in [
            "",
            "kuryr",
            "uplink of rack 7",
            "kuryr port=1",
            "kuryr port=1 sandbox= pod=2",
            "kuryr port=1 sandbox=../x pod=2",
            "mykuryr port=1 sandbox=a pod=2",
        ] {
            assert_eq!(Tag::parse(alias), None, "{alias:?}");
        }
    }
}
