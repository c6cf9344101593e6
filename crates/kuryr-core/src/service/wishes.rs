//! What a Service's annotations ask for. The names are those of the OpenStack cloud provider where the meaning is the same.

use super::{Probing, ProxyVersion, Timeouts};
use crate::news::News;
use kuryr_api::{NetworkId, SubnetId};

/// Prefix of the OpenStack cloud provider's annotations.
const PREFIX: &str = "loadbalancer.openstack.org/";
/// Its annotation of a load balancer that is not reached from outside.
const INTERNAL: &str = "service.beta.kubernetes.io/openstack-internal-load-balancer";
/// Its annotation of a load balancer that watches its members.
const MONITOR: &str = "loadbalancer.openstack.org/enable-health-monitor";
/// How it watches them where nothing is said.
const PROBING: Probing = Probing { delay: 5, timeout: 3, max_retries: 1, max_retries_down: 3 };
/// Prefix of the Python Kuryr's annotations.
const KURYR_PREFIX: &str = "openstack.org/kuryr-";

/// What a Service's annotations ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// It is not reached from outside: its address there is its cluster IP.
    pub internal: bool,
    /// Its floating IP outlives it.
    pub keep_address: bool,
    /// Network of its floating IP.
    pub network: Option<NetworkId>,
    /// Subnet of its floating IP.
    pub subnet: Option<SubnetId>,
    /// Octavia's flavor of its load balancer.
    pub flavor: Option<String>,
    /// Where its load balancer is to be.
    pub availability_zone: Option<String>,
    /// How its connections are treated.
    pub balancing: Balancing,
    /// What is to be said of annotations that can't be read or honoured.
    pub news: Vec<News>,
}

/// How connections are treated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balancing {
    /// How they are spread.
    pub algorithm: Option<String>,
    /// How long they may be silent.
    pub timeouts: Timeouts,
    /// How members are told who their clients are.
    pub proxy: Option<ProxyVersion>,
    /// How members are watched.
    pub monitor: Option<Probing>,
}

/// Why an annotation of the OpenStack cloud provider is not honoured.
const NOT_SERVED: [(&str, &str); 7] = [
    ("class", "Kuryr has no classes of its own configuration: use the other annotations"),
    ("load-balancer-id", "a load balancer of Kuryr has the cluster IP of its Service, and can't be shared"),
    ("subnet-id", "a load balancer of Kuryr is on the subnet of cluster IPs"),
    ("network-id", "a load balancer of Kuryr is on the subnet of cluster IPs"),
    ("member-subnet-id", "members are pods: see [octavia_defaults] member_mode"),
    ("port-id", "a load balancer of Kuryr has the cluster IP of its Service"),
    ("x-forwarded-for", "members see their clients' own addresses with OVN, and HTTP is not looked into"),
];

impl Wishes {
    /// Reads annotations, given as names and values.
    pub fn read<'a>(annotations: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let annotations: Vec<_> = annotations.into_iter().collect();
        let mut wishes = Self::default();
        let is_watched = |(name, value): &(&str, &str)| *name == MONITOR && flag(value) == Ok(true);
        wishes.balancing.monitor = annotations.iter().any(is_watched).then_some(PROBING);
        for (name, value) in annotations {
            let understood = if name == INTERNAL {
                flag(value).map(|internal| wishes.internal = internal)
            } else if let Some(short) = name.strip_prefix(PREFIX) {
                wishes.take(short, value)
            } else if let Some(short) = name.strip_prefix(KURYR_PREFIX) {
                wishes.balancing.take_timeout(short, value)
            } else {
                Ok(())
            };
            wishes.news.extend(understood.err().map(|why| not_understood(name, value, &why)));
        }
        wishes
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "keep-floatingip" => self.keep_address = flag(value)?,
            "floating-network-id" => self.network = Some(value.into()),
            "floating-subnet-id" => self.subnet = Some(value.into()),
            "flavor-id" => self.flavor = Some(value.to_owned()),
            "availability-zone" => self.availability_zone = Some(value.to_owned()),
            "proxy-protocol" => self.balancing.proxy = proxy(value)?,
            "enable-health-monitor" => drop(flag(value)?),
            "lb-method" => self.balancing.algorithm = Some(value.to_owned()),
            _ => return self.take_other(name, value),
        }
        Ok(())
    }

    fn take_other(&mut self, name: &str, value: &str) -> Result<(), String> {
        let asks_for_nothing = flag(value) == Ok(false);
        match NOT_SERVED.iter().find(|(known, _)| *known == name) {
            Some(_) if asks_for_nothing => Ok(()),
            Some((_, why)) => Err((*why).to_owned()),
            None => self.balancing.take(name, value),
        }
    }
}

impl Balancing {
    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        let Some(what) = name.strip_prefix("health-monitor-") else { return self.take_timeout(name, value) };
        let Some(probing) = &mut self.monitor else { return Ok(()) };
        match what {
            "delay" => probing.delay = number(value, 3600)?,
            "timeout" => probing.timeout = number(value, 3600)?,
            "max-retries" => probing.max_retries = number(value, 10)?,
            "max-retries-down" => probing.max_retries_down = number(value, 10)?,
            _ => {}
        }
        Ok(())
    }

    fn take_timeout(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "timeout-client-data" => self.timeouts.client = Some(milliseconds(value)?),
            "timeout-member-data" => self.timeouts.member = Some(milliseconds(value)?),
            _ => {}
        }
        Ok(())
    }
}

fn flag(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" | "" => Ok(false),
        _ => Err("it is to be true or false".to_owned()),
    }
}

fn proxy(value: &str) -> Result<Option<ProxyVersion>, String> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "v1" => Ok(Some(ProxyVersion::V1)),
        "v2" => Ok(Some(ProxyVersion::V2)),
        "false" | "" => Ok(None),
        _ => Err("it is to be true, v1, v2 or false".to_owned()),
    }
}

/// At least one, and at most `most`.
fn number<N: TryFrom<u32>>(value: &str, most: u32) -> Result<N, String> {
    let read = value.parse().ok().filter(|number| (1..=most).contains(number));
    read.and_then(|number| N::try_from(number).ok())
        .ok_or_else(|| format!("it is to be a number from 1 to {most}"))
}

fn milliseconds(value: &str) -> Result<u32, String> {
    value.parse().map_err(|_| "it is to be a number of milliseconds".to_owned())
}

fn not_understood(name: &str, value: &str, why: &str) -> News {
    News::warning("AnnotationNotServed", format!("The annotation {name}: {value} has no effect: {why}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read() {
        let wishes = Wishes::read([
            ("service.beta.kubernetes.io/openstack-internal-load-balancer", "true"),
            ("loadbalancer.openstack.org/keep-floatingip", "True"),
            ("loadbalancer.openstack.org/floating-network-id", "net"),
            ("loadbalancer.openstack.org/lb-method", "LEAST_CONNECTIONS"),
            ("openstack.org/kuryr-timeout-client-data", "5000"),
            ("loadbalancer.openstack.org/timeout-member-data", "7000"),
            ("loadbalancer.openstack.org/health-monitor-delay", "9"),
            ("loadbalancer.openstack.org/enable-health-monitor", "true"),
            ("loadbalancer.openstack.org/proxy-protocol", "v2"),
            ("example.org/other", "x"),
        ]);
        assert!(wishes.internal && wishes.keep_address && wishes.news.is_empty());
        assert_eq!(wishes.network, Some("net".into()));
        assert_eq!(wishes.balancing.algorithm.as_deref(), Some("LEAST_CONNECTIONS"));
        assert_eq!(wishes.balancing.monitor, Some(Probing { delay: 9, ..PROBING }));
        assert_eq!(wishes.balancing.proxy, Some(ProxyVersion::V2));
        assert_eq!(wishes.balancing.timeouts, Timeouts { client: Some(5000), member: Some(7000) });
    }

    #[test]
    fn what_is_not_understood_or_not_served_is_told_and_harms_nothing() {
        let wishes = Wishes::read([
            ("openstack.org/kuryr-timeout-client-data", "soon"),
            ("loadbalancer.openstack.org/load-balancer-id", "abc"),
            ("loadbalancer.openstack.org/proxy-protocol", "false"),
            ("loadbalancer.openstack.org/keep-floatingip", "maybe"),
        ]);
        assert_eq!(wishes.news.len(), 3);
        assert!(wishes.news.iter().all(|one| one.reason == "AnnotationNotServed"));
        assert!(wishes.news[0].message.contains("number of milliseconds"), "{:?}", wishes.news[0]);
        assert_eq!(Wishes { news: Vec::new(), ..wishes }, Wishes::default());
    }
}
