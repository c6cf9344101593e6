//! What a port's neighbours are told of it before it has a pod: frames as the pod's kernel would send them.
//!
//! Who has talked with an earlier owner of an address remembers another MAC address, for seconds or, where it is a router of OVN, for
//! minutes. The words are those of a kernel with `arp_notify` and `ndisc_notify`: a gratuitous ARP request (RFC 5227, 3), an unsolicited
//! neighbour advertisement (RFC 4861, 7.2.6).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use kuryr_net::MacAddr;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
const ARP: [u8; 2] = [8, 6];
const IPV6: [u8; 2] = [0x86, 0xdd];
const ICMPV6: u8 = 58;
/// Ethernet and IPv4, with the lengths of their addresses; a request.
const ARP_REQUEST: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 1];
/// Of type 136, its checksum left out, that overrides what is remembered.
const ADVERTISEMENT: [u8; 8] = [136, 0, 0, 0, 0x20, 0, 0, 0];
/// The sender's link-layer address follows.
const TARGET_ADDRESS: [u8; 2] = [2, 1];

/// A frame for each address.
pub fn frames(mac: MacAddr, addresses: impl IntoIterator<Item = IpAddr>) -> Vec<Vec<u8>> {
    let of = |address| match address {
        IpAddr::V4(address) => arp(mac, address),
        IpAddr::V6(address) => advertisement(mac, address),
    };
    addresses.into_iter().map(of).collect()
}

fn arp(mac: MacAddr, address: Ipv4Addr) -> Vec<u8> {
    let (mac, address) = (mac.octets(), address.octets());
    [&[0xff; 6][..], &mac, &ARP, &ARP_REQUEST, &mac, &address, &[0; 6], &address].concat()
}

fn advertisement(mac: MacAddr, address: Ipv6Addr) -> Vec<u8> {
    let (mac, source, destination) = (mac.octets(), address.octets(), ALL_NODES.octets());
    let mut word = [&ADVERTISEMENT[..], &source, &TARGET_ADDRESS, &mac].concat();
    let length = [0, 32];
    let sum = checksum(&[&source[..], &destination, &[0, 0], &length, &[0, 0, 0, ICMPV6], &word].concat());
    word[2..4].copy_from_slice(&sum.to_be_bytes());
    let header = [0x60, 0, 0, 0, length[0], length[1], ICMPV6, 255];
    [&ALL_NODES_MAC[..], &mac, &IPV6, &header, &source, &destination, &word].concat()
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let folded = (sum >> 16) + (sum & 0xffff);
    !u16::try_from((folded + (folded >> 16)) & 0xffff).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(address: &str) -> Vec<u8> {
        frames("fa:16:3e:d3:2f:43".parse().unwrap(), [address.parse().unwrap()]).remove(0)
    }

    fn bytes(hexadecimal: &str) -> Vec<u8> {
        let digits: Vec<_> = hexadecimal.chars().filter_map(|digit| digit.to_digit(16)).collect();
        digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
    }

    #[test]
    fn an_ipv4_address_is_told_by_a_gratuitous_arp_request() {
        let expected =
            "ffffffffffff fa163ed32f43 0806 0001080006040001 fa163ed32f43 0a01030c 000000000000 0a01030c";
        assert_eq!(told("10.1.3.12"), bytes(expected));
    }

    /// A kernel takes it, and checks its sum: `e2e/tests/pools/main.rs` sees it.
    #[test]
    fn an_ipv6_address_is_told_by_an_unsolicited_advertisement() {
        let expected = "333300000001 fa163ed32f43 86dd 6000000000203aff fd100001000000000000000000000317 \
                        ff020000000000000000000000000001 8800ee2020000000 fd100001000000000000000000000317 \
                        0201fa163ed32f43";
        assert_eq!(told("fd10:1::317"), bytes(expected));
    }
}
