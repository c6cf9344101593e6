//! Addresses of links.

use std::net::IpAddr;

use futures::TryStreamExt;
use ipnet::IpNet;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};

use crate::{error::NetError, link::LinkIndex, netlink::Netlink};

impl Netlink {
    /// Gives a link an address, with the prefix as the network that it reaches directly.
    ///
    /// Duplicate address detection is left out: Neutron gave the address to this port alone, and until the detection has run (about a
    /// second) no program could bind to an IPv6 address.
    pub async fn add_address(&self, link: LinkIndex, address: IpNet) -> Result<(), NetError> {
        let mut request = self.handle.address().add(link.0, address.addr(), address.prefix_len());
        if address.addr().is_ipv6() {
            request.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        match request
            .execute()
            .await
            .map_err(|error| NetError::netlink(format!("add address {address}"), error))
        {
            Err(error) if !error.is_there_already() => Err(error),
            _ => Ok(()),
        }
    }

    /// The addresses of a link, those that the kernel made by itself among them.
    pub async fn addresses(&self, link: LinkIndex) -> Result<Vec<IpNet>, NetError> {
        let messages = self.handle.address().get().set_link_index_filter(link.0).execute();
        let all: Vec<AddressMessage> =
            messages.try_collect().await.map_err(|error| NetError::netlink("list addresses", error))?;
        Ok(all.iter().filter(|message| message.header.index == link.0).filter_map(address_of).collect())
    }

    /// The link that has an address.
    pub async fn link_with_address(&self, address: IpAddr) -> Result<Option<LinkIndex>, NetError> {
        let messages = self.handle.address().get().execute();
        let all: Vec<AddressMessage> =
            messages.try_collect().await.map_err(|error| NetError::netlink("list addresses", error))?;
        let has_it =
            |message: &&AddressMessage| address_of(message).is_some_and(|found| found.addr() == address);
        Ok(all.iter().find(has_it).map(|message| LinkIndex(message.header.index)))
    }
}

fn address_of(message: &AddressMessage) -> Option<IpNet> {
    // On a point-to-point link the two differ, and the local one is the link's own.
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let any = || {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    };
    let address: IpAddr = local.or_else(any)?;
    IpNet::new(address, message.header.prefix_len).ok()
}
