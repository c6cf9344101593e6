//! Breaks parts of the lab. What a story breaks is whole again when it ends.

use crate::command;
use crate::stage::Stage;
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs;

/// A part of the lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    name: &'static str,
    node: Option<String>,
}

impl Component {
    /// Kuryr's controller.
    pub const CONTROLLER: Self = Self::central("controller");
    /// Neutron's server.
    pub const NEUTRON: Self = Self::central("neutron");
    /// Octavia's API.
    pub const OCTAVIA: Self = Self::central("octavia");
    /// Keystone.
    pub const KEYSTONE: Self = Self::central("keystone");
    /// The Kubernetes API.
    pub const API_SERVER: Self = Self::central("kube-apiserver");

    const fn central(name: &'static str) -> Self {
        Self { name, node: None }
    }

    /// A part of a node: `daemon`, `kubelet`, `ovsdb`, …; `node` is its power.
    pub fn on(node: &str, name: &'static str) -> Self {
        Self { name, node: Some(node.to_owned()) }
    }
}

impl Stage {
    /// SIGKILL; a node's power goes.
    pub async fn kill(&self, component: &Component) -> Result<()> {
        self.start_at_end(component);
        self.fault("kill", component).await
    }

    /// SIGTERM.
    pub async fn stop(&self, component: &Component) -> Result<()> {
        self.start_at_end(component);
        self.fault("stop", component).await
    }

    /// Starts what was killed or stopped, and waits until it works.
    pub async fn start(&self, component: &Component) -> Result<()> {
        self.fault("start", component).await
    }

    /// Ends Kuryr's controller in an orderly way and starts it again.
    pub async fn restart_controller(&self) -> Result<()> {
        self.lab(["kuryr", "restart", "controller"]).await.map(drop)
    }

    /// Holds a process of the root namespace and its children still, until [`Stage::thaw`].
    pub async fn freeze(&self, component: &Component) -> Result<()> {
        let pids = self.pids(component)?;
        let thawing = pids.clone();
        self.put_back("frozen process", async move { signal("CONT", &thawing).await });
        signal("STOP", &pids).await
    }

    /// Lets it go on.
    pub async fn thaw(&self, component: &Component) -> Result<()> {
        signal("CONT", &self.pids(component)?).await
    }

    /// Runs the lab's own command.
    pub async fn lab<W: Into<OsString>>(&self, words: impl IntoIterator<Item = W>) -> Result<String> {
        lab(self.facts.command().into(), words).await
    }

    /// Runs it when the story ends.
    pub fn lab_at_end(&self, words: Vec<OsString>) {
        let command = self.facts.command().into();
        self.put_back("lab", async move { lab(command, words).await.map(drop) });
    }

    async fn fault(&self, verb: &str, component: &Component) -> Result<()> {
        let node = component.node.as_deref();
        self.lab([verb, component.name].into_iter().chain(node)).await.map(drop)
    }

    /// Starts a part when the story ends, if it does not run then.
    pub fn start_at_end(&self, component: &Component) {
        let words = ["start", component.name].into_iter().chain(component.node.as_deref());
        self.lab_at_end(words.map(Into::into).collect());
    }

    /// What the controller takes, or a node's daemon, in KiB: its part of what it shares (PSS).
    pub async fn memory(&self, component: &Component) -> Result<u64> {
        let text = match &component.node {
            None => fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid(component)?))?,
            // Numbers of processes are a node's own.
            Some(node) => {
                let script = "cat /proc/$(pidof kuryr-daemon)/smaps_rollup";
                self.node(node)?.run(["sh", "-c", script]).await?
            }
        };
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.context("the kernel tells no PSS")?.parse()?)
    }

    fn pids(&self, component: &Component) -> Result<Vec<String>> {
        let pid = self.pid(component)?;
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        Ok([pid.as_str()].into_iter().chain(children.split_whitespace()).map(ToOwned::to_owned).collect())
    }

    fn pid(&self, component: &Component) -> Result<String> {
        let name = if *component == Component::CONTROLLER { "kuryr-controller" } else { component.name };
        let text = fs::read_to_string(self.facts.lab.join(format!("run/pids/{name}.pid")));
        let text = text.with_context(|| format!("{name} does not run"))?;
        Ok(text.split_whitespace().next().context("an empty pid file")?.to_owned())
    }
}

async fn lab<W: Into<OsString>>(command: OsString, words: impl IntoIterator<Item = W>) -> Result<String> {
    command::run([command].into_iter().chain(words.into_iter().map(Into::into)).collect()).await
}

pub(crate) async fn signal(name: &str, pids: &[String]) -> Result<()> {
    let words = ["kill".to_owned(), format!("-{name}")];
    command::run(words.iter().chain(pids).map(Into::into).collect()).await.map(drop)
}
