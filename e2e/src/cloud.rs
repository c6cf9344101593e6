//! OpenStack, as Kuryr's user and as the administrator, and what Kuryr made in Neutron.

use crate::facts::{Account, Facts};
use crate::pod::RunningPod;
use crate::stage::Stage;
use crate::wait::{seconds, until};
use anyhow::{Context, Result, ensure};
use kuryr_api::PortId;
use kuryr_api::cloud::{Auth, Domain, Project, Scope, Secret, User};
use kuryr_api::names::DEVICE_OWNER;
use kuryr_openstack::neutron::{Neutron, NewPort, Port, PortFilter, PortStatus};
use kuryr_openstack::{Octavia, Session, Settings};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The cloud's administrator.
pub struct AsAdmin(Neutron);

impl AsAdmin {
    /// Signs in.
    pub fn new(facts: &Facts) -> Result<Self> {
        Ok(Self(Neutron::new(session(facts, &facts.openstack.admin)?)))
    }

    pub(crate) fn session(&self) -> &Session {
        self.0.session()
    }

    /// How many ports the project of the pods may have; below zero: as many as it likes.
    pub async fn set_port_quota(&self, facts: &Facts, ports: i64) -> Result<()> {
        let project = facts.openstack.project_id.as_str().into();
        self.0.set_port_quota(&project, ports).await.context("failed to set the quota")
    }
}

impl Stage {
    /// All ports that a Kuryr made.
    pub async fn kuryr_ports(&self) -> Result<Vec<Port>> {
        let filter = PortFilter { device_owner: Some(DEVICE_OWNER.to_owned()), ..PortFilter::default() };
        Ok(self.neutron.ports(&filter).await?)
    }

    /// Those of them that were not there before the story.
    pub async fn kuryr_ports_since(&self) -> Result<Vec<Port>> {
        let mut ports = self.kuryr_ports().await?;
        ports.retain(|port| !self.was_there(port.id.as_str()));
        Ok(ports)
    }

    /// The ports that were made for a pod.
    pub async fn ports_of(&self, uid: &str) -> Result<Vec<Port>> {
        let filter = PortFilter { device_ids: Some(vec![uid.to_owned()]), ..PortFilter::default() };
        Ok(self.neutron.ports(&filter).await?)
    }

    /// The one port of a pod, seen to be ACTIVE and to be what the pod says of itself.
    pub async fn port_of(&self, pod: &RunningPod) -> Result<Port> {
        until(&format!("pod {} has its port", pod.name), seconds(20), async || {
            let mut ports = self.ports_of(&pod.uid).await?;
            ensure!(ports.len() == 1, "it has {} ports", ports.len());
            let port = ports.remove(0);
            self.compare(&port, pod)?;
            Ok(port)
        })
        .await
    }

    /// Sees that each of these pods has exactly one port, and that no other pod of this namespace left one.
    ///
    /// What a killed controller had asked for is found by the new one's second or third look, at the latest 45 s after its start.
    pub async fn ports_of_all(&self, pods: &[RunningPod]) -> Result<()> {
        until("every pod has exactly its port", seconds(60), async || {
            let ports = self.kuryr_ports().await?;
            for pod in pods {
                let mut its = ports.iter().filter(|port| port.device_id == pod.uid);
                let port = its.next().with_context(|| format!("pod {} has no port", pod.name))?;
                ensure!(its.next().is_none(), "pod {} has several ports", pod.name);
                self.compare(port, pod)?;
            }
            let known: BTreeSet<_> = pods.iter().map(|pod| pod.uid.as_str()).collect();
            let extra = ports.iter().find(|port| !known.contains(port.device_id.as_str()));
            let extra = extra.filter(|port| !self.was_there(port.id.as_str()));
            ensure!(extra.is_none(), "nobody has port {:?}", extra.map(|port| (&port.id, &port.device_id)));
            Ok(())
        })
        .await
    }

    fn compare(&self, port: &Port, pod: &RunningPod) -> Result<()> {
        let cloud = &self.facts.openstack;
        let addresses: BTreeSet<IpAddr> = port.fixed_ips.iter().map(|ip| ip.ip_address).collect();
        let is_its = addresses == BTreeSet::from([pod.v4, pod.v6]);
        ensure!(is_its, "pod {} has {}, {}; its port {addresses:?}", pod.name, pod.v4, pod.v6);
        ensure!(port.status == PortStatus::Active, "port {} of {} is {:?}", port.id, pod.name, port.status);
        ensure!(port.host == pod.node, "port {} is bound to {}", port.id, port.host);
        ensure!(port.device_owner == DEVICE_OWNER, "port {} is of {}", port.id, port.device_owner);
        ensure!(port.tags.contains(&self.own_tag), "port {} has tags {:?}", port.id, port.tags);
        let groups = std::slice::from_ref(&cloud.security_group.id);
        ensure!(port.security_groups == groups, "port {} has groups {:?}", port.id, port.security_groups);
        Ok(())
    }

    /// Makes a port that is no pod's, as `owner` with these tags. It goes when the story ends.
    pub async fn strange_port(&self, owner: &str, device: &str, tags: Vec<String>) -> Result<Port> {
        let cloud = &self.facts.openstack;
        let port = NewPort {
            device_owner: owner.to_owned(),
            device_id: device.to_owned(),
            security_groups: Some(vec![cloud.security_group.id.clone()]),
            tags,
            ..NewPort::on(cloud.pod_network.id.clone())
        };
        let port = self.neutron.create_port(&port).await?;
        let (neutron, id) = (self.neutron.clone(), port.id.clone());
        self.put_back("port", async move { Ok(neutron.delete_port(&id).await.map(drop)?) });
        Ok(port)
    }

    /// Whether a port exists.
    pub async fn port_exists(&self, id: &PortId) -> Result<bool> {
        let filter = PortFilter { ids: Some(vec![id.clone()]), ..PortFilter::default() };
        Ok(!self.neutron.ports(&filter).await?.is_empty())
    }
}

impl Facts {
    /// Neutron, as Kuryr's user.
    pub fn neutron(&self) -> Result<Neutron> {
        neutron(self)
    }
}

pub(crate) fn neutron(facts: &Facts) -> Result<Neutron> {
    Ok(Neutron::new(session(facts, &facts.openstack.kuryr)?))
}

pub(crate) fn octavia(facts: &Facts) -> Result<Octavia> {
    Ok(Octavia::new(session(facts, &facts.openstack.kuryr)?))
}

fn session(facts: &Facts, account: &Account) -> Result<Session> {
    let domain = || Domain::Name(facts.openstack.domain.clone());
    let auth = Auth::Password {
        user: User::Name(account.user.clone(), domain()),
        password: Secret::new(account.password.as_str()),
        scope: Scope::Project(Project::Name(account.project.clone(), domain())),
    };
    Ok(Session::open(Settings::new(&facts.openstack.keystone, auth))?)
}
