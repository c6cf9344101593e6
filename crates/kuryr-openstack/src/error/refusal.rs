//! An error status, and what its body says: each of OpenStack's services says it in a shape of its own.

use super::{Effect, Kind, Target, octavia};
use crate::Service;
use http::{Method, StatusCode};
use serde::Deserialize;
use std::{collections::BTreeMap, fmt, time::Duration};

/// An error status, with all that OpenStack says about it.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// What was asked.
    pub call: Target,
    /// The HTTP status.
    pub status: StatusCode,
    /// OpenStack's message to the user.
    pub message: String,
    /// Neutron's name for the error (`OverQuota`, `IpAddressAlreadyAllocated`), if it gave one.
    pub neutron_type: Option<String>,
    /// What to search the server's logs for.
    pub request_id: Option<String>,
    /// How long the server asks us to wait.
    pub retry_after: Option<Duration>,
    /// What it amounts to.
    pub kind: Kind,
}

impl Refusal {
    /// Reads what an error answer's body says: Neutron's, Keystone's, Octavia's and Nova's shapes, or else its text.
    pub(crate) fn read(
        call: Target,
        status: StatusCode,
        request_id: Option<String>,
        retry_after: Option<Duration>,
        body: &[u8],
    ) -> Self {
        let (message, neutron_type) = explain(body);
        let kind = match (call.service, neutron_type.as_deref()) {
            (Service::Network, None | Some(NO_SUCH_PATH))
                if status == StatusCode::NOT_FOUND && may_be_there(&call) =>
            {
                Kind::Unavailable
            }
            (Service::LoadBalancer, None) => octavia::kind(&message).unwrap_or_else(|| kind_of(status, None)),
            (_, name) => kind_of(status, name),
        };
        Self { call, status, message, neutron_type, request_id, retry_after, kind }
    }

    /// A service that answers 503 or 4xx has not begun; 500, 502 and 504 may come from anywhere on the way.
    pub(super) fn effect(&self) -> Effect {
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => Effect::None,
            status if status.is_client_error() => Effect::None,
            _ => Effect::Unknown,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was answered {}", self.call, self.status)?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        match (&self.neutron_type, &self.request_id) {
            (Some(kind), Some(id)) => write!(f, " ({kind}, {id})"),
            (Some(note), None) | (None, Some(note)) => write!(f, " ({note})"),
            (None, None) => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}

/// Neutron's name for a 404 that is about the path, or hides whether there is something: for some tenths of a second after its start
/// it answers so for all that exists, since it has not read yet who may see it. What does not exist has names (`PortNotFound`).
const NO_SUCH_PATH: &str = "HTTPNotFound";

/// Longer texts (a proxy's HTML page) say nothing more.
const LONGEST_TEXT: usize = 300;

/// What is told with a 404 or 400, though what the request names is there and the request makes sense.
const CONFLICTS: [&str; 3] = [
    // The port and the network are there; what is missing is a router between them.
    "ExternalGatewayForFloatingIPNotFound",
    // The address group is there, and some of the addresses are in it already, or not any more.
    "AddressesAlreadyExist",
    "AddressesNotFound",
];

#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    Neutron {
        #[serde(rename = "NeutronError")]
        error: NeutronError,
    },
    Keystone {
        error: KeystoneError,
    },
    Octavia {
        faultstring: String,
    },
    /// Neutron's, of what is not there to be read by this user.
    Bare {
        #[serde(rename = "type")]
        name: String,
        message: String,
    },
    Plain {
        message: String,
    },
    /// `{"conflictingRequest": {"code": 409, "message": "…"}}`
    Nova(BTreeMap<String, KeystoneError>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NeutronError {
    Full {
        #[serde(rename = "type")]
        name: String,
        message: String,
    },
    Text(String),
}

#[derive(Deserialize)]
struct KeystoneError {
    message: String,
}

/// What is to be changed is there, as far as we know. Of what is read only these objects are: lists are answered so for ever where the
/// API lacks an extension, and what administrators may read (`/network-ip-availabilities/{id}`) where the user is none.
fn may_be_there(call: &Target) -> bool {
    const OBJECTS: [&str; 7] =
        ["address-groups", "floatingips", "networks", "ports", "security-groups", "subnets", "trunks"];
    let collection = call.path.trim_start_matches('/').split_once('/').map(|(collection, _)| collection);
    call.method != Method::GET || collection.is_some_and(|collection| OBJECTS.contains(&collection))
}

fn explain(body: &[u8]) -> (String, Option<String>) {
    match serde_json::from_slice(body) {
        Ok(Body::Neutron { error: NeutronError::Full { name, message } } | Body::Bare { name, message }) => {
            (message, Some(name))
        }
        Ok(
            Body::Neutron { error: NeutronError::Text(message) }
            | Body::Keystone { error: KeystoneError { message } }
            | Body::Octavia { faultstring: message }
            | Body::Plain { message },
        ) => (message, None),
        Ok(Body::Nova(faults)) => (faults.into_values().map(|fault| fault.message).collect(), None),
        Err(_) => (String::from_utf8_lossy(body).trim().chars().take(LONGEST_TEXT).collect(), None),
    }
}

fn kind_of(status: StatusCode, neutron_type: Option<&str>) -> Kind {
    match (status, neutron_type) {
        (_, Some("OverQuota" | "AllowedAddressPairExhausted")) => Kind::OverQuota,
        (_, Some("IpAddressGenerationFailure" | "IpAddressGenerationFailureAllSubnets")) => {
            Kind::NoFreeAddress
        }
        (_, Some("SecurityGroupInUse" | "AddressGroupInUse")) => Kind::InUse,
        (StatusCode::CONFLICT, _) => Kind::Conflict,
        (_, Some(name)) if CONFLICTS.contains(&name) => Kind::Conflict,
        (StatusCode::NOT_FOUND, _) => Kind::NotFound,
        (StatusCode::PRECONDITION_FAILED, _) => Kind::Stale,
        (StatusCode::UNAUTHORIZED, _) => Kind::Unauthorized,
        (StatusCode::FORBIDDEN, _) => Kind::Forbidden,
        (StatusCode::TOO_MANY_REQUESTS, _) => Kind::RateLimited,
        (StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT, _) => Kind::TimedOut,
        (StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE, _) => Kind::Unavailable,
        (StatusCode::NOT_IMPLEMENTED, _) => Kind::Unsupported,
        (status, _) if status.is_server_error() => Kind::Fault,
        _ => Kind::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Class, Error};
    use std::sync::Arc;

    fn refusal(status: u16, body: &str) -> Error {
        refusal_of(Method::POST, "/ports", status, body)
    }

    fn refusal_of(method: Method, path: &str, status: u16, body: &str) -> Error {
        let call = Target { service: Service::Network, method, path: path.into() };
        let status = StatusCode::from_u16(status).unwrap();
        Error::Refused(Arc::new(Refusal::read(call, status, Some("req-1".into()), None, body.as_bytes())))
    }

    #[test]
    fn neutrons_error_is_read() {
        let error = refusal(
            409,
            r#"{"NeutronError": {"type": "OverQuota", "message": "Quota exceeded for resources: ['port'].", "detail": ""}}"#,
        );
        assert_eq!(
            (error.kind(), error.class(), error.effect()),
            (Kind::OverQuota, Class::Wait, Effect::None)
        );
        assert_eq!(
            error.to_string(),
            "POST /ports of network was answered 409 Conflict: Quota exceeded for resources: ['port']. (OverQuota, req-1)"
        );
    }

    #[test]
    fn each_service_says_it_in_its_own_shape() {
        for (body, message) in [
            (r#"{"error": {"code": 401, "message": "no", "title": "Unauthorized"}}"#, "no"),
            (r#"{"faultcode": "Client", "faultstring": "immutable", "debuginfo": null}"#, "immutable"),
            (r#"{"NeutronError": "bare"}"#, "bare"),
            (r#"{"message": "plain"}"#, "plain"),
            (
                r#"{"conflictingRequest": {"code": 409, "message": "Port 1 is still in use."}}"#,
                "Port 1 is still in use.",
            ),
            ("  <html>gateway</html>\n", "<html>gateway</html>"),
            ("", ""),
        ] {
            assert_eq!(refusal(500, body).refusal().unwrap().message, message);
        }
    }

    #[test]
    fn statuses_have_their_kind_class_and_effect() {
        use Class::{Permanent, Retry, Wait};
        for (status, kind, class, effect) in [
            (400, Kind::Invalid, Permanent, Effect::None),
            (401, Kind::Unauthorized, Wait, Effect::None),
            (403, Kind::Forbidden, Wait, Effect::None),
            (409, Kind::Conflict, Retry, Effect::None),
            (412, Kind::Stale, Retry, Effect::None),
            (429, Kind::RateLimited, Retry, Effect::None),
            (500, Kind::Fault, Retry, Effect::Unknown),
            (501, Kind::Unsupported, Permanent, Effect::Unknown),
            (502, Kind::Unavailable, Retry, Effect::Unknown),
            (503, Kind::Unavailable, Retry, Effect::None),
            (504, Kind::TimedOut, Retry, Effect::Unknown),
        ] {
            let error = refusal(status, "");
            assert_eq!((error.kind(), error.class(), error.effect()), (kind, class, effect), "{status}");
        }
    }

    #[test]
    fn a_404_that_names_nothing_may_come_from_a_server_that_is_starting() {
        for body in [
            r#"{"NeutronError": {"type": "HTTPNotFound", "message": "The resource could not be found.", "detail": ""}}"#,
            // What policy hides from a read.
            r#"{"type": "HTTPNotFound", "message": "The resource could not be found.", "detail": ""}"#,
            // The same of older servers, and a proxy's.
            r#"{"port": {"id": "1"}}"#,
            "<html>404 Not Found</html>",
        ] {
            for (method, path, kind, class) in [
                (Method::POST, "/ports", Kind::Unavailable, Class::Retry),
                (Method::GET, "/ports/1", Kind::Unavailable, Class::Retry),
                (Method::PUT, "/ports/1", Kind::Unavailable, Class::Retry),
                (Method::DELETE, "/ports/1", Kind::Unavailable, Class::Retry),
                (Method::GET, "/trunks", Kind::NotFound, Class::Permanent),
                (Method::GET, "/quotas/1/details.json", Kind::NotFound, Class::Permanent),
                (Method::GET, "/network-ip-availabilities/1", Kind::NotFound, Class::Permanent),
            ] {
                let error = refusal_of(method, path, 404, body);
                assert_eq!(
                    (error.kind(), error.class(), error.effect()),
                    (kind, class, Effect::None),
                    "{path}"
                );
            }
        }
    }

    #[test]
    fn an_exhausted_subnet_is_not_just_a_conflict() {
        let error = refusal(
            409,
            r#"{"NeutronError": {"type": "IpAddressGenerationFailure", "message": "No more IP addresses", "detail": ""}}"#,
        );
        assert_eq!((error.kind(), error.class()), (Kind::NoFreeAddress, Class::Wait));
    }

    #[test]
    fn what_stands_in_the_way_is_told_whatever_the_status() {
        for (status, name, kind) in [
            (404, "ExternalGatewayForFloatingIPNotFound", Kind::Conflict),
            (400, "AddressesAlreadyExist", Kind::Conflict),
            (404, "AddressesNotFound", Kind::Conflict),
            (404, "AddressGroupNotFound", Kind::NotFound),
            (400, "AllowedAddressPairExhausted", Kind::OverQuota),
            (409, "SecurityGroupInUse", Kind::InUse),
            (409, "AddressGroupInUse", Kind::InUse),
            (409, "SecurityGroupRuleExists", Kind::Conflict),
        ] {
            let body = format!(r#"{{"NeutronError": {{"type": "{name}", "message": "no", "detail": ""}}}}"#);
            assert_eq!(refusal(status, &body).kind(), kind, "{name}");
        }
    }
}
