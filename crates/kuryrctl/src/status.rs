//! `kuryrctl status`: how Kuryr does.

use std::io::Write;

use anyhow::{Context, Result};
use clap::Args;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;

use crate::connect::{self, Cluster};

/// Name of the Lease of all controllers of a cluster.
const LEASE: &str = "kuryr-controller";

#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    cluster: Cluster,
    /// Namespace that Kuryr runs in
    #[arg(long, value_name = "NAME", default_value = "kube-system")]
    namespace: String,
}

pub(crate) fn run(options: &Options, out: &mut impl Write) -> Result<()> {
    connect::block_on(async {
        let client = options.cluster.client().await?;
        let leases: Api<Lease> = Api::namespaced(client, &options.namespace);
        let lease = leases.get_opt(LEASE).await.context("cannot read the Lease of the controllers")?;
        let holder = lease.and_then(|lease| lease.spec?.holder_identity).filter(|holder| !holder.is_empty());
        Ok(writeln!(out, "leader: {}", holder.as_deref().unwrap_or("none"))?)
    })
}
