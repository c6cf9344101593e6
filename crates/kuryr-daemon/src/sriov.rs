//! Virtual functions of the node's network cards that pods have: which there are, and putting them back as they were.
//!
//! ```text
//!   kubelet (pod_resources) ── which device is whose ─┐
//!   /sys (pci)              ── its card, its driver ──┼─► plug::sriov takes it ──► ledger: what it was before, and for whom
//!                                                     │                                      │
//!                                                     └────────── give_back ◄── DEL, GC, the sweep, the next pod
//! ```
//!
//! The link of a virtual function whose pod goes with its namespace is given back to the host by the kernel, under the name that it had
//! in the pod or another one, and with the pod's MAC address. The card keeps the VLAN. What it was before stands in the ledger.

pub mod pci;
pub mod pod_resources;
pub mod taken;

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
};

use kuryr_api::names;
use kuryr_cni::Command;
use kuryr_config::Config;
use kuryr_k8s::Key;
use kuryr_net::{Link, LinkChange, Netlink, PciAddress};

use self::{
    pci::Bus,
    taken::{Form, Taken, WasLink},
};
use crate::{
    failure::{Chain, Failure},
    ledger::{Held, Ledger},
    node::Node,
    sandbox::Sandbox,
};

/// Where the kubelet serves its API, below its root.
const SOCKET: &str = "pod-resources/kubelet.sock";
/// It is the node's, and emptied when the node starts, as are the virtual functions.
const LEDGER: &str = "/run/kuryr/sriov";

/// What the configuration says about virtual functions.
#[derive(Debug, Clone)]
pub struct SriovSettings {
    /// The kubelet's `PodResources` API, if it may be asked.
    pub kubelet: Option<PathBuf>,
    /// Resource of each physical network, with its prefix.
    pub resources: BTreeMap<String, String>,
    /// Driver that devices of a resource are to have.
    pub drivers: BTreeMap<String, String>,
    /// The devices.
    pub bus: Bus,
    /// What pods have.
    pub ledger: Ledger<Taken>,
}

/// What became of a virtual function that is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returned {
    /// It is as it was before.
    Home,
    /// Its link is nowhere to be seen: the kernel is still taking its namespace apart. It stays in the ledger.
    Away,
}

impl SriovSettings {
    /// Takes the settings from a configuration.
    pub fn new(config: &Config) -> Self {
        let options = &config.sriov;
        let named =
            |resource: &String| names::device_resource(&options.device_plugin_resource_prefix, resource);
        let resources = options.physnet_resource_mappings.iter();
        let drivers = options.resource_driver_mappings.iter();
        Self {
            kubelet: options.enable_pod_resource_service.then(|| options.kubelet_root_dir.join(SOCKET)),
            resources: resources.map(|(physnet, resource)| (physnet.clone(), named(resource))).collect(),
            drivers: drivers.map(|(resource, driver)| (named(resource), driver.clone())).collect(),
            bus: Bus::new(Path::new("/sys")),
            ledger: Ledger::new(LEDGER.into()),
        }
    }
}

impl Node {
    /// What keeps pods from getting virtual functions, if anything does.
    pub async fn functions_trouble(&self) -> Option<String> {
        let Some(socket) = &self.plug.sriov.kubelet else {
            return Some(
                "[sriov] enable_pod_resource_service is off, so that nobody tells which virtual function a pod has".to_owned(),
            );
        };
        pod_resources::reach(socket).await.err().map(|error| Chain(&error).to_string())
    }

    /// The virtual functions that a sandbox has.
    pub fn functions_of(&self, sandbox: &Sandbox) -> Result<Vec<Held<Taken>>, Failure> {
        let mut held = self.plug.sriov.ledger.all()?;
        held.retain(|held| held.taken.sandbox == sandbox.id.as_str());
        Ok(held)
    }

    /// Gives back what a sandbox has. Tells how many virtual functions that were.
    pub async fn free_functions(&self, sandbox: &Sandbox) -> Result<usize, Failure> {
        let held = self.functions_of(sandbox)?;
        self.give_all_back(&held).await?;
        Ok(held.len())
    }

    /// Gives back what sandboxes have that are not among these.
    pub async fn free_unknown_functions(&self, known: &HashSet<&str>) -> Result<(), Failure> {
        self.free_in_turn(|held| !known.contains(held.taken.sandbox.as_str())).await.map(drop)
    }

    /// Gives back, each in its pod's turn, all of which that is so, and still so then. Tells how many that were.
    pub async fn free_in_turn(&self, is_left: impl Fn(&Held<Taken>) -> bool) -> Result<usize, Failure> {
        let (mut count, mut failures) = (0, Vec::new());
        for held in self.plug.sriov.ledger.all()?.into_iter().filter(is_left) {
            let Ok(sandbox) = held.taken.sandbox.parse() else { continue };
            let (namespace, name) = held.taken.pod.split_once('/').unwrap_or_default();
            let _turn = self.turns.take(&Key::new(namespace, name), Command::Gc, &sandbox).await;
            // Meanwhile its pod may have gone, or have it in a newer sandbox.
            if self.plug.sriov.ledger.get(&held.device)?.as_ref() != Some(&held.taken) {
                continue;
            }
            match self.give_back(&held).await {
                Ok(Returned::Home) => count += 1,
                Ok(Returned::Away) => {}
                Err(failure) => failures.push(failure),
            }
        }
        Failure::of_all(failures).map(|()| count)
    }

    async fn give_all_back(&self, all: &[Held<Taken>]) -> Result<(), Failure> {
        let mut failures = Vec::new();
        for held in all {
            match self.give_back(held).await {
                Ok(Returned::Home) => {}
                Ok(Returned::Away) => {
                    tracing::info!(device = %held.device, pod = held.taken.pod, "the kernel has not given the link back yet");
                }
                Err(failure) => failures.push(failure),
            }
        }
        Failure::of_all(failures)
    }

    /// Puts a virtual function back as it was before a pod had it. May be repeated.
    pub async fn give_back(&self, held: &Held<Taken>) -> Result<Returned, Failure> {
        let Held { device, taken } = held;
        let (bus, ledger) = (&self.plug.sriov.bus, &self.plug.sriov.ledger);
        let host = self.host.netlink().await?;
        let mut returned = Returned::Home;
        if bus.is_there(device) {
            match (&taken.was.driver, &taken.was.link) {
                // Its link goes with the driver, wherever it is.
                (Some(driver), _) => {
                    let (bus, device, driver) = (bus.clone(), device.clone(), driver.clone());
                    self.in_background(move || Ok(bus.give_back(&device, &driver)?)).await?;
                }
                (None, Some(was)) => returned = self.bring_home(held, was, &host).await?,
                (None, None) => {}
            }
            self.reset(held, &host).await;
        }
        if returned == Returned::Home {
            ledger.remove(device)?;
            tracing::info!(%device, pod = taken.pod, port = taken.port, "gave a virtual function back");
        }
        Ok(returned)
    }

    async fn bring_home(
        &self,
        held: &Held<Taken>,
        was: &WasLink,
        host: &Netlink,
    ) -> Result<Returned, Failure> {
        let change = LinkChange { namespace: None, name: &was.name, mac: was.mac()?, mtu: was.mtu };
        if let Some(link) = on_host(&self.plug.sriov.bus, &held.device, host).await? {
            if (link.name.as_str(), link.mac, link.mtu) != (change.name, Some(change.mac), change.mtu) {
                host.set_down(link.index).await?;
                host.change(link.index, &change).await?;
            }
            return Ok(Returned::Home);
        }
        let namespace = match self.netns.open(&held.taken.netns, self.host.id()) {
            // The file leads to the host's own by now: the sandbox's is gone.
            Ok(None) | Err(Failure::Namespace { .. }) => return Ok(Returned::Away),
            Ok(Some(namespace)) => namespace,
            Err(failure) => return Err(failure),
        };
        let inside = namespace.netlink().await?;
        let Some(link) = in_pod(held, &inside).await? else { return Ok(Returned::Away) };
        inside.change(link.index, &LinkChange { namespace: Some(&self.host), ..change }).await?;
        Ok(Returned::Home)
    }

    /// Sets the virtual function on its card as it was. What the card refuses is for the next pod to set otherwise.
    async fn reset(&self, held: &Held<Taken>, host: &Netlink) {
        let reset = async {
            let Some(was) = &held.taken.was.function else { return Ok(()) };
            let physical = self.plug.sriov.bus.physical(&held.device)?;
            let Some(card) = host.link(&physical.link).await? else { return Ok(()) };
            let wanted = was.function()?;
            if host.function(&card, physical.number).await? != Some(wanted) {
                host.set_function(&card, physical.number, wanted).await?;
            }
            Ok::<_, Failure>(())
        };
        if let Err(failure) = reset.await {
            tracing::warn!(device = %held.device, error = %Chain(&failure), "could not reset a virtual function on its card");
        }
    }

    /// What of a sandbox's virtual functions is not as ADD left it.
    pub async fn check_functions(&self, all: &[Held<Taken>]) -> Result<Vec<String>, Failure> {
        let (bus, host) = (&self.plug.sriov.bus, self.host.netlink().await?);
        let mut differences = Vec::new();
        for Held { device, taken } in all {
            if !bus.is_there(device) {
                differences.push(format!("the virtual function {device} is gone"));
                continue;
            }
            if let (Form::Device(wanted), driver) = (&taken.form, bus.driver(device)?)
                && driver.as_ref() != Some(wanted)
            {
                let driver = driver.unwrap_or_else(|| "none".to_owned());
                differences.push(format!("the driver of {device} is {driver} instead of {wanted}"));
            }
            let physical = bus.physical(device)?;
            let Some(card) = host.link(&physical.link).await? else { continue };
            let function = host.function(&card, physical.number).await?;
            if let Some(mac) =
                function.map(|function| function.mac.to_string()).filter(|mac| *mac != taken.mac)
            {
                differences.push(format!(
                    "virtual function {} of {} has MAC address {mac} instead of {}",
                    physical.number, physical.link, taken.mac
                ));
            }
        }
        Ok(differences)
    }
}

/// The link of a virtual function, if it is on the host.
pub(crate) async fn on_host(
    bus: &Bus,
    address: &PciAddress,
    host: &Netlink,
) -> Result<Option<Link>, Failure> {
    match bus.link(address)? {
        Some(name) => Ok(host.link(&name).await?),
        None => Ok(None),
    }
}

/// The pod may have renamed it, or given it another MAC address.
async fn in_pod(held: &Held<Taken>, inside: &Netlink) -> Result<Option<Link>, Failure> {
    let links = inside.links().await?;
    let has_mac = |link: &&Link| link.mac.is_some_and(|mac| mac.to_string() == held.taken.mac);
    let found =
        links.iter().find(has_mac).or_else(|| links.iter().find(|link| link.name == held.taken.ifname));
    Ok(found.cloned())
}
