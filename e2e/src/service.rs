//! Services of a story: making them, changing them, and waiting until Kuryr serves them.

use crate::stage::Stage;
use crate::wait::{seconds, until};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Event, Service};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, ResourceExt};
use kuryr_api::load_balancer::KuryrLoadBalancerStatus;
use kuryr_api::names::SERVICE_FINALIZER;
use kuryr_api::{KuryrLoadBalancer, LoadBalancerId};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Who tells, as Events have it.
const CONTROLLER: &str = "kuryr-controller";

/// A load balancer with two ports takes 5 s on the lab's two cores.
const SERVED_WITHIN: Duration = seconds(30);

/// A Service to be made.
pub struct NewService<'s> {
    stage: &'s Stage,
    object: Value,
}

/// A Service that Kuryr serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningService {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its cluster IP.
    pub address: IpAddr,
    /// Its load balancer.
    pub balancer: LoadBalancerId,
}

impl NewService<'_> {
    /// It has these ports, as its manifest writes them.
    #[must_use]
    pub fn ports(self, ports: Value) -> Self {
        self.with("ports", ports)
    }

    /// Sets a field of the spec; null takes it away.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.object["spec"][field] = value;
        self
    }

    /// Makes it.
    pub async fn create(self) -> Result<Service> {
        let service = serde_json::from_value(self.object)?;
        Ok(self.stage.api::<Service>().create(&PostParams::default(), &service).await?)
    }

    /// Makes it and waits until Kuryr serves it.
    pub async fn start(self) -> Result<RunningService> {
        let stage = self.stage;
        let service = self.create().await?;
        stage.served(&service.name_any()).await
    }
}

impl RunningService {
    /// A port of it.
    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, port)
    }

    /// Namespace and name, with a slash.
    pub fn path(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl Stage {
    /// A Service of the pods that a Deployment of the same name has: its port 80 is theirs that is called `http`.
    pub fn service(&self, name: &str) -> NewService<'_> {
        let ports = json!([{ "name": "http", "port": 80, "targetPort": "http" }]);
        let object = json!({
            "metadata": { "name": name },
            "spec": { "selector": { "app": name }, "ports": ports },
        });
        NewService { stage: self, object }
    }

    /// Waits until Kuryr serves a Service as it is now: one load balancer, a listener for each of its ports, all recorded.
    pub async fn served(&self, name: &str) -> Result<RunningService> {
        until(&format!("Service {name} is served"), SERVED_WITHIN, async || {
            let service = self.api::<Service>().get(name).await?;
            ensure!(is_held(&service), "Kuryr does not hold it");
            let record = self.api::<KuryrLoadBalancer>().get(name).await?.status.unwrap_or_default();
            let (recorded, wanted) = (recorded_fronts(&record), fronts(&service));
            ensure!(recorded == wanted, "it is recorded for {recorded:?}, not {wanted:?}");
            let spec = service.spec.as_ref().context("it has no spec")?;
            let address = spec.cluster_ip.as_deref().unwrap_or_default();
            let running = RunningService {
                namespace: self.namespace.clone(),
                name: name.to_owned(),
                uid: service.uid().unwrap_or_default(),
                address: address.parse().with_context(|| format!("its address is {address:?}"))?,
                balancer: record.loadbalancer.context("no load balancer is recorded")?.id.into(),
            };
            self.balances(&running, &wanted).await?;
            Ok(running)
        })
        .await
    }

    /// Waits until nothing is left of a Service and of what it had.
    pub async fn unserved(&self, service: &RunningService) -> Result<()> {
        until(&format!("Service {} is gone", service.name), SERVED_WITHIN, async || {
            let found = self.api::<Service>().get_opt(&service.name).await?;
            let is_there = found.and_then(|found| found.uid()).as_deref() == Some(service.uid.as_str());
            ensure!(!is_there, "it is there");
            self.let_go(service).await
        })
        .await
    }

    /// Waits until Kuryr has let a Service go that may well still exist.
    pub async fn released(&self, service: &RunningService) -> Result<()> {
        until(&format!("Service {} is let go", service.name), SERVED_WITHIN, async || {
            let found = self.api::<Service>().get_opt(&service.name).await?;
            ensure!(found.is_none_or(|found| !is_held(&found)), "Kuryr holds it");
            let record = self.api::<KuryrLoadBalancer>().get_opt(&service.name).await?;
            ensure!(record.is_none(), "its record is there");
            self.let_go(service).await
        })
        .await
    }

    async fn let_go(&self, service: &RunningService) -> Result<()> {
        let left = self.balancers_at(service.address).await?;
        ensure!(left.iter().all(|one| one.id != service.balancer), "its load balancer is there: {left:?}");
        Ok(())
    }

    /// Changes fields of a Service's spec; null takes one away.
    pub async fn change_service(&self, name: &str, spec: Value) -> Result<()> {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.api::<Service>().patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Deletes a Service. Kuryr may hold it for a while.
    pub async fn delete_service(&self, name: &str) -> Result<()> {
        self.api::<Service>().delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// The reasons of what Kuryr told about a Service, each time that it was told. Kubernetes has things to tell as well: its repair of
    /// cluster IPs warns of one that it has just given to the next Service.
    pub async fn told_about(&self, name: &str) -> Result<Vec<String>> {
        let about = format!("involvedObject.kind=Service,involvedObject.name={name}");
        let events = self.api::<Event>().list(&ListParams::default().fields(&about)).await?.items;
        let ours =
            events.into_iter().filter(|event| event.reporting_component.as_deref() == Some(CONTROLLER));
        Ok(ours.map(|event| event.reason.unwrap_or_default()).collect())
    }
}

/// Whether Kuryr's finalizer is on it.
pub(crate) fn is_held(service: &Service) -> bool {
    service.finalizers().iter().any(|one| one == SERVICE_FINALIZER)
}

/// Where clients connect to, `TCP:80`.
fn fronts(service: &Service) -> BTreeSet<String> {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    ports.map(|one| format!("{}:{}", one.protocol.as_deref().unwrap_or("TCP"), one.port)).collect()
}

fn recorded_fronts(record: &KuryrLoadBalancerStatus) -> BTreeSet<String> {
    let listeners = record.listeners.iter().flatten();
    listeners.map(|one| format!("{}:{}", one.protocol, one.port)).collect()
}
