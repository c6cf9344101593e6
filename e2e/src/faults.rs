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

    /// Holds a process in the root namespace still, until [`Stage::thaw`].
    pub async fn freeze(&self, component: &Component) -> Result<()> {
        let pid = self.pid(component)?;
        self.put_back("frozen process", async move { signal("CONT", pid).await });
        signal("STOP", pid).await
    }

    /// Lets it go on.
    pub async fn thaw(&self, component: &Component) -> Result<()> {
        signal("CONT", self.pid(component)?).await
    }

    /// Runs the lab's own command.
    pub async fn lab<W: Into<OsString>>(&self, words: impl IntoIterator<Item = W>) -> Result<String> {
        lab(self.facts.command().into(), words).await
    }

    async fn fault(&self, verb: &str, component: &Component) -> Result<()> {
        let node = component.node.as_deref();
        self.lab([verb, component.name].into_iter().chain(node)).await.map(drop)
    }

    fn start_at_end(&self, component: &Component) {
        let words: Vec<OsString> =
            ["start", component.name].into_iter().chain(component.node.as_deref()).map(Into::into).collect();
        let command = self.facts.command().into();
        self.put_back(component.name, async move { lab(command, words).await.map(drop) });
    }

    fn pid(&self, component: &Component) -> Result<u32> {
        let name = if component.name == "controller" { "kuryr-controller" } else { component.name };
        let path = self.facts.lab.join(format!("run/pids/{name}.pid"));
        let text = fs::read_to_string(&path).with_context(|| format!("{name} does not run"))?;
        let pid = text.split_whitespace().next().context("an empty pid file")?;
        Ok(pid.parse()?)
    }
}

async fn lab<W: Into<OsString>>(command: OsString, words: impl IntoIterator<Item = W>) -> Result<String> {
    command::run([command].into_iter().chain(words.into_iter().map(Into::into)).collect()).await
}

async fn signal(name: &str, pid: u32) -> Result<()> {
    let words = ["kill", &format!("-{name}"), &pid.to_string()];
    command::run(words.iter().map(Into::into).collect()).await.map(drop)
}
