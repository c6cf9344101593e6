//! Veth pairs.

use rtnetlink::{
    LinkUnspec, LinkVeth,
    packet_route::link::{InfoData, InfoVeth},
};

use crate::{error::NetError, mac::MacAddr, netlink::Netlink, netns::NetNs};

/// A pair of which one end stays and the other is born in another namespace.
#[derive(Debug, Clone, Copy)]
pub struct VethPair<'a> {
    /// The end that stays, which is set up at once.
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

impl Netlink {
    /// Makes a pair. The far end is made in its namespace right away, since moving a link costs the kernel ten times as much.
    pub async fn add_veth(&self, pair: &VethPair<'_>) -> Result<(), NetError> {
        let far = LinkUnspec::new_with_name(pair.far)
            .mtu(pair.mtu)
            .address(pair.mac.octets().to_vec())
            .setns_by_fd(pair.namespace.descriptor())
            .build();
        let near = LinkVeth::new(pair.near, pair.far)
            .mtu(pair.mtu)
            .up()
            .set_info_data(InfoData::Veth(InfoVeth::Peer(far)))
            .build();
        let made = self.handle.link().add(near).execute().await;
        made.map_err(|error| {
            NetError::netlink(format!("make the veth pair {} - {}", pair.near, pair.far), error)
        })
    }

    /// Makes a pair whose ends both stay, up and promiscuous, as a hybrid plug has between its two bridges.
    pub async fn add_patch(&self, one: &str, other: &str, mtu: u32) -> Result<(), NetError> {
        // The kernel refuses to make the far end up: it has no near one yet.
        let far = LinkUnspec::new_with_name(other).mtu(mtu).promiscuous(true).build();
        let near = LinkVeth::new(one, other)
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
