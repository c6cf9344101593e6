//! The command line, as the Python Kuryr's programs had it.

use clap::Parser;
use std::path::PathBuf;

/// Connects Kubernetes pods to OpenStack Neutron networks: the controller.
///
/// Watches pods, makes a Neutron port for each, and records it in a KuryrPort, from which the daemon on the pod's node
/// plugs it. Stops at SIGTERM, after what is in flight is done.
#[derive(Debug, Parser)]
#[command(name = "kuryr-k8s-controller", version)]
pub struct Args {
    /// Configuration file; may be repeated, the last value of an option wins. Without one, kuryr-k8s.conf is looked for in
    /// ~/.kuryr-k8s, ~, /etc/kuryr-k8s and /etc, then /etc/kuryr/kuryr.conf.
    #[arg(long = "config-file", value_name = "FILE")]
    pub config_files: Vec<PathBuf>,

    /// Directory whose *.conf files are read in the order of their names, after the files.
    #[arg(long = "config-dir", value_name = "DIR")]
    pub config_dirs: Vec<PathBuf>,

    /// Log each request too; the same as `[DEFAULT] debug = True`.
    #[arg(short, long)]
    pub debug: bool,
}
