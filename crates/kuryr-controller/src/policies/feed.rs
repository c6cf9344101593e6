//! From the caches to the index, or from lists of the same objects. Each look takes what the caches say now, so that the order in which
//! changes are told does not matter.

use super::{Policies, Subject, name, translate};
use crate::context::Context;
use crate::ports::Ports;
use ipnet::IpNet;
use kuryr_api::PortId;
use kuryr_core::news::News;
use kuryr_core::policy::Index;
use kuryr_core::policy::model::{self, Family};
use kuryr_core::port::Port;
use kuryr_k8s::Key;
use kuryr_k8s::slim::{EndpointSlice, Namespace, Network, NetworkPolicy, Phase, Pod, PortRecord, Service};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// What an index is filled from.
pub(crate) trait Source {
    /// All namespaces.
    fn namespaces(&self) -> Vec<Arc<Namespace>>;
    /// All pods.
    fn pods(&self) -> Vec<Arc<Pod>>;
    /// All Services.
    fn services(&self) -> Vec<Arc<Service>>;
    /// All policies.
    fn policies(&self) -> Vec<Arc<NetworkPolicy>>;
    /// The slices of a Service.
    fn slices_of(&self, service: &Key) -> Vec<Arc<EndpointSlice>>;
    /// The addresses of a pod.
    fn addresses(&self, pod: &Pod) -> BTreeSet<IpAddr>;
}

/// The caches, and the ports that we know.
struct Followed<'a> {
    context: &'a Context,
    policies: &'a Policies,
}

impl Source for Followed<'_> {
    fn namespaces(&self) -> Vec<Arc<Namespace>> {
        self.context.caches.namespaces.all()
    }

    fn pods(&self) -> Vec<Arc<Pod>> {
        self.context.caches.pods.all()
    }

    fn services(&self) -> Vec<Arc<Service>> {
        self.context.caches.services.all()
    }

    fn policies(&self) -> Vec<Arc<NetworkPolicy>> {
        self.context.caches.policies.all()
    }

    fn slices_of(&self, service: &Key) -> Vec<Arc<EndpointSlice>> {
        self.context.caches.slices_of(service)
    }

    fn addresses(&self, pod: &Pod) -> BTreeSet<IpAddr> {
        let record = self.context.caches.records.get(&pod.key);
        let ports = ports_of(&self.context.ports, pod, record.as_deref());
        let condemned = self.policies.condemned.lock();
        let ports = ports.values().filter(|port| !condemned.contains(&port.id));
        ports.flat_map(|port| &port.addresses).map(|(_, address)| *address).collect()
    }
}

/// An index of all that a source has. Pods have addresses of `families`.
pub(crate) fn index_of(source: &impl Source, families: impl IntoIterator<Item = Family>) -> Index {
    let mut index = Index::new(families);
    for namespace in source.namespaces() {
        index.set_namespace(namespace.key.name(), translate::labels(&namespace.labels));
    }
    for pod in source.pods() {
        feed_pod(source, &mut index, &pod);
    }
    for service in source.services() {
        feed_service(source, &mut index, &service);
    }
    for policy in source.policies() {
        feed_policy(&mut index, &policy);
    }
    index
}

/// The ports of a pod: those that were made for it, and those that its record names.
pub(crate) fn ports_of(ports: &Ports, pod: &Pod, record: Option<&PortRecord>) -> BTreeMap<PortId, Arc<Port>> {
    let record = record.filter(|record| record.pod_uid == pod.uid);
    let named = record.iter().flat_map(|record| record.content.vifs());
    let named = named.filter_map(|(_, entry)| ports.get(&entry.vif.base().id.as_str().into()));
    let made = ports.of(&pod.key, Some(&pod.uid)).into_iter().filter(|port| port.pod_uid == *pod.uid);
    made.chain(named).map(|port| (port.id.clone(), port)).collect()
}

impl Policies {
    /// Fills the index with all that the caches say. Pods have addresses of `families`, and load balancers that hide their clients
    /// those of `balancers`.
    pub(super) fn fill(
        &self,
        context: &Context,
        families: impl IntoIterator<Item = Family>,
        balancers: BTreeSet<IpNet>,
    ) {
        // Held all the time: a change that comes meanwhile waits, and looks at the caches after this has.
        let mut filled = self.index.lock();
        if filled.is_some() {
            return;
        }
        let mut index = index_of(&Followed { context, policies: self }, families);
        index.set_balancers(balancers);
        context.caches.pods.all().iter().for_each(|pod| self.keep_name(pod));
        // All of it is looked at when the first look is over.
        index.take_changes();
        *filled = Some(index);
    }

    /// A pod, its record or its port changed.
    pub fn refresh_pod(&self, context: &Context, key: &Key) {
        self.change(context, |index| {
            if let Some(pod) = context.caches.pods.get(key) {
                self.keep_name(&pod);
                feed_pod(&Followed { context, policies: self }, index, &pod);
            } else {
                self.pods.lock().remove(&name(key));
                index.remove_pod(&name(key));
            }
        });
    }

    /// A namespace changed.
    pub fn refresh_namespace(&self, context: &Context, key: &Key) {
        self.change(context, |index| match context.caches.namespaces.get(key) {
            Some(namespace) => index.set_namespace(key.name(), translate::labels(&namespace.labels)),
            None => index.remove_namespace(key.name()),
        });
    }

    /// A policy changed.
    pub fn refresh_policy(&self, context: &Context, key: &Key) {
        self.change(context, |index| match context.caches.policies.get(key) {
            Some(policy) => feed_policy(index, &policy),
            None => index.remove_policy(&name(key)),
        });
        // Its record and its finalizers are looked after even if what it says is as before.
        self.queue.add(Subject::Policy(name(key)));
    }

    /// A Service or its endpoints changed.
    pub fn refresh_service(&self, context: &Context, key: &Key) {
        self.change(context, |index| match context.caches.services.get(key) {
            Some(service) => feed_service(&Followed { context, policies: self }, index, &service),
            None => index.remove_service(&name(key)),
        });
    }

    /// A node changed.
    pub fn refresh_nodes(&self) {
        self.nodes.notify_one();
    }

    /// Waits for the next change of nodes.
    pub(super) async fn nodes_changed(&self) {
        self.nodes.notified().await;
    }

    /// The addresses of all nodes, as pods see them.
    pub(super) fn set_nodes(&self, context: &Context, addresses: BTreeSet<IpAddr>) {
        self.change(context, |index| index.set_nodes(addresses));
    }

    fn change(&self, context: &Context, change: impl FnOnce(&mut Index)) {
        let changes = {
            let mut index = self.index.lock();
            let Some(index) = index.as_mut() else { return };
            change(index);
            index.take_changes()
        };
        self.spread(context, changes);
    }

    /// Keeps the name of a pod, by which its ports are told whose they are.
    fn keep_name(&self, pod: &Pod) {
        let mut pods = self.pods.lock();
        if has_policies(pod) {
            pods.insert(name(&pod.key), &pod.uid);
        } else {
            pods.remove(&name(&pod.key));
        }
    }
}

/// Whether policies can be for a pod: it has a network of its own, and still lives.
fn has_policies(pod: &Pod) -> bool {
    pod.network == Network::Own && pod.phase != Phase::Finished
}

fn feed_pod(source: &impl Source, index: &mut Index, pod: &Pod) {
    let name = name(&pod.key);
    if !has_policies(pod) {
        return index.remove_pod(&name);
    }
    let content = model::Pod {
        labels: translate::labels(&pod.labels),
        addresses: source.addresses(pod).into_iter().collect(),
        ports: translate::named_ports(&pod.ports),
    };
    index.set_pod(&name, content);
}

/// The addresses of one that is being deleted are soon another one's.
fn feed_service(source: &impl Source, index: &mut Index, service: &Service) {
    let name = name(&service.key);
    if service.deleting {
        return index.remove_service(&name);
    }
    index.set_service(&name, translate::service(service, &source.slices_of(&service.key)));
}

/// What can't be read of a policy allows nothing; its owner is told when it is looked at.
fn feed_policy(index: &mut Index, policy: &NetworkPolicy) {
    let name = name(&policy.key);
    if policy.deleting {
        return index.remove_policy(&name);
    }
    index.set_policy(&name, &Arc::new(translate::policy(&policy.spec).0));
}

/// What a policy's owner should know of what it says.
pub fn unreadable(spec: &k8s_openapi::api::networking::v1::NetworkPolicySpec) -> Option<News> {
    let complaints = translate::policy(spec).1;
    (!complaints.is_empty()).then(|| {
        let all = complaints.join("; ");
        News::warning(
            "NetworkPolicyUnreadable",
            format!("{all}. Kuryr allows nothing by that part; correct it."),
        )
    })
}
