//! Links: what there is, up, down, gone.

use std::fmt;

use futures::TryStreamExt;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use rtnetlink::LinkUnspec;

use crate::{
    error::NetError,
    mac::MacAddr,
    netlink::Netlink,
    netns::NetNs,
    stacked::{Stack, Stacked},
};

/// The longest alias that the kernel takes: `IFALIASZ`, less the zero that a request ends it with and the one that the kernel adds.
pub const ALIAS_MAX: usize = 254;

/// The kernel's number of a link, unique in its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinkIndex(pub(crate) u32);

/// Whether somebody has set a link up. It says nothing about the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// Set up.
    Up,
    /// Not set up.
    Down,
}

/// A link as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: LinkIndex,
    /// Its name.
    pub name: String,
    /// Its MAC address, if it is of a kind that has one.
    pub mac: Option<MacAddr>,
    /// Its MTU.
    pub mtu: u32,
    /// Whether it was set up.
    pub state: LinkState,
    /// Its driver, such as `veth`; physical links have none.
    pub kind: Option<String>,
    /// The bridge that it is a port of.
    pub controller: Option<LinkIndex>,
    /// The other end of a veth pair, by its number in its own namespace.
    pub peer: Option<LinkIndex>,
    /// On which link it is stacked and how, if it is a VLAN, a MACVLAN or an IPVLAN.
    pub stacked: Option<Stacked>,
    /// What its maker wrote about it.
    pub alias: Option<String>,
}

/// What a link is to become, in one go.
#[derive(Debug, Clone, Copy)]
pub struct LinkChange<'a> {
    /// Where it goes, down and without its addresses; none: it stays.
    pub namespace: Option<&'a NetNs>,
    /// Its name there.
    pub name: &'a str,
    /// Its MAC address there.
    pub mac: MacAddr,
    /// Its MTU there.
    pub mtu: u32,
}

impl Netlink {
    /// All links of the namespace.
    pub async fn links(&self) -> Result<Vec<Link>, NetError> {
        let links = self.handle.link().get().execute().map_ok(|message| Link::from(&message));
        links.try_collect().await.map_err(|error| NetError::netlink("list links", error))
    }

    /// The link of that name.
    pub async fn link(&self, name: &str) -> Result<Option<Link>, NetError> {
        let mut found = self.handle.link().get().match_name(name).execute();
        match found.try_next().await.map_err(|error| NetError::netlink(format!("look up link {name}"), error))
        {
            Ok(message) => Ok(message.as_ref().map(Link::from)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets a link up.
    pub async fn set_up(&self, link: LinkIndex) -> Result<(), NetError> {
        let message = LinkUnspec::new_with_index(link.0).up().build();
        let request = self.handle.link().set(message).execute();
        request.await.map_err(|error| NetError::netlink(format!("set link {link} up"), error))
    }

    /// Sets a link's MTU.
    pub async fn set_mtu(&self, link: LinkIndex, mtu: u32) -> Result<(), NetError> {
        let message = LinkUnspec::new_with_index(link.0).mtu(mtu).build();
        let request = self.handle.link().set(message).execute();
        request
            .await
            .map_err(|error| NetError::netlink(format!("set the MTU of link {link} to {mtu}"), error))
    }

    /// Gives a link another name. It must be down.
    pub async fn rename(&self, link: LinkIndex, name: &str) -> Result<(), NetError> {
        let message = LinkUnspec::new_with_index(link.0).name(name).build();
        let request = self.handle.link().set(message).execute();
        request.await.map_err(|error| NetError::netlink(format!("rename link {link} to {name}"), error))
    }

    /// Sets a link down.
    pub async fn set_down(&self, link: LinkIndex) -> Result<(), NetError> {
        let message = LinkUnspec::new_with_index(link.0).down().build();
        let request = self.handle.link().set(message).execute();
        request.await.map_err(|error| NetError::netlink(format!("set link {link} down"), error))
    }

    /// Changes a link that exists, also into another namespace. It must be down if it stays.
    pub async fn change(&self, link: LinkIndex, change: &LinkChange<'_>) -> Result<(), NetError> {
        let LinkChange { namespace, name, mac, mtu } = *change;
        let message = LinkUnspec::new_with_index(link.0).name(name).address(mac.octets().to_vec()).mtu(mtu);
        let message = match namespace {
            Some(namespace) => message.setns_by_fd(namespace.descriptor()),
            None => message,
        };
        let request = self.handle.link().set(message.build()).execute();
        request.await.map_err(|error| {
            let place = namespace.map(|namespace| format!(" in {}", namespace.name())).unwrap_or_default();
            NetError::netlink(format!("make link {link} into {name}{place}"), error)
        })
    }

    /// Writes about a link what can be read as its [`Link::alias`]: up to [`ALIAS_MAX`] bytes.
    pub async fn set_alias(&self, link: LinkIndex, alias: &str) -> Result<(), NetError> {
        let message = LinkUnspec::new_with_index(link.0).alias(alias).build();
        let request = self.handle.link().set(message).execute();
        request.await.map_err(|error| NetError::netlink(format!("write about link {link}"), error))
    }

    /// Makes a link a port of a bridge.
    pub async fn enslave(&self, link: LinkIndex, bridge: LinkIndex) -> Result<(), NetError> {
        let message = LinkUnspec::new_with_index(link.0).controller(bridge.0).build();
        let request = self.handle.link().set(message).execute();
        request.await.map_err(|error| NetError::netlink(format!("add link {link} to bridge {bridge}"), error))
    }

    /// Deletes the link of that name, with its other end if it has one. Tells what was deleted.
    pub async fn delete_link(&self, name: &str) -> Result<Option<Link>, NetError> {
        let Some(link) = self.link(name).await? else { return Ok(None) };
        let deleted = self.handle.link().del(link.index.0).execute().await;
        match deleted.map_err(|error| NetError::netlink(format!("delete link {name}"), error)) {
            Ok(()) => Ok(Some(link)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl fmt::Display for LinkIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl From<&LinkMessage> for Link {
    fn from(message: &LinkMessage) -> Self {
        let up = message.header.flags.contains(LinkFlags::Up);
        let mut link = Self {
            index: LinkIndex(message.header.index),
            name: String::new(),
            mac: None,
            mtu: 0,
            state: if up { LinkState::Up } else { LinkState::Down },
            kind: None,
            controller: None,
            peer: None,
            stacked: None,
            alias: None,
        };
        for attribute in &message.attributes {
            link.read(attribute);
        }
        link.stacked = Stacked::read(&message.attributes);
        // The kernel tells of both by the same attribute.
        if link.stacked.is_some() {
            link.peer = None;
        }
        link
    }
}

impl Link {
    /// How it is stacked, if it is.
    pub fn stack(&self) -> Option<Stack> {
        self.stacked.map(|stacked| stacked.stack)
    }

    fn read(&mut self, attribute: &LinkAttribute) {
        match attribute {
            LinkAttribute::IfName(name) => self.name.clone_from(name),
            LinkAttribute::Address(bytes) => self.mac = MacAddr::from_slice(bytes),
            LinkAttribute::Mtu(mtu) => self.mtu = *mtu,
            LinkAttribute::Controller(index) => self.controller = Some(LinkIndex(*index)),
            LinkAttribute::Link(index) => self.peer = Some(LinkIndex(*index)),
            LinkAttribute::IfAlias(alias) => self.alias = Some(alias.clone()),
            LinkAttribute::LinkInfo(infos) => {
                self.kind = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            _ => {}
        }
    }
}
