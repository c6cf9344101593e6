//! How the fake Neutron takes allowed address pairs: what its API checks, and what the network's backend allows.

use super::{Checked, Object, bad_request, text};
use crate::reply::Reply;
use serde_json::Value;
use std::collections::HashSet;

/// The most pairs of a port, as the lab has it.
const MOST: usize = 1000;

/// Whether a port may send from MAC addresses that are not its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForeignMacs {
    /// Not while it is bound, as ML2/OVN has it since Neutron 29.
    #[default]
    Refused,
    /// From those of its pairs, as ML2/OVS has it.
    Allowed,
}

/// Refuses what no port takes, and gives pairs without a MAC address that of the port.
pub(super) fn complete(port: &Object, asked: &mut Object) -> Checked<()> {
    let Some(pairs) = asked.get_mut("allowed_address_pairs").and_then(Value::as_array_mut) else {
        return Ok(());
    };
    if pairs.len() > MOST {
        let why = format!("The number of allowed address pair exceeds the maximum {MOST}.");
        return Err(Reply::neutron_error(400, "AllowedAddressPairExhausted", &why));
    }
    let mac = port.get("mac_address").cloned().unwrap_or_default();
    let mut known = HashSet::new();
    for pair in pairs {
        if !pair["ip_address"].is_string() {
            let why = "AllowedAddressPair must contain ip_address";
            return Err(Reply::neutron_error(400, "AllowedAddressPairsMissingIP", why));
        }
        if pair["mac_address"].is_null() {
            pair["mac_address"] = mac.clone();
        }
        if !known.insert(pair.to_string()) {
            let why = format!("Request contains duplicate address pair: {pair}.");
            return Err(Reply::neutron_error(400, "DuplicateAddressPairInRequest", &why));
        }
    }
    Ok(())
}

/// Refuses what the backend does not wire: it looks at a whole port with each change of it.
pub(super) fn check_wired(port: &Object, foreign: ForeignMacs) -> Checked<()> {
    if foreign == ForeignMacs::Allowed || text(port, "binding:vif_type") != "ovs" {
        return Ok(());
    }
    let pairs = port.get("allowed_address_pairs").and_then(Value::as_array);
    let macs = pairs.into_iter().flatten().filter_map(|pair| pair["mac_address"].as_str());
    let own = text(port, "mac_address");
    // Those that routers share by VRRP.
    let is_known = |mac: &str| mac == own || mac.starts_with("00:00:5e:00:0");
    match macs.into_iter().find(|mac| !is_known(mac)) {
        Some(mac) => Err(bad_request(&format!(
            "Invalid input for operation: Virtual MAC address {mac} in allowed address pair does not belong to the RFC 5798 VRRP \
             virtual MAC ranges (00:00:5e:00:01:XX for IPv4 or 00:00:5e:00:02:XX for IPv6)."
        ))),
        None => Ok(()),
    }
}
