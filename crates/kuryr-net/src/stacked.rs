//! Links on top of another link, by which a VM's pods share the VM's own: VLANs, MACVLANs and IPVLANs.
//!
//! A link is made right in its pod's namespace while the lower one stays in the node's. The kernel then tells of the lower link by two
//! numbers, that of the link and that of the namespace in which it counts.

use std::fmt;

use netlink_packet_route::link::{
    InfoData, InfoVlan, IpVlanMode, LinkAttribute, LinkInfo, LinkMessage, MacVlanMode,
};
use rtnetlink::{LinkIpVlan, LinkMacVlan, LinkMessageBuilder, LinkVlan};

use crate::{
    error::NetError,
    link::LinkIndex,
    mac::MacAddr,
    netlink::Netlink,
    netns::{NetNs, NetNsNumber},
};

/// How a link is on top of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stack {
    /// Its frames carry this VLAN id (802.1Q) there.
    Vlan(u16),
    /// It has a MAC address of its own there.
    Macvlan,
    /// It has IP addresses of its own there, and the other's MAC address.
    Ipvlan,
}

/// Where a link is on top of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stacked {
    /// How it is.
    pub stack: Stack,
    /// The lower link, by its number in its own namespace.
    pub lower: LinkIndex,
    /// The lower link's namespace, if it is another one.
    pub lower_netns: Option<NetNsNumber>,
}

/// A link to be made in another namespace, where it is left down.
#[derive(Debug, Clone, Copy)]
pub struct NewStacked<'a> {
    /// Its name there.
    pub name: &'a str,
    /// How it is on top of the lower link.
    pub stack: Stack,
    /// The lower link, which stays.
    pub lower: LinkIndex,
    /// Where it goes.
    pub namespace: &'a NetNs,
    /// Its MAC address, which an IPVLAN cannot choose.
    pub mac: MacAddr,
    /// Its MTU, at most that of the lower link.
    pub mtu: u32,
}

impl Netlink {
    /// Makes a link on top of one of this namespace.
    ///
    /// Older kernels refuse a name that some link of this namespace has, although the new one goes elsewhere. A VLAN id that a link on the
    /// same lower one has, in whatever namespace, is refused in the same way ([`NetError::is_there_already`]).
    pub async fn add_stacked(&self, new: &NewStacked<'_>) -> Result<(), NetError> {
        let made = self.handle.link().add(new.message()).execute().await;
        made.map_err(|error| {
            NetError::netlink(format!("make the {} {} on link {}", new.stack, new.name, new.lower), error)
        })
    }
}

impl NewStacked<'_> {
    fn message(&self) -> LinkMessage {
        let LinkIndex(lower) = self.lower;
        match self.stack {
            Stack::Vlan(id) => {
                self.complete(LinkVlan::new(self.name, lower, id).address(self.mac.octets().to_vec()))
            }
            Stack::Macvlan => {
                let link = LinkMacVlan::new(self.name, lower, MacVlanMode::Bridge);
                self.complete(link.address(self.mac.octets().to_vec()))
            }
            Stack::Ipvlan => self.complete(LinkIpVlan::new(self.name, lower, IpVlanMode::L2)),
        }
    }

    fn complete<T>(&self, link: LinkMessageBuilder<T>) -> LinkMessage {
        link.mtu(self.mtu).setns_by_fd(self.namespace.descriptor()).build()
    }
}

impl Stacked {
    pub(crate) fn read(attributes: &[LinkAttribute]) -> Option<Self> {
        let find = |wanted: fn(&LinkAttribute) -> Option<i64>| attributes.iter().find_map(wanted);
        let infos = attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::LinkInfo(infos) => Some(infos),
            _ => None,
        })?;
        let lower = find(|attribute| match attribute {
            LinkAttribute::Link(index) => Some(i64::from(*index)),
            _ => None,
        })?;
        let netns = find(|attribute| match attribute {
            LinkAttribute::LinkNetNsId(number) => Some(i64::from(*number)),
            _ => None,
        });
        Some(Self {
            stack: infos.iter().find_map(stack_of)?,
            lower: LinkIndex(u32::try_from(lower).ok()?),
            lower_netns: netns.and_then(|number| i32::try_from(number).ok()).map(NetNsNumber),
        })
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vlan(id) => write!(f, "VLAN {id}"),
            Self::Macvlan => f.write_str("MACVLAN"),
            Self::Ipvlan => f.write_str("IPVLAN"),
        }
    }
}

fn stack_of(info: &LinkInfo) -> Option<Stack> {
    match info {
        LinkInfo::Data(InfoData::Vlan(data)) => data.iter().find_map(|info| match info {
            InfoVlan::Id(id) => Some(Stack::Vlan(*id)),
            _ => None,
        }),
        LinkInfo::Data(InfoData::MacVlan(_)) => Some(Stack::Macvlan),
        LinkInfo::Data(InfoData::IpVlan(_)) => Some(Stack::Ipvlan),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_core::{Emitable, Parseable};

    use super::*;
    use crate::link::Link;

    fn bytes(message: &LinkMessage) -> Vec<u8> {
        let mut buffer = vec![0; message.buffer_len()];
        message.emit(&mut buffer);
        buffer
    }

    fn request(stack: Stack) -> Vec<u8> {
        let own = NetNs::own().unwrap();
        let mac = "fa:16:3e:00:00:07".parse().unwrap();
        let new = NewStacked { name: "eth0", stack, lower: LinkIndex(2), namespace: &own, mac, mtu: 1442 };
        let mut request = bytes(&new.message());
        // The descriptor is another one each time.
        let descriptor = own.descriptor().to_ne_bytes();
        let at = request.windows(4).position(|bytes| bytes == descriptor).unwrap();
        request[at..at + 4].fill(0xff);
        request
    }

    /// What the kernel says of a link: index 7, name `eth0`, on top of link 2 of namespace 3.
    fn said(info: &[u8]) -> Vec<u8> {
        let mut said = vec![0, 0, 1, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        said.extend(*b"\x09\x00\x03\x00eth0\x00\x00\x00\x00");
        said.extend(*b"\x08\x00\x05\x00\x02\x00\x00\x00");
        said.extend(*b"\x08\x00\x25\x00\x03\x00\x00\x00");
        said.extend(*b"\x0e\x00\x14\x00what it is\x00\x00");
        said.extend(u16::try_from(info.len() + 4).unwrap().to_ne_bytes());
        said.extend([0x12, 0]);
        said.extend(info);
        said
    }

    const VLAN_101: &[u8] =
        b"\x09\x00\x01\x00vlan\x00\x00\x00\x00\x0c\x00\x02\x00\x06\x00\x01\x00\x65\x00\x00\x00";
    const MACVLAN: &[u8] = b"\x0c\x00\x01\x00macvlan\x00\x0c\x00\x02\x00\x08\x00\x01\x00\x04\x00\x00\x00";
    const IPVLAN_L2: &[u8] =
        b"\x0b\x00\x01\x00ipvlan\x00\x00\x0c\x00\x02\x00\x06\x00\x01\x00\x00\x00\x00\x00";

    #[test]
    fn what_the_kernel_says_is_understood() {
        for (info, stack) in
            [(VLAN_101, Stack::Vlan(101)), (MACVLAN, Stack::Macvlan), (IPVLAN_L2, Stack::Ipvlan)]
        {
            let link = Link::from(&LinkMessage::parse(&said(info)).unwrap());
            let stacked = Stacked { stack, lower: LinkIndex(2), lower_netns: Some(NetNsNumber(3)) };
            assert_eq!(link.stacked, Some(stacked));
            assert_eq!(
                (link.name.as_str(), link.alias.as_deref(), link.peer),
                ("eth0", Some("what it is"), None)
            );
        }
    }

    #[test]
    fn another_kind_of_link_is_not_stacked() {
        let veth = Link::from(&LinkMessage::parse(&said(b"\x09\x00\x01\x00veth\x00\x00\x00\x00")).unwrap());
        assert_eq!((veth.stacked, veth.peer), (None, Some(LinkIndex(2))));
    }

    #[test]
    fn a_request_names_everything_at_once() {
        let has = |request: &[u8], part: &[u8]| request.windows(part.len()).any(|bytes| bytes == part);
        for (stack, info) in
            [(Stack::Vlan(101), VLAN_101), (Stack::Macvlan, MACVLAN), (Stack::Ipvlan, IPVLAN_L2)]
        {
            let request = request(stack);
            assert!(has(&request, info), "{stack}: {request:02x?}");
            assert!(has(&request, b"\x09\x00\x03\x00eth0\x00"), "{stack}: name");
            assert!(has(&request, b"\x08\x00\x05\x00\x02\x00\x00\x00"), "{stack}: lower link");
            assert!(has(&request, b"\x08\x00\x04\x00\xa2\x05\x00\x00"), "{stack}: MTU");
            assert!(has(&request, b"\x08\x00\x1c\x00\xff\xff\xff\xff"), "{stack}: namespace");
            let mac = has(&request, b"\x0a\x00\x01\x00\xfa\x16\x3e\x00\x00\x07");
            assert_eq!(mac, stack != Stack::Ipvlan, "{stack}: MAC address");
        }
    }
}
