//! What is told of Services.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::facts::{Name, Service, Warning};

/// A Service that has no load balancer after so many seconds is not just beginning: an amphora takes a minute or two.
const PATIENCE: i64 = 300;
/// The API server's own Service, whose load balancer may be its installer's.
const API_SERVER: (&str, &str) = ("default", "kubernetes");

/// The Services that have a cluster IP.
#[derive(Debug, Default, Serialize)]
pub(super) struct Services {
    /// Their load balancer is complete.
    pub(super) served: usize,
    /// They have just been made.
    pub(super) waiting: usize,
    pub(super) failed: Vec<Failed>,
}

/// A Service without a load balancer.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Failed {
    pub(super) namespace: String,
    pub(super) service: String,
    pub(super) reason: String,
    pub(super) message: String,
}

/// What is known beside the Services themselves.
pub(super) struct Known<'a> {
    /// Those whose record names a load balancer.
    pub(super) recorded: &'a BTreeSet<Name>,
    pub(super) warnings: &'a BTreeMap<Name, Warning>,
    pub(super) now: Timestamp,
}

impl Services {
    pub(super) fn judge(services: Vec<Service>, known: &Known<'_>) -> Self {
        let mut told = Self::default();
        for service in services {
            let warning = known.warnings.get(&service.name).filter(|warning| warning.uid == service.uid);
            match warning {
                _ if known.recorded.contains(&service.name) => told.served += 1,
                Some(warning) => told.failed.push(failed(service, &warning.reason, &warning.message)),
                None if is_api_servers(&service.name) => {}
                None if is_late(&service, known.now) => {
                    let message = format!("kuryrctl describe service {}/{}", service.name.0, service.name.1);
                    told.failed.push(failed(service, "NoLoadBalancer", &message));
                }
                None => told.waiting += 1,
            }
        }
        told
    }
}

fn failed(service: Service, reason: &str, message: &str) -> Failed {
    let (namespace, name) = service.name;
    Failed { namespace, service: name, reason: reason.to_owned(), message: message.to_owned() }
}

fn is_api_servers(name: &Name) -> bool {
    (name.0.as_str(), name.1.as_str()) == API_SERVER
}

fn is_late(service: &Service, now: Timestamp) -> bool {
    service.created.is_none_or(|created| now.duration_since(created).as_secs() > PATIENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T01:00:00Z".parse().unwrap()
    }

    fn name(name: &str) -> Name {
        ("default".into(), name.into())
    }

    fn service(name: &str, age: i64) -> Service {
        let created = Timestamp::from_second(now().as_second() - age).ok();
        Service { name: self::name(name), uid: format!("{name}-uid"), created }
    }

    #[test]
    fn each_service_is_served_waits_or_says_why_not() {
        let warning = |uid: &str| Warning {
            uid: uid.into(),
            reason: "LoadBalancerQuotaExceeded".into(),
            message: "Raise it.".into(),
        };
        let warnings = BTreeMap::from([
            (name("web"), warning("web-uid")),
            (name("db"), warning("db-uid")),
            (name("new"), warning("an-earlier-one")),
        ]);
        let recorded = BTreeSet::from([name("web")]);
        let known = Known { recorded: &recorded, warnings: &warnings, now: now() };
        let all = [("web", 900), ("db", 900), ("new", 20), ("late", 900), ("kubernetes", 900)]
            .map(|(name, age)| service(name, age));
        let told = Services::judge(all.into(), &known);
        assert_eq!((told.served, told.waiting), (1, 1));
        let failed: Vec<_> = told.failed.iter().map(|one| (&*one.service, &*one.reason)).collect();
        assert_eq!(failed, [("db", "LoadBalancerQuotaExceeded"), ("late", "NoLoadBalancer")]);
        assert_eq!(told.failed[1].message, "kuryrctl describe service default/late");
    }
}
