//! Veth pairs.

use futures::StreamExt;
use rtnetlink::{
    LinkMessageBuilder, LinkUnspec, LinkVeth,
    packet_core::{
        NLM_F_ACK, NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
    },
    packet_route::{
        RouteNetlinkMessage,
        link::{AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoVeth, LinkAttribute, LinkMessage},
    },
};

use crate::{
    error::NetError,
    link::{Link, LinkState},
    mac::MacAddr,
    netlink::Netlink,
    netns::NetNs,
};

/// A pair of which one end stays and the other is born in another namespace.
#[derive(Debug, Clone, Copy)]
pub struct VethPair<'a> {
    /// The end that stays, which is left down: see [`Netlink::set_up_cable`].
    pub near: &'a str,
    /// The end in the other namespace, which is left down.
    pub far: &'a str,
    /// Where the far end goes.
    pub namespace: &'a NetNs,
    /// The far end's MAC address.
    pub mac: MacAddr,
    /// The MTU of both ends.
    pub mtu: u32,
}

/// Both ends of a pair, as they were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VethEnds {
    /// The end that stays.
    pub near: Link,
    /// The end in the other namespace.
    pub far: Link,
}

impl Netlink {
    /// Makes a pair. The far end is made in its namespace right away, since moving a link costs the kernel ten times as much.
    ///
    /// Tells what was made, which nobody has to look up then; before Linux 6.2 the kernel does not say.
    pub async fn add_veth(&self, pair: &VethPair<'_>) -> Result<Option<VethEnds>, NetError> {
        let far = one_queue(LinkUnspec::new_with_name(pair.far))
            .mtu(pair.mtu)
            .address(pair.mac.octets().to_vec())
            .setns_by_fd(pair.namespace.descriptor())
            .build();
        let near = one_queue(LinkVeth::new(pair.near, pair.far))
            .mtu(pair.mtu)
            .address(pair.near_mac().octets().to_vec())
            .set_info_data(InfoData::Veth(InfoVeth::Peer(far)))
            .build();
        let made = self.add_link(near).await;
        let near = made.map_err(|error| {
            NetError::netlink(format!("make the veth pair {} - {}", pair.near, pair.far), error)
        })?;
        Ok(near.and_then(|near| pair.ends(near)))
    }

    /// Makes a link. Tells what the kernel says of it.
    async fn add_link(&self, link: LinkMessage) -> Result<Option<Link>, rtnetlink::Error> {
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewLink(link));
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO;
        let mut answers = self.handle.clone().request(request)?;
        let mut made = None;
        while let Some(answer) = answers.next().await {
            match answer.payload {
                NetlinkPayload::Error(error) if error.code.is_some() => {
                    return Err(rtnetlink::Error::NetlinkError(error));
                }
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
                    made = Some(Link::from(&link));
                }
                _ => {}
            }
        }
        Ok(made)
    }

    /// Sets up a link that is only a cable: with an IPv6 address of its own it would ask for neighbours and routers, and the routes of
    /// each address are read by every program that follows the node's routes, Open vSwitch for one. The far end is to be down still.
    ///
    /// Both in one request, since each waits for whoever else changes a link.
    pub async fn set_up_cable(&self, name: &str) -> Result<(), NetError> {
        let addressless = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
        let up = || LinkUnspec::new_with_name(name).up();
        let change = up().append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![addressless]));
        let set = async |change: LinkMessageBuilder<LinkUnspec>| {
            let request = self.handle.link().set(change.build()).execute();
            request.await.map_err(|error| NetError::netlink(format!("set link {name} up"), error))
        };
        match set(change).await {
            // The kernel, or this link, has no IPv6.
            Err(error) if error.is_without_family() => set(up()).await,
            done => done,
        }
    }

    /// Makes a pair whose ends both stay, up and promiscuous, as a hybrid plug has between its two bridges.
    pub async fn add_patch(&self, one: &str, other: &str, mtu: u32) -> Result<(), NetError> {
        // The kernel refuses to make the far end up: it has no near one yet.
        let far = one_queue(LinkUnspec::new_with_name(other)).mtu(mtu).promiscuous(true).build();
        let near = one_queue(LinkVeth::new(one, other))
            .mtu(mtu)
            .up()
            .promiscuous(true)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(far)))
            .build();
        let made = self.handle.link().add(near).execute().await;
        match made.map_err(|error| NetError::netlink(format!("make the veth pair {one} - {other}"), error)) {
            Err(error) if !error.is_there_already() => return Err(error),
            _ => {}
        }
        match self.link(other).await? {
            Some(link) => self.set_up(link.index).await,
            None => Ok(()),
        }
    }
}

impl VethPair<'_> {
    /// The near end's MAC address, which nobody talks to: the far end's with another first byte. One that the kernel chooses is replaced by
    /// udev a moment later (`MACAddressPolicy=persistent`), when ADD may have told it already.
    fn near_mac(&self) -> MacAddr {
        let first = if self.mac.octets()[0] == 0xfe { 0xfa } else { 0xfe };
        self.mac.with_first(first)
    }

    /// The ends, by what the kernel says of the near one.
    fn ends(&self, near: Link) -> Option<VethEnds> {
        let far = Link {
            index: near.peer?,
            name: self.far.to_owned(),
            mac: Some(self.mac),
            mtu: self.mtu,
            state: LinkState::Down,
            kind: near.kind.clone(),
            controller: None,
            peer: Some(near.index),
            stacked: None,
            alias: None,
        };
        Some(VethEnds { near, far })
    }
}

/// The kernel makes a queue for each processor, and when it takes all but one away again it waits for all processors, twice a pair, while
/// nobody can change any link.
fn one_queue<T>(link: LinkMessageBuilder<T>) -> LinkMessageBuilder<T> {
    link.append_extra_attribute(LinkAttribute::NumTxQueues(1))
        .append_extra_attribute(LinkAttribute::NumRxQueues(1))
}
