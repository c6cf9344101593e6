//! What can go wrong in the kernel's networking.

use std::{io, path::PathBuf};

/// An operation that the kernel, or the machine, did not carry out.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The file of a namespace cannot be opened.
    #[error("open the network namespace {}", .path.display())]
    OpenNamespace {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// A thread could not enter a namespace.
    #[error("enter the network namespace {namespace}")]
    EnterNamespace {
        /// The namespace.
        namespace: String,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// No namespace could be made.
    #[error("make a network namespace")]
    MakeNamespace(#[source] io::Error),
    /// No thread could be started, or it ended without a result.
    #[error("run a thread in a network namespace")]
    Thread(#[source] io::Error),
    /// No netlink socket could be opened.
    #[error("open a netlink socket")]
    Socket(#[source] io::Error),
    /// The kernel refused a request.
    #[error("{action}")]
    Netlink {
        /// What was asked for.
        action: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A sysctl could not be written.
    #[error("set {name} to {value}")]
    Sysctl {
        /// The sysctl, as `sysctl` spells it but with slashes.
        name: String,
        /// The value.
        value: String,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// A file of sysfs does not do what it should.
    #[error("{action} {}", .path.display())]
    Sysfs {
        /// What was to be done with it.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
}

impl NetError {
    pub(crate) fn netlink(action: impl Into<String>, error: rtnetlink::Error) -> Self {
        let source = match error {
            rtnetlink::Error::NetlinkError(message) => message.to_io(),
            other => io::Error::other(other),
        };
        Self::Netlink { action: action.into(), source }
    }

    /// The kernel's error number, where there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Netlink { source, .. }
            | Self::Sysctl { source, .. }
            | Self::Sysfs { source, .. }
            | Self::OpenNamespace { source, .. }
            | Self::MakeNamespace(source) => source.raw_os_error(),
            _ => None,
        }
    }

    /// Whether the object of the request does not exist.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self.errno(), Some(nix::libc::ENODEV | nix::libc::ENOENT))
    }

    /// Whether another link on the same one has the MAC address, or the address.
    pub fn is_in_use(&self) -> bool {
        self.errno() == Some(nix::libc::EADDRINUSE)
    }

    /// Whether the kernel, or a driver of it, cannot do such a thing at all.
    pub fn is_unsupported(&self) -> bool {
        self.errno() == Some(nix::libc::EOPNOTSUPP)
    }

    /// Whether the kernel, or the link, has nothing of the protocol that the request is about.
    pub(crate) fn is_without_family(&self) -> bool {
        self.errno() == Some(nix::libc::EAFNOSUPPORT)
    }

    /// Whether the object of the request exists already.
    pub fn is_there_already(&self) -> bool {
        self.errno() == Some(nix::libc::EEXIST)
    }
}
