//! Sysctls below `net`, which every namespace has for itself.

use std::{fmt, fs, io};

use crate::{error::NetError, netns::NetNs};

/// A sysctl that plugging has to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sysctl {
    /// IPv6 is off (`1`) or on (`0`) for a link, or for `all` and `default`.
    DisableIpv6(String),
    /// A link tells its neighbours of its IPv4 addresses when it is set up.
    ArpNotify(String),
    /// A link tells its neighbours of its IPv6 addresses when it is set up.
    NdiscNotify(String),
    /// Whether what routers advertise on a link is heeded, and asked for.
    AcceptRouterAdvertisements(String),
    /// How often a link asks whether another one has its IPv6 address already.
    DadTransmits(String),
    /// Which ARP requests are answered on a link.
    ArpIgnore(String),
    /// Which of its addresses a link tells in ARP requests.
    ArpAnnounce(String),
}

impl NetNs {
    /// Sets sysctls of the namespace, in order. One that this kernel does not have (IPv6 may be compiled out) is passed over.
    pub async fn set_sysctls(&self, settings: Vec<(Sysctl, u8)>) -> Result<(), NetError> {
        self.enter(move || settings.iter().try_for_each(|(sysctl, value)| set(sysctl, *value))).await?
    }
}

impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DisableIpv6(link) => write!(f, "net/ipv6/conf/{link}/disable_ipv6"),
            Self::ArpNotify(link) => write!(f, "net/ipv4/conf/{link}/arp_notify"),
            Self::NdiscNotify(link) => write!(f, "net/ipv6/conf/{link}/ndisc_notify"),
            Self::AcceptRouterAdvertisements(link) => write!(f, "net/ipv6/conf/{link}/accept_ra"),
            Self::DadTransmits(link) => write!(f, "net/ipv6/conf/{link}/dad_transmits"),
            Self::ArpIgnore(link) => write!(f, "net/ipv4/conf/{link}/arp_ignore"),
            Self::ArpAnnounce(link) => write!(f, "net/ipv4/conf/{link}/arp_announce"),
        }
    }
}

/// `/proc/sys/net` is that of the calling thread's namespace.
fn set(sysctl: &Sysctl, value: u8) -> Result<(), NetError> {
    let (path, wanted) = (format!("/proc/sys/{sysctl}"), value.to_string());
    // To write waits for whoever changes a link of any namespace, by trying again and again.
    let done = match fs::read_to_string(&path) {
        Ok(found) if found.trim() == wanted => Ok(()),
        Ok(_) => fs::write(&path, &wanted),
        Err(error) => Err(error),
    };
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.map_err(|source| NetError::Sysctl { name: sysctl.to_string(), value: wanted, source }),
    }
}
