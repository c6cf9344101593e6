//! What a node without daemon leaves to the plugin: a configuration, a kubeconfig, and where to find them.
//!
//! The files are written by a container and read by the plugin, which a runtime starts on the host; both know the folder of network
//! configurations, where no runtime looks into folders. They hold a credential, so that the folder and the files are root's alone.

use std::{
    env, fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use kuryr_k8s::Access;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    install::{InstallError, failed, put},
    kind::Facts,
};

const FOLDER: &str = "kuryr.d";
/// Where the kubelet mounts the credentials of a pod's service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Where the plugin finds things, as the network configuration says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// Kuryr's configuration.
    pub kuryr_conf: PathBuf,
    /// How to reach the API server.
    pub kubeconfig: PathBuf,
    /// The node's name in Kubernetes.
    pub node_name: String,
    /// What the API server says of the node: what takes a pod away cannot ask.
    #[serde(default)]
    pub node: Facts,
}

impl Handover {
    /// The handover of a node.
    pub fn new(conf_dir: &Path, node_name: String) -> Self {
        let folder = conf_dir.join(FOLDER);
        Self {
            kuryr_conf: folder.join("kuryr.conf"),
            kubeconfig: folder.join("kubeconfig"),
            node_name,
            node: Facts::default(),
        }
    }

    /// Writes what is not there as it should be: a token is replaced by its successor before it ends.
    pub fn write(&self, confs: &[PathBuf], access: &Access) -> Result<(), InstallError> {
        let folder = self.folder();
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(0o700)))
            .map_err(failed("make the folder", folder))?;
        put(&self.kuryr_conf, &joined(confs)?, 0o600)?;
        let kubeconfig = self.kubeconfig_of(access)?;
        put(&self.kubeconfig, format!("{kubeconfig:#}\n").as_bytes(), 0o600)?;
        Ok(())
    }

    /// Takes the credentials back. The configuration stays: pods can be taken away with it.
    pub fn remove_credentials(&self) -> Result<(), InstallError> {
        for name in ["kubeconfig", "client.key"] {
            let target = self.folder().join(name);
            match fs::remove_file(&target) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("remove", &target)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn folder(&self) -> &Path {
        self.kubeconfig.parent().unwrap_or_else(|| Path::new("/"))
    }

    /// A kubeconfig is YAML, and JSON is YAML.
    fn kubeconfig_of(&self, access: &Access) -> Result<Value, InstallError> {
        let mut cluster = json!({"server": server(access)});
        let ca = access.ca_file.clone().or_else(|| in_cluster(access).then(|| account("ca.crt")));
        match ca.filter(|_| !access.insecure) {
            Some(ca) => cluster["certificate-authority"] = json!(self.copy(&ca, "ca.crt")?),
            None if access.insecure => cluster["insecure-skip-tls-verify"] = json!(true),
            None => {}
        }
        Ok(json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "kuryr",
            "clusters": [{"name": "kuryr", "cluster": cluster}],
            "users": [{"name": "kuryr", "user": self.user(access)?}],
            "contexts": [{"name": "kuryr", "context": {"cluster": "kuryr", "user": "kuryr"}}],
        }))
    }

    /// The same order as everywhere: a token wins over a certificate.
    fn user(&self, access: &Access) -> Result<Value, InstallError> {
        let token = access.token_file.clone().or_else(|| in_cluster(access).then(|| account("token")));
        if let Some(file) = token {
            let token = fs::read_to_string(&file).map_err(failed("read the token", &file))?;
            return Ok(json!({"token": token.trim()}));
        }
        match (&access.client_certificate, &access.client_key) {
            (Some(certificate), Some(key)) => Ok(json!({
                "client-certificate": self.copy(certificate, "client.crt")?,
                "client-key": self.copy(key, "client.key")?,
            })),
            _ => Ok(json!({})),
        }
    }

    fn copy(&self, from: &Path, name: &str) -> Result<PathBuf, InstallError> {
        let target = self.folder().join(name);
        put(&target, &fs::read(from).map_err(failed("read", from))?, 0o600)?;
        Ok(target)
    }
}

/// One file for all that were read, in their order: what stands later wins in it as well.
fn joined(confs: &[PathBuf]) -> Result<Vec<u8>, InstallError> {
    let mut whole = Vec::new();
    for conf in confs {
        whole.extend(fs::read(conf).map_err(failed("read", conf))?);
        whole.push(b'\n');
    }
    Ok(whole)
}

fn in_cluster(access: &Access) -> bool {
    access.api_root.is_empty()
}

fn account(name: &str) -> PathBuf {
    Path::new(SERVICE_ACCOUNT).join(name)
}

fn server(access: &Access) -> String {
    let root = &access.api_root;
    match (root.as_str(), root.contains("://")) {
        ("", _) => service(&variable("KUBERNETES_SERVICE_HOST"), &variable("KUBERNETES_SERVICE_PORT")),
        (_, true) => root.clone(),
        (_, false) => format!("https://{root}"),
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn service(host: &str, port: &str) -> String {
    if host.contains(':') { format!("https://[{host}]:{port}") } else { format!("https://{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use kube::config::Kubeconfig;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn access(folder: &Path) -> Access {
        let token_file = Some(folder.join("token"));
        fs::write(folder.join("ca"), "the ca").unwrap();
        fs::write(folder.join("token"), "first\n").unwrap();
        let ca_file = Some(folder.join("ca"));
        Access { api_root: "192.0.2.1:6443".into(), token_file, ca_file, ..Access::default() }
    }

    #[test]
    fn a_kubeconfig_that_is_roots_alone_follows_the_token() {
        let folder = tempfile::tempdir().unwrap();
        let (handover, access) = (Handover::new(folder.path(), "node1".into()), access(folder.path()));
        handover.write(&[], &access).unwrap();
        assert_eq!((mode(&handover.kubeconfig), mode(handover.folder())), (0o600, 0o700));
        let read = Kubeconfig::read_from(&handover.kubeconfig).unwrap();
        let cluster = read.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.server.as_deref(), Some("https://192.0.2.1:6443"));
        assert_eq!(fs::read_to_string(cluster.certificate_authority.as_ref().unwrap()).unwrap(), "the ca");
        assert!(fs::read_to_string(&handover.kubeconfig).unwrap().contains("\"token\": \"first\""));
        fs::write(folder.path().join("token"), "second\n").unwrap();
        handover.write(&[], &access).unwrap();
        assert!(fs::read_to_string(&handover.kubeconfig).unwrap().contains("\"token\": \"second\""));
        handover.remove_credentials().unwrap();
        assert!(!handover.kubeconfig.exists() && handover.kuryr_conf.exists());
    }

    #[test]
    fn all_files_of_the_configuration_are_handed_over_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let (handover, access) = (Handover::new(folder.path(), "node1".into()), access(folder.path()));
        let confs = ["a", "b"].map(|name| folder.path().join(name));
        fs::write(&confs[0], "[neutron_defaults]\novs_bridge = br-a").unwrap();
        fs::write(&confs[1], "[neutron_defaults]\novs_bridge = br-b").unwrap();
        handover.write(&confs, &access).unwrap();
        let sources = kuryr_config::Sources { files: vec![handover.kuryr_conf], ..Default::default() };
        let read = kuryr_config::load(&sources).unwrap().config;
        assert_eq!(read.neutron_defaults.ovs_bridge.as_deref(), Some("br-b"));
    }

    #[test]
    fn the_address_of_the_service_may_be_of_either_family() {
        assert_eq!(service("10.0.0.1", "443"), "https://10.0.0.1:443");
        assert_eq!(service("fd00::1", "443"), "https://[fd00::1]:443");
    }
}
