//! What each provider can do, and in which words it refuses the rest.

use super::{Object, fault, invalid, text};
use crate::reply::Reply;
use serde_json::{Value, json};

/// What makes load balancers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// OVN itself: TCP, UDP and SCTP, spread by source.
    Ovn,
    /// Virtual machines with `HAProxy` and LVS.
    Amphora,
}

type Checked = Result<(), Reply>;

/// The protocols that a pool has to do with.
pub(super) struct Pooling<'a> {
    pub(super) protocol: &'a str,
    /// That of the listener, where the pool is to be its.
    pub(super) listener: Option<&'a str>,
}

const LISTENER_PROTOCOLS: [&str; 7] =
    ["UDP", "SCTP", "TERMINATED_HTTPS", "HTTP", "HTTPS", "TCP", "PROMETHEUS"];
const POOL_PROTOCOLS: [&str; 7] = ["TCP", "UDP", "HTTP", "HTTPS", "PROXY", "PROXYV2", "SCTP"];
const ALGORITHMS: [&str; 4] = ["ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP", "SOURCE_IP_PORT"];
const PERSISTENCES: [&str; 3] = ["SOURCE_IP", "HTTP_COOKIE", "APP_COOKIE"];
const MONITORS: [&str; 7] = ["UDP-CONNECT", "SCTP", "HTTP", "PING", "HTTPS", "TLS-HELLO", "TCP"];
const OVN_PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
const OVN_ALGORITHMS: [&str; 2] = ["SOURCE_IP_PORT", "SOURCE_IP"];

impl Provider {
    const ALL: [Self; 2] = [Self::Ovn, Self::Amphora];

    /// What Octavia calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ovn => "ovn",
            Self::Amphora => "amphora",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.name() == name)
    }

    /// The list of all.
    pub(super) fn shown() -> Value {
        let one = |provider: Self| {
            let description = match provider {
                Self::Ovn => "Octavia OVN driver",
                Self::Amphora => "The Octavia Amphora driver.",
            };
            json!({ "name": provider.name(), "description": description })
        };
        Self::ALL.into_iter().map(one).collect()
    }

    pub(super) fn check_balancer(self, new: &Object) -> Checked {
        let asks_for = |name: &str| new.get(name).is_some_and(|value| !value.is_null());
        // Flavors and zones are profiles of a provider's, and only amphora's has some.
        match self {
            Self::Ovn if asks_for("flavor_id") => Err(invalid("Invalid flavor_id.")),
            Self::Ovn if asks_for("availability_zone") => Err(invalid("Invalid availability zone.")),
            Self::Ovn | Self::Amphora => Ok(()),
        }
    }

    /// What becomes of Neutron's refusal to make the port of an address.
    pub(super) fn no_vip(self, why: &Reply) -> Reply {
        let said = why.neutron_message().unwrap_or_default();
        match why.status() {
            409 => fault(409, &format!("The VIP IP address is already in use: {said}")),
            _ => fault(500, &format!("Provider '{}' reports error: {said}", self.name())),
        }
    }

    pub(super) fn check_failover(self) -> Checked {
        match self {
            Self::Ovn => Err(self.unsupported("OVN provider does not support loadbalancer failover")),
            Self::Amphora => Ok(()),
        }
    }

    /// Checks a listener or a change of one at this address.
    pub(super) fn check_listener(self, asked: &Object, vip: &str) -> Checked {
        one_of(asked, "protocol", &LISTENER_PROTOCOLS)?;
        let ranges: Vec<_> =
            asked.get("allowed_cidrs").and_then(Value::as_array).into_iter().flatten().collect();
        let other_family =
            |range: &&&Value| range.as_str().is_some_and(|one| one.contains(':') != vip.contains(':'));
        if let Some(range) = ranges.iter().find(other_family) {
            let range = range.as_str().unwrap_or_default();
            return Err(invalid(&format!("CIDR {range} IP version incompatible with all VIPs {vip}")));
        }
        match (self, asked.get("protocol").and_then(Value::as_str)) {
            (Self::Ovn, _) if !ranges.is_empty() => {
                Err(self.unsupported("OVN provider does not support allowed_cidrs option"))
            }
            (Self::Ovn, Some(protocol)) if !OVN_PROTOCOLS.contains(&protocol) => {
                Err(self.unsupported(&format!("OVN provider does not support {protocol} protocol")))
            }
            _ => Ok(()),
        }
    }

    /// Checks a pool or a change of one as Octavia itself does.
    pub(super) fn check_pooling(asked: &Object, pooling: &Pooling<'_>) -> Checked {
        one_of(asked, "protocol", &POOL_PROTOCOLS)?;
        one_of(asked, "lb_algorithm", &ALGORITHMS)?;
        let datagrams = matches!(pooling.protocol, "UDP" | "SCTP");
        if let Some(persistence) = asked.get("session_persistence").and_then(Value::as_object) {
            check_persistence(persistence, datagrams)?;
        }
        if let Some(listener) = pooling.listener
            && !pools_for(listener).contains(&pooling.protocol)
        {
            let pool = pooling.protocol;
            let why =
                format!("The pool protocol '{pool}' is invalid while the listener protocol is '{listener}'.");
            return Err(invalid(&why));
        }
        Ok(())
    }

    /// Checks what the provider itself looks at.
    pub(super) fn check_pool(self, asked: &Object) -> Checked {
        let (protocol, algorithm) = (text(asked, "protocol"), text(asked, "lb_algorithm"));
        let persistence = asked.get("session_persistence").and_then(|how| how["type"].as_str());
        match self {
            Self::Ovn if !protocol.is_empty() && !OVN_PROTOCOLS.contains(&protocol) => {
                Err(self.unsupported(&format!("OVN provider does not support {protocol} protocol")))
            }
            Self::Ovn if !algorithm.is_empty() && !OVN_ALGORITHMS.contains(&algorithm) => {
                Err(self.unsupported(&format!("OVN provider does not support {algorithm} algorithm")))
            }
            Self::Ovn if persistence.is_some_and(|kind| kind != "SOURCE_IP") => {
                Err(fault(500, "Provider 'ovn' reports error: 'dict' object has no attribute 'type'"))
            }
            Self::Amphora if algorithm == "SOURCE_IP_PORT" => {
                Err(self.unsupported("Amphora provider does not support SOURCE_IP_PORT algorithm."))
            }
            Self::Ovn | Self::Amphora => Ok(()),
        }
    }

    /// Checks a health monitor or a change of one as Octavia itself does, for a pool of this protocol.
    pub(super) fn check_monitoring(asked: &Object, pool: &str) -> Checked {
        one_of(asked, "type", &MONITORS)?;
        for name in ["max_retries", "max_retries_down"] {
            if let Some(retries) = asked.get(name).and_then(Value::as_u64).filter(|retries| *retries > 10) {
                let why = format!(
                    "Invalid input for field/attribute {name}. Value: '{retries}'. Value should be lower or equal to 10"
                );
                return Err(fault(400, &why));
            }
        }
        if text(asked, "type") == "UDP-CONNECT" && !matches!(pool, "UDP" | "SCTP") {
            return Err(invalid("The UDP-CONNECT type is only supported for pools of type UDP/SCTP."));
        }
        Ok(())
    }

    /// Checks what the provider itself looks at.
    pub(super) fn check_monitor(self, asked: &Object) -> Checked {
        let kind = text(asked, "type");
        if self == Self::Ovn && !matches!(kind, "UDP-CONNECT" | "TCP") {
            let why = format!(
                "OVN provider does not support {kind} health monitor type. Supported types: UDP-CONNECT, TCP"
            );
            return Err(self.unsupported(&why));
        }
        Ok(())
    }

    fn unsupported(self, why: &str) -> Reply {
        fault(501, &format!("Provider '{}' does not support a requested option: {why}", self.name()))
    }
}

fn check_persistence(persistence: &Object, datagrams: bool) -> Checked {
    one_of(persistence, "type", &PERSISTENCES)?;
    let has = |name: &str| persistence.get(name).is_some_and(|value| !value.is_null());
    let kind = text(persistence, "type");
    match datagrams {
        false if has("persistence_timeout") => Err(invalid(
            "persistence_timeout and persistence_granularity is only for UDP and SCTP protocol pools.",
        )),
        true if kind.ends_with("COOKIE") => Err(invalid(&format!(
            "Session persistence of type {kind} is not supported for UDP/SCTP protocol pools."
        ))),
        _ if kind == "APP_COOKIE" && !has("cookie_name") => Err(invalid(
            "Field \"cookie_name\" must be specified when using the \"APP_COOKIE\" session persistence type.",
        )),
        _ => Ok(()),
    }
}

/// The protocols of pools that a listener of this protocol can have.
fn pools_for(listener: &str) -> &'static [&'static str] {
    match listener {
        "TCP" => &["HTTP", "HTTPS", "PROXY", "PROXYV2", "TCP"],
        "HTTPS" => &["HTTPS", "PROXY", "PROXYV2", "TCP"],
        "HTTP" | "TERMINATED_HTTPS" => &["HTTP", "PROXY", "PROXYV2"],
        "UDP" => &["UDP"],
        "SCTP" => &["SCTP"],
        _ => &[],
    }
}

fn one_of(asked: &Object, name: &str, known: &[&str]) -> Checked {
    match asked.get(name).and_then(Value::as_str) {
        Some(value) if !known.contains(&value) => {
            let known = known.join(", ");
            let why = format!(
                "Invalid input for field/attribute {name}. Value: '{value}'. Value should be one of: {known}"
            );
            Err(fault(400, &why))
        }
        _ => Ok(()),
    }
}
