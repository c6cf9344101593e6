//! What the node's container runtime finds: the network configuration and the plugin.
//!
//! The configuration is what makes a kubelet say that its node's network is ready, so it appears when pods can be connected, and goes
//! when the daemon ends in order. Files are written beside their place and renamed, so that nobody reads half of one.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::handover::Handover;

const CONFLIST: &str = "10-kuryr.conflist";
/// If the host has this file, it is used instead of ours.
const TEMPLATE: &str = "kuryr.conflist.template";
const PLUGIN: &str = "kuryr-cni";
/// The newest that containerd 1.6 accepts.
const CNI_VERSION: &str = "1.0.0";

/// Where the runtime looks, and what it is to find.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The folder of network configurations.
    pub conf_dir: PathBuf,
    /// The folder of plugins.
    pub bin_dir: PathBuf,
    /// The plugin that came with the daemon, if it did.
    pub plugin: Option<PathBuf>,
    /// The daemon's configuration file, for whoever reads the network configuration.
    pub kuryr_conf: PathBuf,
    /// The daemon's socket, if it is not the plugin's default.
    pub socket: Option<PathBuf>,
    /// What the plugin needs where it works without a daemon.
    pub handover: Option<Handover>,
}

/// Something could not be installed or removed.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}", .path.display())]
pub struct InstallError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Whether a file had to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// It was there as it should be.
    Before,
    /// It is there now.
    Now,
}

impl Installation {
    /// Puts the plugin into place, if it is not there as it is.
    pub fn install_plugin(&self) -> Result<(), InstallError> {
        let Some(plugin) = &self.plugin else { return Ok(()) };
        let target = self.bin_dir.join(PLUGIN);
        let content = fs::read(plugin).map_err(failed("read the plugin", plugin))?;
        if put(&target, &content, 0o755)? == Put::Now {
            tracing::info!(plugin = %target.display(), "installed the plugin");
        }
        Ok(())
    }

    /// Puts the network configuration into place, if it is not there as it is.
    pub fn install_conflist(&self) -> Result<(), InstallError> {
        let target = self.conflist();
        if put(&target, &self.content()?, 0o644)? == Put::Now {
            tracing::info!(conflist = %target.display(), "installed the network configuration");
        }
        Ok(())
    }

    /// Removes the network configuration, so that the kubelet starts no pods that nobody would connect.
    pub fn remove_conflist(&self) -> Result<(), InstallError> {
        let target = self.conflist();
        match fs::remove_file(&target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &target)(error)),
            _ => Ok(()),
        }
    }

    fn conflist(&self) -> PathBuf {
        self.conf_dir.join(CONFLIST)
    }

    fn content(&self) -> Result<Vec<u8>, InstallError> {
        let template = self.conf_dir.join(TEMPLATE);
        match fs::read(&template) {
            Ok(content) => Ok(content),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(self.own_content()),
            Err(error) => Err(failed("read", &template)(error)),
        }
    }

    fn own_content(&self) -> Vec<u8> {
        let mut plugin = json!({"type": PLUGIN, "kuryr_conf": self.kuryr_conf, "debug": false});
        if let Some(socket) = &self.socket {
            plugin["kuryr_socket"] = json!(socket);
        }
        if let Some(Handover { kuryr_conf, kubeconfig, node_name, node }) = &self.handover {
            plugin["kuryr_conf"] = json!(kuryr_conf);
            plugin["kubeconfig"] = json!(kubeconfig);
            plugin["node_name"] = json!(node_name);
            plugin["node"] = json!(node);
        }
        let conflist = json!({"name": "kuryr", "cniVersion": CNI_VERSION, "plugins": [plugin]});
        format!("{conflist:#}\n").into_bytes()
    }
}

/// Puts a file into place, if it is not there as it is.
pub(crate) fn put(target: &Path, content: &[u8], mode: u32) -> Result<Put, InstallError> {
    if fs::read(target).is_ok_and(|installed| installed == content) {
        return Ok(Put::Before);
    }
    replace(target, content, mode)?;
    Ok(Put::Now)
}

/// A file that begins with a dot is no configuration to any runtime.
fn replace(target: &Path, content: &[u8], mode: u32) -> Result<(), InstallError> {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let beside = target.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = write(&beside, content, mode).and_then(|()| fs::rename(&beside, target));
    if written.is_err() {
        // What is left of the attempt is of no use, and failing to remove it changes nothing.
        let _ = fs::remove_file(&beside);
    }
    written.map_err(failed("write", target))
}

fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // Never readable by more than in the end, and the umask has no say in it.
    OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(path)?.write_all(content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> InstallError {
    move |source| InstallError { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn installation(folder: &Path) -> Installation {
        let plugin = folder.join("built");
        fs::write(&plugin, "plugin").unwrap();
        Installation {
            conf_dir: folder.join("net.d"),
            bin_dir: folder.join("bin"),
            plugin: Some(plugin),
            kuryr_conf: "/etc/kuryr/kuryr.conf".into(),
            socket: None,
            handover: None,
        }
    }

    #[test]
    fn the_conflist_comes_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let installation = installation(folder.path());
        for _ in 0..2 {
            installation.install_conflist().unwrap();
        }
        let content: Value = serde_json::from_slice(&fs::read(installation.conflist()).unwrap()).unwrap();
        assert_eq!((&content["name"], &content["cniVersion"]), (&json!("kuryr"), &json!("1.0.0")));
        assert_eq!(
            content["plugins"],
            json!([{"type": "kuryr-cni", "kuryr_conf": "/etc/kuryr/kuryr.conf", "debug": false}])
        );
        assert_eq!(
            fs::read_dir(folder.path().join("net.d")).unwrap().count(),
            1,
            "nothing may lie beside it"
        );
        for _ in 0..2 {
            installation.remove_conflist().unwrap();
        }
        assert!(!installation.conflist().exists());
    }

    #[test]
    fn the_hosts_own_template_is_used_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let installation = installation(folder.path());
        fs::create_dir(&installation.conf_dir).unwrap();
        fs::write(installation.conf_dir.join(TEMPLATE), "mine").unwrap();
        installation.install_conflist().unwrap();
        assert_eq!(fs::read_to_string(installation.conflist()).unwrap(), "mine");
    }

    #[test]
    fn another_socket_is_told_to_the_plugin() {
        let folder = tempfile::tempdir().unwrap();
        let installation = Installation { socket: Some("/run/k.sock".into()), ..installation(folder.path()) };
        let content: Value = serde_json::from_slice(&installation.own_content()).unwrap();
        assert_eq!(content["plugins"][0]["kuryr_socket"], "/run/k.sock");
    }

    #[test]
    fn a_plugin_without_daemon_is_told_where_everything_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut handover = Handover::new(Path::new("/etc/cni/net.d"), "node1".into());
        handover.node.pod_vif = Some("nested-vlan".to_owned());
        handover.node.addresses = vec!["10.2.0.7".parse().unwrap()];
        let installation = Installation { handover: Some(handover.clone()), ..installation(folder.path()) };
        let content: Value = serde_json::from_slice(&installation.own_content()).unwrap();
        let told: Handover = serde_json::from_value(content["plugins"][0].clone()).unwrap();
        assert_eq!(told, handover);
    }

    #[test]
    fn a_plugin_in_use_is_replaced_and_an_equal_one_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let installation = installation(folder.path());
        installation.install_plugin().unwrap();
        let target = installation.bin_dir.join(PLUGIN);
        let first = fs::File::open(&target).unwrap();
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o755);
        installation.install_plugin().unwrap();
        assert_eq!(inode(&fs::metadata(&target).unwrap()), inode(&first.metadata().unwrap()), "it was equal");
        fs::write(installation.plugin.as_ref().unwrap(), "newer").unwrap();
        installation.install_plugin().unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "newer");
        assert_ne!(
            inode(&fs::metadata(&target).unwrap()),
            inode(&first.metadata().unwrap()),
            "who has the old one open keeps it"
        );
    }

    fn inode(metadata: &fs::Metadata) -> u64 {
        use std::os::unix::fs::MetadataExt;
        metadata.ino()
    }
}
