//! Finding what the controller recorded for a pod, and waiting for it.

use std::{sync::Arc, time::Duration};

use kube::{Api, runtime::watcher};
use kuryr_api::names::NODE_NAME_LABEL;
use kuryr_k8s::{
    Cache, Client, Key,
    slim::{Content, Pod, PortRecord},
};
use tokio::time::timeout;

use crate::failure::Failure;

/// The records and pods of this node, as the API server has them.
#[derive(Clone)]
pub struct Records {
    /// KuryrPorts labelled with the node's name.
    pub ports: Cache<PortRecord>,
    /// Pods bound to the node.
    pub pods: Cache<Pod>,
    /// Which of them those two are about.
    pub scope: Scope,
}

/// Which records are followed.
#[derive(Clone)]
pub enum Scope {
    /// All of the node.
    Node,
    /// One pod's.
    Pod {
        /// By which the others can be asked for.
        client: Client,
        /// The node's name.
        node: String,
    },
}

/// Whether a record is the one that a call needs.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// It is, and complete.
    Good,
    /// Not yet; why is for the operator, should it stay so.
    NotYet(String),
    /// It never will be: nobody needs the answer.
    Gone(String),
}

impl Records {
    /// Follows those of a node.
    pub fn of_node(client: &Client, node: &str) -> Self {
        let bound = watcher::Config::default().fields(&format!("spec.nodeName={node}"));
        Self {
            ports: ports_on(client, node),
            pods: Cache::start(client, Api::all, bound, Box::new(|_| {})),
            scope: Scope::Node,
        }
    }

    /// Follows those of one pod: for a process that serves no other.
    pub fn of_pod(client: &Client, pod: &Key, node: &str) -> Self {
        let named = watcher::Config::default().fields(&format!("metadata.name={}", pod.name()));
        Self {
            ports: Cache::start(
                client,
                |client| Api::namespaced(client, pod.namespace()),
                named.clone(),
                Box::new(|_| {}),
            ),
            pods: Cache::start(
                client,
                |client| Api::namespaced(client, pod.namespace()),
                named,
                Box::new(|_| {}),
            ),
            scope: Scope::Pod { client: client.clone(), node: node.to_owned() },
        }
    }

    /// The KuryrPorts of the whole node, whatever is followed.
    pub async fn of_whole_node(&self) -> Cache<PortRecord> {
        let ports = match &self.scope {
            Scope::Node => self.ports.clone(),
            Scope::Pod { client, node } => ports_on(client, node),
        };
        ports.complete().await;
        ports
    }

    /// The record of a pod, once it is there and complete. `uid` is the pod's as the kubelet knows it, if the runtime told it.
    pub async fn find(
        &self,
        key: &Key,
        uid: Option<&str>,
        patience: Duration,
    ) -> Result<Arc<PortRecord>, Failure> {
        let look = || {
            let record = self.ports.get(key);
            match judge(record.as_deref(), self.pods.get(key).as_deref(), uid) {
                Verdict::Good => record.map(Ok),
                Verdict::NotYet(_) => None,
                Verdict::Gone(reason) => Some(Err(Failure::PodGone { pod: key.to_string(), reason })),
            }
        };
        // Either cache may bring what is missing.
        let waiting = async {
            tokio::select! {
                found = self.ports.wait_for(|_| look()) => found,
                found = self.pods.wait_for(|_| look()) => found,
            }
        };
        timeout(patience, waiting).await.unwrap_or_else(|_| Err(self.missing(key, uid, patience)))
    }

    fn missing(&self, key: &Key, uid: Option<&str>, waited: Duration) -> Failure {
        let record = self.ports.get(key);
        let reason = match judge(record.as_deref(), self.pods.get(key).as_deref(), uid) {
            Verdict::NotYet(reason) | Verdict::Gone(reason) => reason,
            Verdict::Good => "it arrived just now".to_owned(),
        };
        match record.as_deref().map(|record| &record.content) {
            Some(Content::Nonsense(_)) => Failure::BadRecord { pod: key.to_string(), reason },
            _ => Failure::NoRecord { pod: key.to_string(), reason, waited },
        }
    }
}

fn ports_on(client: &Client, node: &str) -> Cache<PortRecord> {
    let labelled = watcher::Config::default().labels(&format!("{NODE_NAME_LABEL}={node}"));
    Cache::start(client, Api::all, labelled, Box::new(|_| {}))
}

/// `kubelet_uid` is what the runtime says; older ones say nothing, and of a static pod the kubelet knows another uid than the API.
fn judge(record: Option<&PortRecord>, pod: Option<&Pod>, kubelet_uid: Option<&str>) -> Verdict {
    let Some(record) = record else { return without_record(pod, kubelet_uid) };
    if record.deleting {
        return Verdict::NotYet(
            "its KuryrPort is being deleted; the controller makes a new one afterwards".to_owned(),
        );
    }
    let is_static = record.pod_static || pod.is_some_and(|pod| pod.is_static);
    let expected = kubelet_uid.filter(|_| !is_static).or_else(|| pod.map(|pod| &*pod.uid));
    match expected {
        Some(uid) if *uid != *record.pod_uid => {
            let older =
                format!("its KuryrPort is for an earlier pod of the same name (uid {})", record.pod_uid);
            return Verdict::NotYet(older);
        }
        None if !is_static => {
            return Verdict::NotYet("the API server does not list the pod on this node yet".to_owned());
        }
        _ => {}
    }
    match &record.content {
        Content::Nonsense(reason) => Verdict::NotYet(format!("status.vifs is not readable: {reason}")),
        Content::Vifs(vifs) if vifs.is_empty() => Verdict::NotYet(
            "its KuryrPort has no interface yet: see the controller's log and the pod's events".to_owned(),
        ),
        Content::Vifs(_) => Verdict::Good,
    }
}

fn without_record(pod: Option<&Pod>, kubelet_uid: Option<&str>) -> Verdict {
    let the_same = |pod: &Pod| pod.is_static || kubelet_uid.is_none_or(|uid| *uid == *pod.uid);
    match pod {
        Some(pod) if pod.deleting && the_same(pod) => {
            Verdict::Gone("it is being deleted and has no ports".to_owned())
        }
        Some(_) => {
            Verdict::NotYet("it has no KuryrPort: see the controller's log and the pod's events".to_owned())
        }
        None => Verdict::NotYet(
            "the API server lists neither the pod on this node nor a KuryrPort for it".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests;
