//! `kuryrctl uninstall`: takes Kuryr out of a cluster, and leaves nothing behind that blocks a deletion.
//!
//! ```text
//! programs  ──►  floating IPs, load balancers, ports, groups  ──►  finalizers  ──►  records, accounts, configuration  ──►  definitions of the records
//! ```
//!
//! The programs go first, since they would make again what is taken away. What fails is told, and the rest is done all the same:
//! a second call takes up what the first one left.

mod balancers;
mod cloud;
mod groups;
mod kubernetes;
mod pairs;
mod ports;
mod step;
#[cfg(test)]
mod tests;

use std::{io::Write, process::ExitCode};

use anyhow::Result;
use clap::Args;
use kube::Client;

use crate::{
    cli::Sources,
    connect::{self, Cluster, OpenStack},
};
use cloud::Cloud;
use kubernetes::Running;
use step::Step;

/// What to take out, and what to leave.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    cluster: Cluster,
    /// Namespace that Kuryr runs in
    #[arg(long, value_name = "NAME", default_value = "kube-system", help_heading = "Kubernetes")]
    namespace: String,
    #[command(flatten)]
    sources: Sources,
    /// Leave what is in OpenStack (ports, security groups, load balancers, floating IPs), the records of it, and their definitions: pods that run
    /// keep their network, Services go on being served as they are, and a Kuryr that is installed again takes all of it over.
    /// OpenStack is not asked then
    #[arg(long)]
    keep_ports: bool,
    /// Do it. Without this, what would be done is told, and nothing is done
    #[arg(long)]
    yes: bool,
}

/// The places that something is taken from.
struct Places<'o> {
    client: Client,
    /// Missing where all that is there is kept.
    cloud: Option<Cloud>,
    options: &'o Options,
}

/// Tells what there is to do, and does it if it may.
pub(crate) fn run(options: &Options, out: &mut impl Write) -> Result<ExitCode> {
    connect::block_on(async {
        let places = Places::open(options).await?;
        if options.yes {
            return places.clear(out).await;
        }
        let mut steps = Running::Controllers.end(&places.client, &options.namespace).await?;
        steps.extend(places.of_nodes().await?);
        steps.extend(places.rest().await?);
        for step in &steps {
            writeln!(out, "would {step}")?;
        }
        writeln!(
            out,
            "{}",
            if steps.is_empty() { "there is nothing to do" } else { "nothing was done: add --yes" }
        )?;
        Ok(ExitCode::SUCCESS)
    })
}

impl<'o> Places<'o> {
    async fn open(options: &'o Options) -> Result<Self> {
        let client = options.cluster.client().await?;
        let cloud = if options.keep_ports {
            None
        } else {
            Some(Cloud::new(OpenStack::open(&options.sources)?.session))
        };
        Ok(Self { client, cloud, options })
    }

    async fn clear(&self, out: &mut impl Write) -> Result<ExitCode> {
        let (client, namespace) = (&self.client, &self.options.namespace);
        let mut failed = self.take(Running::Controllers.end(client, namespace).await?, out).await?;
        Running::Controllers.wait(client, namespace).await?;
        failed += self.take(self.of_nodes().await?, out).await?;
        Running::Daemons.wait(client, namespace).await?;
        failed += self.take(self.rest().await?, out).await?;
        if failed == 0 {
            return Ok(ExitCode::SUCCESS);
        }
        writeln!(out, "{failed} of it failed: call this again when the reason is gone")?;
        Ok(ExitCode::FAILURE)
    }

    /// Takes every step, and tells how many failed.
    async fn take(&self, steps: Vec<Step>, out: &mut impl Write) -> Result<usize> {
        let mut failed = 0;
        for step in steps {
            match step.take(&self.client, self.cloud.as_ref()).await {
                Ok(()) => writeln!(out, "done: {step}")?,
                Err(why) => {
                    failed += 1;
                    writeln!(out, "FAILED: {step}: {why}")?;
                }
            }
        }
        Ok(failed)
    }

    /// What daemons have made is unmade by themselves, once no controller asks for it any more.
    async fn of_nodes(&self) -> Result<Vec<Step>> {
        let mut steps =
            if self.options.keep_ports { Vec::new() } else { kubernetes::wired(&self.client).await? };
        steps.extend(Running::Daemons.end(&self.client, &self.options.namespace).await?);
        Ok(steps)
    }

    async fn rest(&self) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        if let Some(cloud) = &self.cloud {
            let own_tag = cloud::own_tag(&self.client).await?;
            steps.extend(balancers::ours(&self.client, cloud, &own_tag).await?);
            steps.extend(ports::ours(&self.client, &cloud.neutron, &own_tag).await?);
            steps.extend(groups::ours(&self.client, &cloud.neutron, &own_tag).await?);
        }
        steps.extend(kubernetes::finalizers(&self.client).await?);
        steps.extend(kubernetes::capacities(&self.client).await?);
        if !self.options.keep_ports {
            steps.extend(kubernetes::records(&self.client).await?);
        }
        steps.extend(kubernetes::installation(&self.client, &self.options.namespace).await?);
        if !self.options.keep_ports {
            steps.extend(kubernetes::definitions(&self.client).await?);
        }
        Ok(steps)
    }
}
