//! What the controller's metrics say, in Prometheus' text format.

use std::{cmp::Reverse, collections::BTreeMap};

use serde::Serialize;

use super::facts::Counts;

const REQUESTS: &str = "kuryr_controller_openstack_requests_total";
const QUOTA: &str = "kuryr_quota_free_count";
const BALANCERS: &str = "kuryr_controller_load_balancers";
const FLOATING_IPS: &str = "kuryr_controller_floating_ips";

/// Requests of one kind that ended in one way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Requests {
    pub(super) service: String,
    pub(super) method: String,
    pub(super) route: String,
    /// HTTP status, or what stood in the way of an answer.
    pub(super) status: String,
    pub(super) count: u64,
}

impl Counts {
    /// Reads the text. Lines of no interest are passed over.
    pub(super) fn read(text: &str) -> Self {
        let mut counts = Self::default();
        for (name, labels, value) in text.lines().filter_map(sample) {
            match name {
                REQUESTS => counts.requested(&labels, value),
                QUOTA => {
                    counts.quota_left.insert(label(&labels, "resource"), value);
                }
                BALANCERS => {
                    counts.load_balancers.insert(label(&labels, "state"), value);
                }
                FLOATING_IPS => counts.floating_ips = value,
                _ => {}
            }
        }
        counts.errors.sort_by_key(|error| (Reverse(error.count), error.clone()));
        counts
    }

    fn requested(&mut self, labels: &BTreeMap<&str, &str>, count: i64) {
        let count = u64::try_from(count).unwrap_or_default();
        self.requests += count;
        let status = label(labels, "status");
        let failed = !status.starts_with(['2', '3']);
        if failed && count > 0 {
            let [service, method, route] = ["service", "method", "route"].map(|name| label(labels, name));
            self.errors.push(Requests { service, method, route, status, count });
        }
    }
}

fn label(labels: &BTreeMap<&str, &str>, name: &str) -> String {
    labels.get(name).copied().unwrap_or_default().to_owned()
}

/// `name{label="value",…} 12`. Our labels hold neither quotes nor commas.
fn sample(line: &str) -> Option<(&str, BTreeMap<&str, &str>, i64)> {
    let (series, value) = line.rsplit_once(' ').filter(|_| !line.starts_with('#'))?;
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let pairs = labels.trim_end_matches('}').split(',').filter_map(|pair| pair.split_once('='));
    let labels = pairs.map(|(name, value)| (name, value.trim_matches('"'))).collect();
    let value: f64 = value.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "counts of requests and quotas are whole and small")]
    Some((name, labels, value as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_requests_are_told_apart_the_most_frequent_first() {
        let counts = Counts::read(
            r#"# HELP kuryr_quota_free_count Free places in a Neutron quota, -1 if unlimited.
# TYPE kuryr_quota_free_count gauge
kuryr_quota_free_count{resource="ports"} 4995
kuryr_quota_free_count{resource="networks"} -1
kuryr_controller_load_balancers{state="active"} 12
kuryr_controller_load_balancers{state="error"} 1
kuryr_controller_floating_ips 3
kuryr_pod_creation_latency_bucket{le="+Inf"} 7
kuryr_controller_openstack_requests_total{service="network",method="GET",route="/ports",status="200"} 10
kuryr_controller_openstack_requests_total{service="network",method="POST",route="/ports",status="409"} 2
kuryr_controller_openstack_requests_total{service="identity",method="POST",route="/auth/tokens",status="unreachable"} 5
# EOF
"#,
        );
        assert_eq!(counts.requests, 17);
        let errors: Vec<_> =
            counts.errors.iter().map(|e| (e.route.as_str(), e.status.as_str(), e.count)).collect();
        assert_eq!(errors, [("/auth/tokens", "unreachable", 5), ("/ports", "409", 2)]);
        assert_eq!(
            counts.quota_left,
            BTreeMap::from([("ports".to_owned(), 4995), ("networks".to_owned(), -1)])
        );
        let balancers = BTreeMap::from([("active".to_owned(), 12), ("error".to_owned(), 1)]);
        assert_eq!((counts.load_balancers, counts.floating_ips), (balancers, 3));
    }

    #[test]
    fn what_is_no_metric_counts_nothing() {
        assert_eq!(Counts::read("<html>\n502 Bad Gateway{\n\n"), Counts::default());
    }
}
