//! `kuryrctl pools`: ports that are kept ready.
//!
//! ```text
//!   list, show ──► socket of the controller that works ──► its pools, port by port
//!        │ no socket here
//!        └───────► KuryrNodes ──► their numbers
//!   fill, free ──► socket
//! ```

mod nodes;
mod render;
mod socket;

use std::{io::Write, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use kuryr_api::pool::{Changes, NodePool, Pools as AllPools};
use kuryr_config::Config;
use serde::Serialize;
use serde_json::{Value, json};

use self::socket::Socket;
use crate::connect::{self, Cluster};

/// What to do with pools.
#[derive(Debug, Subcommand)]
pub(crate) enum Pools {
    /// List the pools: pods, free ports and how many are to be free, by node
    List(List),
    /// Show the pool of a node: by the socket each free port, else its numbers
    Show(Show),
    /// Make more ports for nodes; what is then too many stays for `[vif_pool] ports_pool_idle` seconds
    ///
    /// Exit code 0: all were made. 1: some were not, or none.
    Fill(Fill),
    /// Give back the free ports of nodes; none is kept ready there until a pod comes, the pool is filled, or another controller leads
    ///
    /// Exit code 0: all are gone. 1: some are not, or none is.
    Free(Free),
}

/// How to get at the pools, and how to tell.
#[derive(Debug, Clone, Args)]
struct Common {
    /// Socket of the controller (`[pool_manager] sock_file`) [default: `/run/kuryr/kuryr_manage.sock`; where there is none, `list`
    /// and `show` read KuryrNodes]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// How long the controller may take
    #[arg(long, value_name = "SECONDS", default_value = "180", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// How to write the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Write the Python Kuryr's pools, one for each set of security groups, by their keys
    #[arg(long)]
    keys: bool,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    cluster: Cluster,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The node: its name, or by the socket its address
    #[arg(value_name = "NODE")]
    node: String,
    /// Only ports of this project
    #[arg(long, value_name = "ID")]
    project: Option<String>,
    /// Only ports with exactly these security groups; may be repeated
    #[arg(long, value_name = "ID", requires = "project")]
    security_group: Vec<String>,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    cluster: Cluster,
}

#[derive(Debug, Args)]
pub(crate) struct Fill {
    /// The nodes: their names or addresses
    #[arg(value_name = "NODE", required = true)]
    nodes: Vec<String>,
    /// How many ports to make for each
    #[arg(short = 'n', long, value_name = "NUMBER", default_value = "1")]
    ports: u32,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct Free {
    /// The nodes: their names or addresses
    #[arg(value_name = "NODE", required_unless_present = "all", conflicts_with = "all")]
    nodes: Vec<String>,
    /// All nodes
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    common: Common,
}

/// Asks, and tells.
pub(crate) fn run(command: &Pools, out: &mut impl Write) -> Result<ExitCode> {
    match command {
        Pools::List(options) => list(options, out),
        Pools::Show(options) => show(options, out),
        Pools::Fill(Fill { nodes, ports, common }) => {
            let body = json!({ "trunks": nodes, "num_ports": ports });
            change(common, "/populatePool", &body, "made", out)
        }
        Pools::Free(Free { nodes, all, common }) => {
            let body = if *all { json!({}) } else { json!({ "trunks": nodes }) };
            change(common, "/freePool", &body, "given back", out)
        }
    }
}

fn list(options: &List, out: &mut impl Write) -> Result<ExitCode> {
    let all: AllPools = connect::block_on(async {
        match options.common.socket()? {
            Some(socket) => socket.get("/listPools", &json!({})).await,
            None => Ok(AllPools { pools: nodes::all(&options.cluster.client().await?).await? }),
        }
    })?;
    if options.keys && all.pools.iter().any(|pool| pool.parts.is_none()) {
        bail!("a KuryrNode does not tell the keys of pools: {}", Common::NO_SOCKET);
    }
    options.common.tell(&all, out, |all, out| {
        if options.keys { render::keys(all, out) } else { render::list(all, out) }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn show(options: &Show, out: &mut impl Write) -> Result<ExitCode> {
    let pool: NodePool = connect::block_on(async {
        match options.common.socket()? {
            Some(socket) => socket.get("/showPool", &json!({ "pool_key": options.key() })).await,
            None if options.project.is_some() => {
                bail!("a KuryrNode does not tell whose its ports are: {}", Common::NO_SOCKET)
            }
            None => nodes::one(&options.cluster.client().await?, &options.node).await,
        }
    })?;
    options.common.tell(&pool, out, render::show)?;
    Ok(ExitCode::SUCCESS)
}

fn change(common: &Common, path: &str, body: &Value, done: &str, out: &mut impl Write) -> Result<ExitCode> {
    let changes: Changes = connect::block_on(async {
        match common.socket()? {
            Some(socket) => socket.post(path, body).await,
            None => bail!("{}", Common::NO_SOCKET),
        }
    })?;
    common.tell(&changes, out, |changes, out| render::changes(changes, done, out))?;
    let is_done = changes.pools.iter().all(|change| change.failure.is_none());
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Show {
    /// As the socket takes it: what is left out may be anything.
    fn key(&self) -> Value {
        match &self.project {
            None => json!([self.node]),
            Some(project) if self.security_group.is_empty() => json!([self.node, project]),
            Some(project) => json!([self.node, project, self.security_group]),
        }
    }
}

impl Common {
    const NO_SOCKET: &str = "there is no socket of a controller here. It is where the controller that works runs, with [kubernetes] enable_manager = True: ask there (kubectl -n kube-system exec deployment/kuryr-controller -- kuryrctl pools …), or name another by --socket";

    /// The socket, if there is one or one is named.
    fn socket(&self) -> Result<Option<Socket>> {
        let path = self.socket.clone().unwrap_or_else(|| Config::default().pool_manager.sock_file);
        if self.socket.is_none() && !path.exists() {
            return Ok(None);
        }
        Socket::new(path, Duration::from_secs(self.timeout)).map(Some)
    }

    /// Writes what is told: as JSON, or its text.
    fn tell<T: Serialize, W: Write>(
        &self,
        told: &T,
        out: &mut W,
        text: impl FnOnce(&T, &mut W) -> Result<()>,
    ) -> Result<()> {
        match self.output {
            Format::Table => text(told, out),
            Format::Json => {
                serde_json::to_writer_pretty(&mut *out, told)?;
                Ok(writeln!(out)?)
            }
        }
    }
}
