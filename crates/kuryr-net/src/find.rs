//! Finding links that are on top of a link of one namespace, wherever on the machine they are.
//!
//! The kernel refuses a second VLAN of the same id on a link, and does not say where the first one is.

use std::{
    collections::HashMap,
    fs::Metadata,
    path::{Path, PathBuf},
    pin::pin,
};

use futures::StreamExt;
use netlink_packet_route::{
    RouteNetlinkMessage,
    nsid::{NsidAttribute, NsidMessage},
};
use rtnetlink::packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};

use crate::{
    error::NetError,
    link::Link,
    netlink::Netlink,
    netns::{NetNs, NetNsId, NetNsNumber},
};

/// A link, and where it is.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its namespace.
    pub namespace: NetNs,
    /// The link.
    pub link: Link,
}

/// All namespaces that are mounted on files of these folders, and those of the processes of this `/proc`, each once.
pub fn namespaces(folders: &[PathBuf], proc: &Path) -> Result<Vec<NetNs>, NetError> {
    let mounted = folders.iter().flat_map(|folder| entries(folder));
    let of_processes =
        entries(proc).into_iter().filter(|path| is_process(path)).map(|path| path.join("ns/net"));
    let mut paths: HashMap<NetNsId, PathBuf> = HashMap::new();
    for path in mounted.chain(of_processes) {
        // A pipe would be waited for if it were opened.
        if let Some(id) = namespace_at(&path) {
            paths.entry(id).or_insert(path);
        }
    }
    paths.iter().filter_map(|(id, path)| open(*id, path).transpose()).collect()
}

impl NetNs {
    /// Links of other namespaces that are on top of links of this one.
    pub async fn stacked_in(&self, others: &[Self]) -> Result<Vec<Found>, NetError> {
        let mut found = Vec::new();
        for namespace in others.iter().filter(|other| other.id() != self.id()) {
            let links = namespace.netlink().await?.stacked_on(self).await?;
            found.extend(links.into_iter().map(|link| Found { namespace: namespace.clone(), link }));
        }
        Ok(found)
    }
}

impl Netlink {
    /// Links of this namespace that are on top of links of another one.
    pub async fn stacked_on(&self, other: &NetNs) -> Result<Vec<Link>, NetError> {
        let mut links = self.links().await?;
        links.retain(|link| link.stacked.is_some());
        if links.is_empty() {
            return Ok(links);
        }
        // The kernel has given the other a number by now, since it had to tell of it.
        let number = self.number_of(other).await?;
        links.retain(|link| number.is_some() && link.stacked.is_some_and(|it| it.lower_netns == number));
        Ok(links)
    }

    /// The number by which the kernel tells of another namespace in this one, if it had to so far.
    pub async fn number_of(&self, other: &NetNs) -> Result<Option<NetNsNumber>, NetError> {
        let wrong = |error| NetError::netlink(format!("look up the namespace {}", other.name()), error);
        let mut question = NsidMessage::default();
        question.attributes.push(NsidAttribute::Fd(other.descriptor().unsigned_abs()));
        let mut question = NetlinkMessage::from(RouteNetlinkMessage::GetNsId(question));
        question.header.flags = NLM_F_REQUEST;
        let answers = self.handle.clone().request(question).map_err(wrong)?;
        let answer = pin!(answers).next().await;
        match answer.map(|answer| answer.payload) {
            Some(NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNsId(answer))) => Ok(number(&answer)),
            Some(NetlinkPayload::Error(error)) => Err(wrong(rtnetlink::Error::NetlinkError(error))),
            _ => Ok(None),
        }
    }
}

/// A namespace without a number has a negative one.
fn number(answer: &NsidMessage) -> Option<NetNsNumber> {
    let number = answer.attributes.iter().find_map(|attribute| match attribute {
        NsidAttribute::Id(number) => Some(*number),
        _ => None,
    });
    number.filter(|number| *number >= 0).map(NetNsNumber)
}

/// What may be a namespace. One that is gone by now has no links either.
fn namespace_at(path: &Path) -> Option<NetNsId> {
    std::fs::metadata(path).ok().filter(Metadata::is_file).map(|file| NetNsId::from(&file))
}

fn open(id: NetNsId, path: &Path) -> Result<Option<NetNs>, NetError> {
    match NetNs::open(path) {
        Err(_) if namespace_at(path) != Some(id) => Ok(None),
        opened => opened,
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}

fn is_process(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
}
