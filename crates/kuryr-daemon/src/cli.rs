//! The command line.

use std::{
    env,
    fs::OpenOptions,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{ArgAction, Parser, builder::BoolishValueParser};
use kuryr_cni::DEFAULT_SOCKET;
use kuryr_config::{Config, Loaded, Sources};
use kuryr_telemetry::logs::{self, Format, Level, Output};

use crate::{handover::Handover, install::Installation, settings::Settings};

/// Plugs and unplugs the network interfaces of the pods of one node, on behalf of the CNI plugin kuryr-cni.
///
/// Reads kuryr.conf, watches the KuryrPorts and Pods of its node, and serves kuryr-cni on a unix socket. Holds no OpenStack credentials.
#[derive(Debug, Parser)]
#[command(name = "kuryr-daemon", version, about, long_about)]
pub struct Cli {
    /// A configuration file; may be repeated, later ones win.
    #[arg(long = "config-file", value_name = "FILE")]
    config_files: Vec<PathBuf>,
    /// A folder whose *.conf files are read in order, after the files; may be repeated.
    #[arg(long = "config-dir", value_name = "DIR")]
    config_dirs: Vec<PathBuf>,
    /// Log also what is not a decision.
    #[arg(short, long)]
    debug: bool,
    /// Append the log to a file instead of standard error.
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// The node's name in Kubernetes; the host name if not set.
    #[arg(long, env = "KUBERNETES_NODE_NAME", value_name = "NAME")]
    node_name: Option<String>,
    /// The container runtime's folder of network configurations.
    #[arg(long, env = "KURYR_CNI_CONF_DIR", value_name = "DIR", default_value = "/etc/cni/net.d")]
    cni_conf_dir: PathBuf,
    /// The container runtime's folder of plugins.
    #[arg(long, env = "KURYR_CNI_BIN_DIR", value_name = "DIR", default_value = "/opt/cni/bin")]
    cni_bin_dir: PathBuf,
    /// The plugin to install there; `kuryr-cni` beside this program if not set, and without a daemon this program itself.
    #[arg(long, env = "KURYR_CNI_BINARY", value_name = "FILE")]
    cni_binary: Option<PathBuf>,
    /// Whether pods are connected by this daemon; if not, it only installs a plugin that works by itself, with what that needs.
    #[arg(long, env = "CNI_DAEMON", value_name = "BOOL", action = ArgAction::Set, default_value = "true",
        value_parser = BoolishValueParser::new())]
    cni_daemon: bool,
}

impl Cli {
    /// Reads the configuration and starts the log. An exit code means that the configuration is wrong, which was said.
    pub fn settings(&self) -> anyhow::Result<Result<Settings, ExitCode>> {
        let mut sources = Sources::from_cli(self.config_files.clone(), self.config_dirs.clone());
        if let Some(file) = &self.log_file {
            sources = sources.with_override("DEFAULT", "log_file", &file.display().to_string());
        }
        let loaded = match kuryr_config::load(&sources) {
            Ok(loaded) => loaded,
            Err(error) => return Ok(Err(refuse(&error.to_string()))),
        };
        self.start_log(&loaded.config)?;
        loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let node = self.node_name()?;
        let settings = Settings::new(&loaded.config, node.clone(), self.installation(&loaded, node));
        let settings = settings.map(|settings| Settings { configuration: loaded.files_read, ..settings });
        Ok(settings.map_err(|error| refuse(&format!("[vif_plug_ovs] ovsdb_connection: {error}"))))
    }

    fn start_log(&self, config: &Config) -> anyhow::Result<()> {
        let options = &config.default;
        let format = if options.use_json { Format::Json } else { Format::Text };
        let level = if self.debug || options.debug { Level::Debug } else { Level::Info };
        let open = |path: PathBuf| append(&path).with_context(|| format!("open the log {}", path.display()));
        let output = match options.log_path("kuryr-daemon").map(open).transpose()? {
            None => Output::Stderr,
            Some(file) if options.use_stderr => Output::Both(file),
            Some(file) => Output::File(file),
        };
        logs::init(format, level, output);
        Ok(())
    }

    fn node_name(&self) -> anyhow::Result<String> {
        if let Some(name) = self.node_name.as_ref().filter(|name| !name.is_empty()) {
            return Ok(name.clone());
        }
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").context("read the host name")?;
        Ok(name.trim().to_lowercase())
    }

    fn installation(&self, loaded: &Loaded, node: String) -> Installation {
        let socket = &loaded.config.cni_daemon.socket_path;
        let read = loaded.files_read.first().cloned();
        Installation {
            conf_dir: self.cni_conf_dir.clone(),
            bin_dir: self.cni_bin_dir.clone(),
            plugin: self
                .cni_binary
                .clone()
                .or_else(|| if self.cni_daemon { sibling() } else { env::current_exe().ok() }),
            kuryr_conf: read.unwrap_or_else(|| "/etc/kuryr/kuryr.conf".into()),
            socket: Some(socket.clone()).filter(|socket| socket != Path::new(DEFAULT_SOCKET)),
            handover: (!self.cni_daemon).then(|| Handover::new(&self.cni_conf_dir, node)),
        }
    }
}

fn append(path: &Path) -> std::io::Result<std::fs::File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn sibling() -> Option<PathBuf> {
    let beside = env::current_exe().ok()?.with_file_name("kuryr-cni");
    beside.exists().then_some(beside)
}

/// The log does not run yet, or goes to a file: this belongs in front of whoever started the program.
#[expect(clippy::print_stderr, reason = "see above")]
fn refuse(reason: &str) -> ExitCode {
    eprintln!("kuryr-daemon: {reason}");
    ExitCode::from(2)
}
