//! A second controller beside the lab's own, which the story starts and ends itself.

use crate::faults::signal;
use crate::scrape::Counters;
use crate::stage::Stage;
use crate::wait::{PERIOD, seconds, until};
use anyhow::{Context, Result, ensure};
use kuryr_api::SubnetId;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How it differs from the lab's own: where it reaches its servers, and what it keeps ready.
#[derive(Debug, Clone, Default)]
pub struct Instead {
    /// Neutron.
    pub neutron: Option<String>,
    /// The Kubernetes API.
    pub kubernetes: Option<String>,
    /// It keeps ports ready for pods to come, on nodes of either kind, in batches of so many.
    pub pools: Option<usize>,
    /// Its pools can be looked after by this socket.
    pub socket: Option<PathBuf>,
    /// Pods have their addresses from these subnets, and Services are nobody's business.
    pub pod_subnets: Vec<SubnetId>,
}

/// A controller with ports of its own. It ends with this value.
pub struct Controller {
    child: Child,
    http: reqwest::Client,
}

/// Beside those of the lab's own.
const HEALTH_PORT: u16 = 18082;
const METRICS_PORT: u16 = 19654;
/// `kubectl proxy`: the API over plain HTTP.
const PLAIN_PORT: u16 = 18001;

/// By this variable and its own folder the lab knows what it ends when it goes down: a test that is killed ends nothing.
const OWNER: &str = "KURYR_LAB_OWNER";

/// One that has nothing in flight takes much less.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// A program that ends with this value.
pub struct Helping(Child);

impl Drop for Helping {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Stage {
    /// Starts a second controller, by the lab's configuration and with the lab's program.
    pub fn second_controller(&self, instead: &Instead) -> Result<Controller> {
        let (folder, run) = (self.facts.lab.join("kuryr"), self.facts.lab.join("run"));
        let conf = run.join("second-controller.conf");
        fs::write(&conf, settings(instead)?)?;
        let log = File::create(self.facts.lab.join("log/second-controller.log"))?;
        let child = Command::new(folder.join("bin/kuryr-k8s-controller"))
            .arg("--config-file")
            .arg(folder.join("controller.conf"))
            .arg("--config-file")
            .arg(conf)
            .env(OWNER, &self.facts.lab)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .context("failed to start a second controller")?;
        Ok(Controller { child, http: self.http.clone() })
    }

    /// The same, and waits until it works: nothing else does.
    pub async fn leading_controller(&self, instead: &Instead) -> Result<Controller> {
        let controller = self.second_controller(instead)?;
        until("it leads", seconds(20), async || controller.leads().await).await?;
        Ok(controller)
    }

    /// Whether the lab's own controller is the one that works.
    pub async fn lab_controller_leads(&self) -> Result<()> {
        let leads = self.controller_counters().await?.sum(&["kuryr_controller_leader"]);
        ensure!(leads > 0.0, "the lab's controller does not lead");
        Ok(())
    }

    /// The API over plain HTTP, so that a proxy can see what passes, and its address.
    pub async fn plain_api(&self) -> Result<(Helping, String)> {
        let child = Command::new(self.facts.binary("kubectl")?)
            .arg("--kubeconfig")
            .arg(&self.facts.kubernetes.kubeconfig)
            .args(["proxy", "--port", &PLAIN_PORT.to_string()])
            .env(OWNER, &self.facts.lab)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("failed to start kubectl proxy")?;
        let (helping, url) = (Helping(child), format!("http://127.0.0.1:{PLAIN_PORT}"));
        until("kubectl proxy answers", seconds(10), async || {
            Ok(self.http.get(format!("{url}/readyz")).send().await?.error_for_status().map(drop)?)
        })
        .await?;
        Ok((helping, url))
    }
}

impl Controller {
    /// Whether it is the one that works.
    pub async fn leads(&self) -> Result<()> {
        let leads = self.counters().await?.sum(&["kuryr_controller_leader"]);
        ensure!(leads > 0.0, "it does not lead");
        Ok(())
    }

    /// What it counts.
    pub async fn counters(&self) -> Result<Counters> {
        let url = format!("http://127.0.0.1:{METRICS_PORT}/metrics");
        Ok(Counters::parse(&self.http.get(url).send().await?.error_for_status()?.text().await?))
    }

    /// Whether it is ready, with the ports of its pools.
    pub async fn is_ready(&self) -> Result<()> {
        let answer = self.http.get(format!("http://127.0.0.1:{HEALTH_PORT}/ready")).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success() && text.contains("pools: ok"), "{status}: {text}");
        Ok(())
    }

    /// Whether it is ready, and says that it stands by.
    pub async fn stands_by(&self) -> Result<()> {
        let answer = self.http.get(format!("http://127.0.0.1:{HEALTH_PORT}/ready")).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success() && text.contains("leader: standby"), "{status}: {text}");
        Ok(())
    }

    /// Sends it a signal by its name: `STOP`, `CONT`.
    pub async fn signal(&self, name: &str) -> Result<()> {
        signal(name, &[self.child.id().to_string()]).await
    }

    /// SIGTERM; returns when it has ended.
    pub async fn stop(mut self) -> Result<ExitStatus> {
        self.signal("TERM").await?;
        until("it ends", seconds(25), async || self.child.try_wait()?.context("it runs")).await
    }
}

impl Drop for Controller {
    /// It gives its lease back if it can: to wait for the end of the lease is 15 s more before the lab's own controller works again.
    fn drop(&mut self) {
        let asked = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status();
        let deadline = Instant::now() + LAST_WORDS;
        while asked.is_ok() && Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            sleep(PERIOD);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn settings(instead: &Instead) -> Result<String> {
    let mut text = format!(
        "[health_server]\nport = {HEALTH_PORT}\n[prometheus_exporter]\ncontroller_exporter_port = {METRICS_PORT}\n"
    );
    if let Some(url) = &instead.neutron {
        write!(text, "[neutron]\nendpoint_override = {url}\n")?;
    }
    if let Some(url) = &instead.kubernetes {
        write!(text, "[kubernetes]\napi_root = {url}\n")?;
    }
    if let Some(batch) = instead.pools {
        write!(text, "[vif_pool]\nvif_pool_mapping = neutron-vif:neutron,nested-vlan:nested\n")?;
        write!(text, "ports_pool_batch = {batch}\nports_pool_min = {}\n", batch / 2)?;
    }
    if let Some(path) = &instead.socket {
        write!(
            text,
            "[kubernetes]\nenable_manager = True\n[pool_manager]\nsock_file = {}\n",
            path.display()
        )?;
    }
    if !instead.pod_subnets.is_empty() {
        let ids: Vec<_> = instead.pod_subnets.iter().map(SubnetId::as_str).collect();
        write!(text, "[neutron_defaults]\npod_subnets = {}\n", ids.join(","))?;
        write!(text, "[kubernetes]\nenabled_handlers = vif,kuryrport\n")?;
    }
    Ok(text)
}
