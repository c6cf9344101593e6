//! The sandbox that a call is about.

use std::path::{Path, PathBuf};

use kuryr_cni::{CniError, Code, Command, ContainerId, IfName, PodArgs, Request};
use kuryr_k8s::Key;
use kuryr_net::{NetNs, NetNsId};

use crate::failure::Failure;

/// A pod's sandbox, as a runtime names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// The runtime's name for it.
    pub id: ContainerId,
    /// The pod.
    pub pod: Key,
    /// The pod's uid: the kubelet's, or once the record is found the record's.
    pub pod_uid: String,
    /// The name of the first link inside.
    pub ifname: IfName,
    /// The namespace's file as the runtime named it; empty if it did not.
    pub netns_path: String,
}

/// Where container runtimes mount namespaces.
const FOLDERS: [&str; 2] = ["/run/netns", "/var/run/netns"];

/// Where files of namespaces are, for a daemon that runs in a container of its own.
#[derive(Debug, Clone)]
pub struct NetnsPaths {
    /// Stands for `/proc` of the host.
    pub proc_dir: Option<PathBuf>,
    /// Folders with files of namespaces.
    pub folders: Vec<PathBuf>,
}

impl Default for NetnsPaths {
    fn default() -> Self {
        Self { proc_dir: None, folders: FOLDERS.map(PathBuf::from).into() }
    }
}

impl Sandbox {
    /// Reads the sandbox of a call. Which pod it is must be known to connect it, and only then.
    pub fn of(request: &Request) -> Result<Self, Failure> {
        let wrong = |message: String| CniError::new(Code::InvalidEnvironment, message);
        let id =
            request.container_id.clone().ok_or_else(|| wrong("CNI_CONTAINERID is not set".to_owned()))?;
        let (pod, pod_uid) = match PodArgs::parse(&request.args) {
            Ok(pod) => (Key::new(&pod.namespace, &pod.name), pod.uid),
            Err(error) if request.command == Command::Add => return Err(wrong(error.to_string()).into()),
            Err(_) => (Key::new("", id.as_str()), None),
        };
        Ok(Self {
            id,
            pod,
            pod_uid: pod_uid.unwrap_or_default(),
            ifname: request.ifname.clone().ok_or_else(|| wrong("CNI_IFNAME is not set".to_owned()))?,
            netns_path: request.netns.clone().unwrap_or_default(),
        })
    }

    /// The pod's uid as the runtime told it.
    pub fn kubelet_uid(&self) -> Option<&str> {
        Some(self.pod_uid.as_str()).filter(|uid| !uid.is_empty())
    }
}

impl NetnsPaths {
    /// Opens a sandbox's namespace. `None` when it is gone, or the runtime named none. Never the host's own: a pod's links would be
    /// made, or worse removed, there.
    pub fn open(&self, path: &str, host: NetNsId) -> Result<Option<NetNs>, Failure> {
        if path.is_empty() {
            return Ok(None);
        }
        let found = NetNs::open(&self.here(path))?;
        match found {
            Some(namespace) if namespace.id() == host => {
                Err(Failure::Namespace { path: path.to_owned(), reason: "it is the host's own" })
            }
            other => Ok(other),
        }
    }

    /// All namespaces that can be found, those beside a sandbox's file (which may be empty) among them.
    pub fn all(&self, beside: &str) -> Result<Vec<NetNs>, Failure> {
        let proc = self.proc_dir.as_deref().unwrap_or_else(|| Path::new("/proc"));
        let sandbox = self.here(beside);
        let folder = sandbox.parent().filter(|folder| !folder.starts_with(proc)).map(Path::to_owned);
        let folders: Vec<PathBuf> = self.folders.iter().cloned().chain(folder).collect();
        Ok(kuryr_net::namespaces(&folders, proc)?)
    }

    fn here(&self, path: &str) -> PathBuf {
        match &self.proc_dir {
            Some(directory) => path.replace("/proc", &directory.to_string_lossy()).into(),
            None => Path::new(path).to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_found_where_it_is_mounted() {
        let paths = NetnsPaths { proc_dir: Some("/host_proc".into()), ..NetnsPaths::default() };
        assert_eq!(paths.here("/proc/17/ns/net"), Path::new("/host_proc/17/ns/net"));
        assert_eq!(paths.here("/var/run/netns/x"), Path::new("/var/run/netns/x"));
        assert_eq!(NetnsPaths::default().here("/proc/17/ns/net"), Path::new("/proc/17/ns/net"));
    }

    #[test]
    fn the_hosts_namespace_is_never_a_sandbox() {
        let host = NetNs::own().unwrap().id();
        let opened = NetnsPaths::default().open("/proc/self/ns/net", host);
        assert!(matches!(opened, Err(Failure::Namespace { reason: "it is the host's own", .. })));
        assert!(NetnsPaths::default().open("", host).unwrap().is_none());
        assert!(NetnsPaths::default().open("/run/netns/no-such-thing-of-kuryr", host).unwrap().is_none());
    }
}
