//! Linux bridges, for hybrid plugs.

use std::time::Duration;

use rtnetlink::LinkBridge;

use crate::{error::NetError, netlink::Netlink};

impl Netlink {
    /// Makes a bridge for one port, set up. It forgets MAC addresses at once, since it has nobody to tell apart.
    pub async fn add_bridge(&self, name: &str, mtu: u32) -> Result<(), NetError> {
        let message = LinkBridge::new(name)
            .ageing_time(centiseconds(Duration::ZERO))
            .forward_delay(centiseconds(Duration::ZERO))
            .mcast_snooping(false)
            .mtu(mtu)
            .up()
            .build();
        let made = self.handle.link().add(message).execute().await;
        match made.map_err(|error| NetError::netlink(format!("make the bridge {name}"), error)) {
            Err(error) if !error.is_there_already() => Err(error),
            _ => Ok(()),
        }
    }
}

/// The kernel's unit for a bridge's timers.
fn centiseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis() / 10).unwrap_or(u32::MAX)
}
