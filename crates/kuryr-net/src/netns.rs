//! Network namespaces, held open.

use std::{
    fs::{File, Metadata},
    io,
    os::fd::{AsRawFd, RawFd},
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{Arc, LazyLock},
};

use nix::{
    sched::{CloneFlags, setns, unshare},
    sys::statfs::{NSFS_MAGIC, fstatfs},
};
use tokio::sync::oneshot;

use crate::{
    error::NetError,
    netlink::{self, Netlink},
};

/// The namespace of the calling thread. Threads of this project never change it, except those that end right afterwards.
const OWN: &str = "/proc/thread-self/ns/net";

/// A network namespace that exists as long as this value does.
#[derive(Debug, Clone)]
pub struct NetNs {
    file: Arc<File>,
    id: NetNsId,
    name: Arc<str>,
}

/// What tells two namespaces apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NetNsId {
    device: u64,
    inode: u64,
}

/// The number by which the kernel tells of one namespace inside another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NetNsNumber(pub(crate) i32);

impl NetNs {
    /// Opens a namespace by a file that it is mounted on, or a `/proc/PID/ns/net`. `None` when there is no namespace there (any more).
    pub fn open(path: &Path) -> Result<Option<Self>, NetError> {
        match File::open(path).and_then(|file| Self::from_file(file, path)) {
            Ok(namespace) => Ok(namespace),
            Err(source)
                if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                Ok(None)
            }
            Err(source) => Err(NetError::OpenNamespace { path: path.to_owned(), source }),
        }
    }

    /// The namespace that this process runs in.
    pub fn own() -> Result<Self, NetError> {
        let missing = || NetError::OpenNamespace { path: OWN.into(), source: io::ErrorKind::NotFound.into() };
        Self::open(Path::new(OWN))?.ok_or_else(missing)
    }

    /// Makes a namespace that has no name: it goes, with the links in it, when the last clone of the value does.
    pub async fn fresh() -> Result<Self, NetError> {
        let (made, done) = oneshot::channel();
        let leave = move || {
            // Nobody waits for the result any more when the caller was cancelled.
            let _ = made.send(match unshare(CloneFlags::CLONE_NEWNET) {
                Ok(()) => Self::own(),
                Err(errno) => Err(NetError::MakeNamespace(errno.into())),
            });
        };
        let thread = std::thread::Builder::new().name("netns".to_owned()).spawn(leave);
        thread.map_err(NetError::Thread)?;
        done.await.map_err(|error| NetError::Thread(io::Error::other(error)))?
    }

    /// A file that was a mount point of a namespace stays behind as an empty one when the namespace goes.
    fn from_file(file: File, path: &Path) -> io::Result<Option<Self>> {
        if fstatfs(&file)?.filesystem_type() != NSFS_MAGIC {
            return Ok(None);
        }
        let id = NetNsId::from(&file.metadata()?);
        Ok(Some(Self { file: Arc::new(file), id, name: path.to_string_lossy().into() }))
    }

    /// What tells this namespace from others.
    pub fn id(&self) -> NetNsId {
        self.id
    }

    /// What it was opened by.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Runs something on a thread of its own inside the namespace.
    pub async fn enter<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NetError> {
        let (result, done) = oneshot::channel();
        let file = Arc::clone(&self.file);
        let inside = move || {
            // Nobody waits for the result any more when the caller was cancelled.
            let _ = result.send(setns(&*file, CloneFlags::CLONE_NEWNET).map(|()| work()));
        };
        let thread = std::thread::Builder::new().name("netns".to_owned()).spawn(inside);
        thread.map_err(NetError::Thread)?;
        let entered = done.await.map_err(|error| NetError::Thread(io::Error::other(error)))?;
        entered.map_err(|errno| NetError::EnterNamespace {
            namespace: self.name.to_string(),
            source: errno.into(),
        })
    }

    /// Opens a netlink socket inside the namespace. It may be used from anywhere: a socket stays where it was born.
    pub async fn netlink(&self) -> Result<Netlink, NetError> {
        let threads = netlink::threads()?;
        let socket = if self.is_own() {
            Netlink::open(threads)
        } else {
            self.enter(move || Netlink::open(threads)).await?
        };
        socket.map_err(NetError::Socket)
    }

    /// Whether this process runs in it.
    fn is_own(&self) -> bool {
        static OWN: LazyLock<Option<NetNsId>> = LazyLock::new(|| NetNs::own().ok().map(|own| own.id));
        *OWN == Some(self.id)
    }
}

impl From<&Metadata> for NetNsId {
    fn from(file: &Metadata) -> Self {
        Self { device: file.dev(), inode: file.ino() }
    }
}
