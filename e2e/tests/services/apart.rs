//! What no packet can show here, seen in OVN instead.

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::PostParams;
use kuryr_e2e::{Ending, ensure, seconds, story, until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// The kernel of the lab has no SCTP.
#[tokio::test]
async fn sctp_is_forwarded() -> Ending {
    story("SCTP, in OVN's northbound database", async |stage| {
        let ports = json!([{ "name": "signals", "port": 80, "protocol": "SCTP", "targetPort": 9999 }]);
        let service = stage.service("signals").ports(ports).with("selector", Value::Null).start().await?;
        let slice = json!({
            "metadata": { "name": "signals", "labels": { "kubernetes.io/service-name": "signals" } },
            "addressType": "IPv4",
            "ports": [{ "name": "signals", "port": 9999, "protocol": "SCTP" }],
            "endpoints": [{ "addresses": ["10.1.250.1"] }, { "addresses": ["10.1.250.2"] }],
        });
        let slices = stage.api::<EndpointSlice>();
        slices.create(&PostParams::default(), &serde_json::from_value(slice)?).await?;
        let expected: BTreeSet<SocketAddr> =
            [[10, 1, 250, 1], [10, 1, 250, 2]].map(|address| (address, 9999).into()).into();
        until("OVN forwards SCTP", seconds(20), async || {
            let forwards = stage.ovn_forwards("sctp", service.at(80)).await?;
            ensure!(forwards == expected, "to {forwards:?}");
            Ok(())
        })
        .await
    })
    .await
}
