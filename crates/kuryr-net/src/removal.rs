//! Deleting many links at once.
//!
//! Deleting a link makes the kernel wait until no CPU looks at it any more, 10 ms as a rule, and only one deletion runs at a time: the last
//! of twenty pods that go together would wait 200 ms. Links of one group are deleted with one such wait.

use rtnetlink::LinkUnspec;
use tokio::sync::{mpsc, oneshot};

use crate::{error::NetError, link::LinkIndex, netlink::Netlink, netns::NetNs};

/// The group that links are put into to be deleted. Nobody else has a reason to use this number.
const DOOMED: u32 = 0x6b75_7279;
/// The group of every link that nobody has put into another.
const NO_GROUP: u32 = 0;
/// Requests that may wait; whoever asks waits for the answer anyway.
const QUEUE: usize = 64;

/// Deletes links of one namespace, those that are asked for while it is busy in one go. Clones share it.
#[derive(Debug, Clone)]
pub struct LinkRemover {
    requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
struct Request {
    names: Vec<String>,
    answer: oneshot::Sender<Result<(), NetError>>,
}

impl LinkRemover {
    /// Starts to work in a namespace, in a task of the current runtime, until the last clone is dropped.
    pub fn new(namespace: NetNs) -> Self {
        let (requests, queue) = mpsc::channel(QUEUE);
        tokio::spawn(work(namespace, queue));
        Self { requests }
    }

    /// Deletes the links of these names, with their other ends. Names of no link are passed over.
    pub async fn remove(&self, names: Vec<String>) -> Result<(), NetError> {
        if names.is_empty() {
            return Ok(());
        }
        let (answer, done) = oneshot::channel();
        let ended = || NetError::Thread(std::io::Error::other("the runtime is ending"));
        self.requests.send(Request { names, answer }).await.map_err(|_| ended())?;
        done.await.unwrap_or_else(|_| Err(ended()))
    }
}

async fn work(namespace: NetNs, mut queue: mpsc::Receiver<Request>) {
    let mut requests = Vec::with_capacity(QUEUE);
    while queue.recv_many(&mut requests, QUEUE).await > 0 {
        let together = remove_together(&namespace, &requests).await;
        for request in requests.drain(..) {
            let result = match &together {
                Ok(()) => Ok(()),
                // One of them may be what keeps the kernel from deleting all.
                Err(_) => remove_each(&namespace, &request.names).await,
            };
            // Whoever asked may have been cancelled.
            let _ = request.answer.send(result);
        }
    }
}

async fn remove_together(namespace: &NetNs, requests: &[Request]) -> Result<(), NetError> {
    let netlink = namespace.netlink().await?;
    let mut doomed = Vec::new();
    for name in requests.iter().flat_map(|request| &request.names) {
        doomed.extend(netlink.link(name).await?);
    }
    if let [link] = doomed.as_slice() {
        return netlink.delete_link(&link.name).await.map(drop);
    }
    if doomed.is_empty() {
        return Ok(());
    }
    for link in &doomed {
        netlink.put(link.index, DOOMED).await?;
    }
    let deleted = netlink.delete_doomed().await;
    if deleted.is_err() {
        // A link that cannot be deleted must not keep later groups from it.
        for link in &doomed {
            netlink.put(link.index, NO_GROUP).await?;
        }
    }
    deleted
}

async fn remove_each(namespace: &NetNs, names: &[String]) -> Result<(), NetError> {
    let netlink = namespace.netlink().await?;
    for name in names {
        netlink.delete_link(name).await?;
    }
    Ok(())
}

impl Netlink {
    /// Puts a link into a group. One that has gone meanwhile is as good as deleted.
    async fn put(&self, link: LinkIndex, group: u32) -> Result<(), NetError> {
        let message = LinkUnspec::new_with_index(link.0).link_group(group).build();
        let set = self.handle.link().set(message).execute().await;
        match set.map_err(|error| NetError::netlink("mark links to be deleted", error)) {
            Err(error) if !error.is_missing() => Err(error),
            _ => Ok(()),
        }
    }

    async fn delete_doomed(&self) -> Result<(), NetError> {
        let mut request = self.handle.link().del(0);
        *request.message_mut() = LinkUnspec::new_with_index(0).link_group(DOOMED).build();
        match request.execute().await.map_err(|error| NetError::netlink("delete links", error)) {
            Err(error) if !error.is_missing() => Err(error),
            _ => Ok(()),
        }
    }
}
