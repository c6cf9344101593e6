//! Virtual functions of a network card (SR-IOV). Their MAC address and VLAN are set on the card's physical function, which stays on the
//! host: what has the virtual function, a pod or a program in user space, cannot change them.

use futures::TryStreamExt;
use netlink_packet_route::{
    AddressFamily,
    link::{LinkAttribute, LinkExtentMask, LinkMessage, LinkVfInfo, VfInfo, VfInfoMac, VfInfoVlan},
};
use rtnetlink::LinkUnspec;

use crate::{
    error::NetError,
    link::{Link, LinkIndex},
    mac::MacAddr,
    netlink::Netlink,
};

/// How a virtual function is set on its physical function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function {
    /// The one MAC address that it may send from; zeros: any.
    pub mac: MacAddr,
    /// The VLAN that its frames are put into; 0: none.
    pub vlan: u16,
}

impl Netlink {
    /// How the virtual function of that number is set, if the physical function has such a one and its driver tells.
    pub async fn function(&self, physical: &Link, number: u32) -> Result<Option<Function>, NetError> {
        let get = self.handle.link().get().match_index(physical.index.0);
        let mut found = get.set_filter_mask(AddressFamily::Unspec, vec![LinkExtentMask::Vf]).execute();
        let message = found.try_next().await.map_err(|error| {
            NetError::netlink(format!("look up virtual function {number} of {}", physical.name), error)
        })?;
        Ok(message.and_then(|message| read(&message, number)))
    }

    /// Sets a virtual function on its physical function.
    pub async fn set_function(
        &self,
        physical: &Link,
        number: u32,
        function: Function,
    ) -> Result<(), NetError> {
        let request = self.handle.link().set(message(physical.index, number, function)).execute();
        request.await.map_err(|error| {
            NetError::netlink(
                format!(
                    "give virtual function {number} of {} the MAC address {} and VLAN {}",
                    physical.name, function.mac, function.vlan
                ),
                error,
            )
        })
    }
}

fn message(physical: LinkIndex, number: u32, function: Function) -> LinkMessage {
    let mac = VfInfo::Mac(VfInfoMac::new(number, &function.mac.octets()));
    let vlan = VfInfo::Vlan(VfInfoVlan::new(number, function.vlan.into(), 0));
    LinkUnspec::new_with_index(physical.0)
        .append_extra_attribute(LinkAttribute::VfInfoList(vec![LinkVfInfo(vec![mac, vlan])]))
        .build()
}

fn read(message: &LinkMessage, number: u32) -> Option<Function> {
    let all = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::VfInfoList(all) => Some(all),
        _ => None,
    })?;
    all.iter().find_map(|LinkVfInfo(infos)| {
        let mac = infos.iter().find_map(|info| match info {
            VfInfo::Mac(it) if it.vf_id == number => MacAddr::from_slice(it.mac.get(..6)?),
            _ => None,
        })?;
        let vlan = infos.iter().find_map(|info| match info {
            VfInfo::Vlan(it) => u16::try_from(it.vlan_id).ok(),
            _ => None,
        });
        Some(Function { mac, vlan: vlan.unwrap_or_default() })
    })
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_core::{Emitable, Parseable};

    use super::*;

    /// What iproute2 sends for `ip link set dev PF vf 3 mac fa:16:3e:00:00:07 vlan 101`, PF being link 2: `IFLA_VFINFO_LIST` with one
    /// `IFLA_VF_INFO`, in which `struct ifla_vf_mac` and `struct ifla_vf_vlan` are.
    const SET: &[u8] = b"\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
        \x40\x00\x16\x00\x3c\x00\x01\x00\
        \x28\x00\x01\x00\x03\x00\x00\x00\xfa\x16\x3e\x00\x00\x07\x00\x00\
        \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
        \x10\x00\x02\x00\x03\x00\x00\x00\x65\x00\x00\x00\x00\x00\x00\x00";

    fn function() -> Function {
        Function { mac: "fa:16:3e:00:00:07".parse().unwrap(), vlan: 101 }
    }

    #[test]
    fn a_request_is_what_iproute2_sends() {
        let message = message(LinkIndex(2), 3, function());
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        assert_eq!(bytes, SET);
    }

    #[test]
    fn what_the_kernel_tells_is_understood() {
        let told = LinkMessage::parse(SET).unwrap();
        assert_eq!(read(&told, 3), Some(function()));
        assert_eq!(read(&told, 4), None);
    }
}
