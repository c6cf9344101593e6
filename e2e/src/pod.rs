//! Pods of a story: making them and waiting for them.

use crate::stage::Stage;
use crate::wait::{seconds, until};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, PostParams, ResourceExt};
use kuryr_api::names::PORTS_RESOURCE;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// On the lab's two cores a pod starts in 2 s, a crowd in less than this.
pub(crate) const STARTED_WITHIN: Duration = seconds(60);

/// A pod to be made.
pub struct NewPod<'s> {
    stage: &'s Stage,
    object: Value,
}

/// A pod whose containers are ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningPod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its node.
    pub node: String,
    /// Its IPv4 address.
    pub v4: IpAddr,
    /// Its IPv6 address.
    pub v6: IpAddr,
}

impl NewPod<'_> {
    /// On that node, where the scheduler puts it.
    #[must_use]
    pub fn on(self, node: &str) -> Self {
        self.with("nodeSelector", json!({ "kubernetes.io/hostname": node }))
    }

    /// It answers over HTTP and UDP, and the kubelet's probe has to get through before it is ready.
    #[must_use]
    pub fn serving(self) -> Self {
        let containers = serving(self.stage.facts.image("agnhost"));
        self.with("containers", containers)
    }

    /// It answers over HTTP at this port, and over UDP at 8081.
    #[must_use]
    pub fn serving_at(self, port: u16) -> Self {
        let containers = serving_at(self.stage.facts.image("agnhost"), port);
        self.with("containers", containers)
    }

    /// It has the label that the pods of a Deployment of this name have.
    #[must_use]
    pub fn like_those_of(self, app: &str) -> Self {
        self.with_metadata("labels", json!({ "app": app }))
    }

    /// It runs a shell script, in the image of agnhost.
    #[must_use]
    pub fn running(self, words: &[&str]) -> Self {
        let containers = json!([container(self.stage.facts.image("agnhost"), json!({ "args": words }))]);
        self.with("containers", containers)
    }

    /// In another namespace than the story's own.
    #[must_use]
    pub fn within(self, namespace: &str) -> Self {
        self.with_metadata("namespace", json!(namespace))
    }

    /// Sets a field of the spec.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.object["spec"][field] = value;
        self
    }

    /// Sets a field of the metadata.
    #[must_use]
    pub fn with_metadata(mut self, field: &str, value: Value) -> Self {
        self.object["metadata"][field] = value;
        self
    }

    /// The object, as YAML and JSON readers take it.
    pub fn manifest(&self) -> Value {
        self.object.clone()
    }

    /// How many ports the API server would have its first container ask for, in requests and in limits.
    pub async fn asked_ports(&self) -> Result<Vec<String>> {
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let pod = self.stage.api::<Pod>().create(&dry, &serde_json::from_value(self.manifest())?).await?;
        let container =
            pod.spec.and_then(|spec| spec.containers.into_iter().next()).context("no container")?;
        let resources = container.resources.unwrap_or_default();
        let amounts = [resources.requests, resources.limits].into_iter().flatten();
        Ok(amounts.filter_map(|amounts| amounts.get(PORTS_RESOURCE).map(|amount| amount.0.clone())).collect())
    }

    /// Waits until it would ask for one port.
    pub async fn asks_for_a_port(&self) -> Result<()> {
        until("the policy is in force", seconds(30), async || {
            let asked = self.asked_ports().await?;
            ensure!(asked == ["1", "1"], "it asks for {asked:?}");
            Ok(())
        })
        .await
    }

    /// Makes it.
    pub async fn create(self) -> Result<Pod> {
        let pod: Pod = serde_json::from_value(self.object)?;
        let namespace = pod.namespace().unwrap_or_else(|| self.stage.namespace.clone());
        let pods = Api::<Pod>::namespaced(self.stage.kube.clone(), &namespace);
        Ok(pods.create(&PostParams::default(), &pod).await?)
    }

    /// Makes it and waits until it is ready.
    pub async fn start(self) -> Result<RunningPod> {
        let stage = self.stage;
        let pod = self.create().await?;
        stage.ready_in(&pod.namespace().unwrap_or_default(), &pod.name_any()).await
    }
}

impl RunningPod {
    fn read(pod: &Pod) -> Result<Self> {
        let status = pod.status.as_ref().context("it has no status")?;
        let mut conditions = status.conditions.iter().flatten();
        let is_ready = conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True");
        ensure!(is_ready, "it is {}", status.phase.as_deref().unwrap_or("nowhere"));
        let ips =
            status.pod_ips.iter().flatten().map(|ip| Ok(ip.ip.parse()?)).collect::<Result<Vec<IpAddr>>>()?;
        let of_family =
            |v6: bool| ips.iter().copied().find(|ip| ip.is_ipv6() == v6).context("an address is missing");
        Ok(Self {
            namespace: pod.namespace().unwrap_or_default(),
            name: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
            v4: of_family(false)?,
            v6: of_family(true)?,
        })
    }

    /// Namespace and name, with a slash.
    pub fn path(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The page that `path` names on its server.
    pub fn url(&self, address: IpAddr, path: &str) -> String {
        format!("http://{}/{path}", SocketAddr::new(address, 8080))
    }
}

impl Stage {
    /// A pod that does nothing, unless it is told more.
    pub fn pod(&self, name: &str) -> NewPod<'_> {
        NewPod { stage: self, object: pod(name, &json!([container(self.facts.image("pause"), json!({}))])) }
    }

    /// Waits until a pod is ready.
    pub async fn ready(&self, name: &str) -> Result<RunningPod> {
        self.ready_in(&self.namespace, name).await
    }

    async fn ready_in(&self, namespace: &str, name: &str) -> Result<RunningPod> {
        let pods = Api::<Pod>::namespaced(self.kube.clone(), namespace);
        let look = async || {
            let pod = pods.get(name).await?;
            ensure!(pod.metadata.deletion_timestamp.is_none(), "it is being deleted");
            RunningPod::read(&pod)
        };
        until(&format!("pod {name} is ready"), STARTED_WITHIN, look).await
    }

    /// The pods with this label, once there are exactly so many and all are ready.
    pub async fn all_ready(&self, app: &str, count: usize, within: Duration) -> Result<Vec<RunningPod>> {
        let params = ListParams::default().labels(&format!("app={app}"));
        until(&format!("{count} pods of {app} are ready"), within, async || {
            let pods = self.api::<Pod>().list(&params).await?.items;
            let living = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
            let ready: Vec<_> = living.flat_map(RunningPod::read).collect();
            ensure!(ready.len() == count && pods.len() == count, "{} of {} are", ready.len(), pods.len());
            Ok(ready)
        })
        .await
    }

    /// The pods of this story that are ready now.
    pub async fn ready_now(&self) -> Result<Vec<RunningPod>> {
        let pods = self.api::<Pod>().list(&ListParams::default()).await?;
        let living = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(living.flat_map(RunningPod::read).collect())
    }

    /// Deletes a pod, with its own grace.
    pub async fn delete_pod(&self, name: &str) -> Result<()> {
        self.api::<Pod>().delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Deletes a pod at once, without asking its node.
    pub async fn force_delete_pod(&self, name: &str) -> Result<()> {
        self.api::<Pod>().delete(name, &DeleteParams::default().grace_period(0)).await?;
        Ok(())
    }

    /// Waits until there is no pod of that name, or only one of another uid.
    pub async fn gone(&self, name: &str, uid: &str) -> Result<()> {
        let pods: Api<Pod> = self.api();
        until(&format!("pod {name} is gone"), seconds(60), async || {
            let found = pods.get_opt(name).await?;
            ensure!(found.and_then(|pod| pod.uid()).as_deref() != Some(uid), "it is there");
            Ok(())
        })
        .await
    }

    /// Waits until a pod is in that phase.
    pub async fn phase(&self, name: &str, phase: &str) -> Result<Pod> {
        until(&format!("pod {name} is {phase}"), STARTED_WITHIN, async || {
            let pod = self.api::<Pod>().get(name).await?;
            let now = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
            ensure!(now == phase, "it is {now}");
            Ok(pod)
        })
        .await
    }
}

/// A pod of these containers. It has nothing to mount, so that its network is what it waits for.
pub(crate) fn pod(name: &str, containers: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name },
        "spec": {
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 1,
            "containers": containers,
        },
    })
}

pub(crate) fn container(image: &str, more: Value) -> Value {
    let mut container = json!({ "name": "main", "image": image, "imagePullPolicy": "IfNotPresent" });
    if let (Some(container), Value::Object(more)) = (container.as_object_mut(), more) {
        container.extend(more);
    }
    container
}

pub(crate) fn serving(image: &str) -> Value {
    serving_at(image, 8080)
}

fn serving_at(image: &str, port: u16) -> Value {
    let probe =
        json!({ "httpGet": { "path": "/hostname", "port": port }, "periodSeconds": 1, "timeoutSeconds": 3 });
    json!([container(
        image,
        json!({
            "args": ["netexec", format!("--http-port={port}")],
            "ports": [
                { "name": "http", "containerPort": port },
                { "name": "datagrams", "containerPort": 8081, "protocol": "UDP" },
            ],
            "readinessProbe": probe,
        })
    )])
}
