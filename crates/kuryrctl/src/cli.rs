//! The command line.
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "these are the texts of --help, where brackets hold groups of kuryr.conf"
)]
#![expect(clippy::doc_markdown, reason = "these are texts for a terminal")]

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::{
    check, config, crds, describe, generate, openstack,
    policy::{self, Policy},
    pools::{self, Pools},
    status, uninstall,
};

/// Generates what an installation of Kuryr needs, and checks it.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the definitions that install Kuryr on a cluster: `kuryrctl generate | kubectl apply -f -`
    ///
    /// They hold everything: custom resource definitions, configuration, the login to OpenStack in a Secret that only the
    /// controller mounts, accounts with their rights, the controller's Deployment and the daemons' DaemonSet. Without files, a
    /// minimal kuryr.conf is made from the options; what is wrong with a file that is given is told here.
    Generate(Box<generate::Options>),
    /// Write the custom resource definitions that Kuryr needs in Kubernetes
    Crds(Crds),
    /// Make what Kuryr needs in OpenStack
    #[command(subcommand)]
    Openstack(OpenStack),
    /// Show how Kuryr does on a cluster: leader, daemons, pods, OpenStack, quota
    ///
    /// What can't be reached is said, and hides nothing else. The figures of OpenStack are those of the controller that works,
    /// by way of the API server (which takes the right to get pods/proxy).
    ///
    /// Exit code 0: all is well. 1: something is wrong. 2: nothing is known to be wrong, but not everything could be seen.
    Status(status::Options),
    /// Explain one object: what Kubernetes wants, what OpenStack has, and what Kuryr would do next
    #[command(subcommand)]
    Describe(Describe),
    /// Look into network policies: what they do to a pod or a connection, and whether Neutron holds what they want
    #[command(subcommand)]
    Policy(Policy),
    /// Look at the pools of ports that are kept ready, fill them, or give back what is free
    ///
    /// By the socket of the controller that works, where it is; `list` and `show` read KuryrNodes elsewhere.
    #[command(subcommand)]
    Pools(Pools),
    /// Take Kuryr out of a cluster, and leave nothing behind that blocks a deletion
    ///
    /// Its programs; floating IPs and load balancers of Services and ports of pods that carry this cluster's tag or stand in a record;
    /// finalizers of any Kuryr, records, accounts, configuration and definitions, in this order. Pods that still run lose their
    /// network, and Services are not served any more: delete them first, or use --keep-ports. What fails is told, and the rest is done all the same; call it again then.
    Uninstall(uninstall::Options),
    /// Check what Kuryr needs: configuration, OpenStack, Kubernetes, and this host if it is to run Kuryr
    ///
    /// From a workstation, a node, or a Job in the cluster, with the controller's configuration; on a node also by
    /// `--only host --here node`, with the daemon's. Each finding says what is wrong, why it matters and what to do;
    /// docs/troubleshooting.md says more. Nothing is changed. What can't be checked is told with the reason, and hides nothing
    /// else.
    ///
    /// Exit code 0: no problem, perhaps warnings. 1: there are problems. 2: none was found, but something could not be checked.
    Check(Box<check::Options>),
    /// Explain and check kuryr.conf
    #[command(subcommand)]
    Config(Config),
}

#[derive(Debug, Args)]
struct Crds {
    /// Directory to write one file for each definition into; without it, all go to standard output,
    /// ready for `kubectl apply -f -`
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Describe {
    /// Explain a Service: its endpoints, load balancers and floating IP, where they differ, and what Kuryr waits for
    ///
    /// OpenStack is asked with the controller's configuration, by the controller's own code. Nothing is changed. What can't be
    /// reached is said, and hides nothing else.
    ///
    /// Exit code 0: all is as Kuryr wants it. 1: something is wrong, or not done yet. 2: not everything could be seen.
    Service(describe::Options),
}

#[derive(Debug, Subcommand)]
enum Config {
    /// Write a kuryr.conf with every option, commented out, and its default
    Sample,
    /// Write the reference of all options, in Markdown
    Docs,
    /// Read a configuration as the programs do, and say what is wrong with it or has no effect.
    ///
    /// Exit code 0: it can be read (there may be warnings). 2: it cannot, and the programs stop with that code too.
    Check(Sources),
}

#[derive(Debug, Subcommand)]
enum OpenStack {
    /// Make, or find, networks, subnets, router and security group of a cluster, and print the kuryr.conf for them
    ///
    /// The project is that of the credentials: of [neutron] in the configuration, or of the environment: OS_CLOUD, or
    /// OS_AUTH_URL and its companions. What is there already is found by name, subnets by network and range; a second run
    /// makes nothing. What is in the way is told before anything is made. kuryr.conf goes to standard output, without the
    /// secret; all else to standard error.
    Init(openstack::Options),
}

/// Where a configuration is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Sources {
    /// File to read; may be repeated, later ones win [default: the places of oslo.config, then
    /// /etc/kuryr/kuryr.conf]
    #[arg(long, value_name = "FILE")]
    config_file: Vec<PathBuf>,
    /// Directory whose *.conf are read in sorted order after the files; may be repeated
    #[arg(long, value_name = "DIR")]
    config_dir: Vec<PathBuf>,
}

impl Sources {
    /// All that the configuration is read from, the environment too.
    pub(crate) fn sources(&self) -> kuryr_config::Sources {
        kuryr_config::Sources::from_cli(self.config_file.clone(), self.config_dir.clone())
    }
}

/// Does what the command line asks for, and writes to `out` what it asks to see.
pub(crate) fn run(cli: Cli, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Generate(options) => generate::run(&options, out, &mut std::io::stderr())?,
        Command::Crds(Crds { out: None }) => crds::print(out)?,
        Command::Crds(Crds { out: Some(dir) }) => crds::write(&dir)?,
        Command::Openstack(OpenStack::Init(options)) => {
            openstack::init(&options, out, &mut std::io::stderr())?;
        }
        Command::Describe(Describe::Service(options)) => return describe::service(&options, out),
        Command::Policy(command) => return policy::run(&command, out, &mut std::io::stderr()),
        Command::Pools(command) => return pools::run(&command, out),
        Command::Status(options) => return status::run(&options, out),
        Command::Uninstall(options) => return uninstall::run(&options, out),
        Command::Check(options) => return check::run(&options, out),
        Command::Config(Config::Sample) => config::sample(out)?,
        Command::Config(Config::Docs) => config::docs(out)?,
        Command::Config(Config::Check(sources)) => return config::check(&sources, out),
    }
    Ok(ExitCode::SUCCESS)
}
