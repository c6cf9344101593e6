//! A netlink socket of one namespace, and the threads on which such sockets work.

use std::{io, sync::LazyLock};

use tokio::{runtime::Runtime, task::JoinHandle};

use crate::error::NetError;

/// More than a few never work at the same time: the kernel changes one link after the other.
const THREADS: usize = 4;

/// A netlink socket; what it does happens in the namespace that it was opened in.
#[derive(Debug)]
pub struct Netlink {
    pub(crate) handle: rtnetlink::Handle,
    connection: JoinHandle<()>,
}

impl Netlink {
    /// Opens a socket in the namespace of the calling thread.
    pub(crate) fn open(threads: &Runtime) -> io::Result<Self> {
        let _context = threads.enter();
        let (connection, handle, _) = rtnetlink::new_connection()?;
        Ok(Self { handle, connection: threads.spawn(connection) })
    }
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Threads that may wait for the kernel: it does what it is asked while it takes the request, which lasts up to 100 ms where many links
/// are deleted, and as long as somebody else's request does. Those of the program have better things to do.
pub(crate) fn threads() -> Result<&'static Runtime, NetError> {
    static STARTED: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(THREADS).thread_name("netlink").enable_io().build()
    });
    STARTED.as_ref().map_err(|error| NetError::Thread(io::Error::new(error.kind(), error.to_string())))
}
