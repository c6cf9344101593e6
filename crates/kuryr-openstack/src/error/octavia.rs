//! What Octavia tells in words only: for these troubles its statuses are those of others.
//!
//! A provider hands on what Neutron says of the port for a load balancer's address. Octavia answers all of it with "the address
//! is already in use" (409) or as a failure of the provider's (500).

use super::Kind;

/// In which words it tells what. The first that fits counts.
const WORDS: [(&str, Kind); 5] = [
    // Octavia's own quota, with the status of a missing right.
    ("Quota has been met for resources", Kind::OverQuota),
    // Neutron's, of ports.
    ("Quota exceeded for resources", Kind::OverQuota),
    ("No more IP addresses available", Kind::NoFreeAddress),
    ("is not a valid IP for the specified subnet", Kind::Invalid),
    // Of members for a pool that is deleted while Octavia reads the request.
    ("is not a valid option for pool_id", Kind::NotFound),
];

/// What `message` amounts to, if its words tell more than the status does.
pub(super) fn kind(message: &str) -> Option<Kind> {
    WORDS.iter().find(|(words, _)| message.contains(words)).map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use crate::{Class, Kind, Refusal, Service, Target};
    use http::{Method, StatusCode};
    use std::sync::Arc;

    #[test]
    fn octavias_words_count_more_than_its_status() {
        for (status, says, kind, class) in [
            (403, "Quota has been met for resources: Listener", Kind::OverQuota, Class::Wait),
            (403, "Policy does not allow this request to be performed.", Kind::Forbidden, Class::Wait),
            (
                409,
                "The VIP IP address is already in use: Quota exceeded for resources: ['port'].",
                Kind::OverQuota,
                Class::Wait,
            ),
            (
                409,
                "The VIP IP address is already in use: No more IP addresses available on network n.",
                Kind::NoFreeAddress,
                Class::Wait,
            ),
            (
                409,
                "The VIP IP address is already in use: IP address 10.0.0.7 already allocated in subnet s",
                Kind::Conflict,
                Class::Retry,
            ),
            (
                500,
                "Provider 'ovn' reports error: IP address 192.0.2.7 is not a valid IP for the specified subnet.",
                Kind::Invalid,
                Class::Permanent,
            ),
            (
                400,
                "5c8ac3c4-5c0a-4ad4-a0d2-1c9a6d4ab1a5 is not a valid option for pool_id",
                Kind::NotFound,
                Class::Permanent,
            ),
            (400, "TCP is not a valid option for protocol", Kind::Invalid, Class::Permanent),
            (501, "Provider 'ovn' does not support a requested option", Kind::Unsupported, Class::Permanent),
        ] {
            let call =
                Target { service: Service::LoadBalancer, method: Method::POST, path: "/lbaas/pools".into() };
            let body = serde_json::json!({ "faultcode": "Client", "faultstring": says, "debuginfo": null });
            let status = StatusCode::from_u16(status).unwrap();
            let refusal = Refusal::read(call, status, None, None, body.to_string().as_bytes());
            let error = crate::Error::Refused(Arc::new(refusal));
            assert_eq!((error.kind(), error.class()), (kind, class), "{says}");
        }
    }
}
