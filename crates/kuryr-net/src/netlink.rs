//! A netlink socket of one namespace.

use tokio::task::JoinHandle;

/// A netlink socket; what it does happens in the namespace that it was opened in.
#[derive(Debug)]
pub struct Netlink {
    pub(crate) handle: rtnetlink::Handle,
    connection: JoinHandle<()>,
}

impl Netlink {
    pub(crate) fn new(handle: rtnetlink::Handle, connection: JoinHandle<()>) -> Self {
        Self { handle, connection }
    }
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
