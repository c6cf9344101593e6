//! A fake Octavia, as far as it is asked: it names its providers.

use crate::{
    keystone::{FakeKeystone, unauthorized},
    reply::{Reply, segments},
};
use axum::http::{HeaderMap, Method, Uri};
use serde_json::json;

pub(crate) fn answer(keystone: &FakeKeystone, method: &Method, uri: &Uri, headers: &HeaderMap) -> Reply {
    let path = segments(uri.path());
    let path: Vec<_> = path.iter().map(String::as_str).collect();
    match (method.as_str(), path.as_slice()) {
        _ if !keystone.accepts(headers) => unauthorized(),
        ("GET", ["v2.0", "lbaas", "providers"]) => {
            Reply::ok(json!({ "providers": [{ "name": "ovn", "description": "Octavia OVN driver" }] }))
        }
        _ => Reply::new(404, json!({ "faultcode": "Client", "faultstring": "Not found", "debuginfo": null })),
    }
}
