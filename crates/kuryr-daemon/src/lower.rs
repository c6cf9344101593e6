//! The link of a VM that the links of its pods are on top of: the one whose port is the parent of the trunk.

use std::net::IpAddr;

use kuryr_net::{Link, Netlink};

use crate::{
    failure::{Chain, Failure},
    node::Node,
};

impl Node {
    /// The link that is configured and there, or else the one that has the Node's address.
    pub async fn lower(&self, host: &Netlink) -> Result<Link, Failure> {
        if let Some(name) = &self.link_iface
            && let Some(link) = host.link(name).await?
        {
            return Ok(link);
        }
        let facts = self.own.facts();
        let addresses = facts.map(|facts| facts.addresses).unwrap_or_default();
        for address in &addresses {
            let Some(index) = host.link_with_address(*address).await? else { continue };
            if let Some(link) = host.links().await?.into_iter().find(|link| link.index == index) {
                return Ok(link);
            }
        }
        Err(Failure::NoLower(without_lower(self.link_iface.as_deref(), &addresses)))
    }

    /// What is wrong with the node's own link, if anything is.
    pub async fn lower_trouble(&self) -> Option<String> {
        let look = async { self.lower(&self.host.netlink().await?).await };
        look.await.err().map(|failure| Chain(&failure).to_string())
    }
}

fn without_lower(configured: Option<&str>, addresses: &[IpAddr]) -> String {
    let missing = configured.map(|name| format!("[binding] link_iface is {name}, which is not there, and "));
    let listed = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let searched = match addresses {
        [] => "nobody has told which address the Node has (InternalIP)".to_owned(),
        _ => format!("none has an address of the Node (InternalIP {listed})"),
    };
    let missing = missing.unwrap_or_default();
    format!("{missing}{searched}: set [binding] link_iface to the link whose port is the trunk's parent")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_link_is_named_with_what_to_set() {
        let addresses = ["10.2.0.7".parse().unwrap(), "fd00::7".parse().unwrap()];
        let text = without_lower(Some("eth7"), &addresses);
        for part in ["eth7, which is not there", "10.2.0.7, fd00::7", "set [binding] link_iface"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(without_lower(None, &[]).starts_with("nobody has told"));
    }
}
