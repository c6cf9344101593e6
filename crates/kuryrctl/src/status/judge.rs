//! From what was seen to what it means.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::{
    facts::{Counts, Facts, Leader, Name, Pod, Program, Record, Seen, Service, Warning, Warnings},
    observe::holds,
    services::{Known, Services},
};

/// A pod that has no network after so many seconds is not just starting.
const PATIENCE: i64 = 120;

/// What is told. What could not be seen is `null`, and said in `unknown`.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Of this program.
    pub(super) version: &'static str,
    pub(super) leader: Option<Leader>,
    pub(super) controllers: Option<Vec<Program>>,
    pub(super) daemons: Option<Vec<Program>>,
    pub(super) pods: Option<Pods>,
    /// Nothing where none is served.
    pub(super) services: Option<Services>,
    pub(super) openstack: Option<Counts>,
    /// What does not work.
    pub(super) wrong: Vec<String>,
    /// What could not be seen, and why.
    pub(super) unknown: Vec<String>,
}

/// The pods that Kuryr gives a network.
#[derive(Debug, Default, Serialize)]
pub(super) struct Pods {
    pub(super) wired: usize,
    /// They have just been made.
    pub(super) waiting: usize,
    pub(super) failed: Vec<Failed>,
}

/// A pod without a network.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Failed {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) node: String,
    pub(super) reason: String,
    pub(super) message: String,
}

struct Judge {
    now: Timestamp,
    wrong: Vec<String>,
    unknown: Vec<String>,
}

pub(super) fn judge(facts: Facts, now: Timestamp) -> Report {
    let mut judge = Judge { now, wrong: Vec::new(), unknown: Vec::new() };
    let leader = judge.leader(facts.leader);
    let controllers = judge.seen(facts.controllers);
    judge.not_ready("controller", controllers.iter().flatten());
    let daemons = judge.seen(facts.daemons);
    let nodes = judge.seen(facts.nodes);
    judge.daemons(daemons.as_deref(), nodes.as_deref());
    let warnings = judge.seen(facts.warnings).unwrap_or_default();
    let (pods, records) = (judge.seen(facts.pods), judge.seen(facts.records));
    let pods = pods.zip(records).map(|(pods, records)| judge.pods(pods, &records, &warnings.pods));
    let openstack = judge.seen(facts.counts);
    let (all, balanced) = (judge.seen(facts.services), judge.seen(facts.balanced));
    let services = all.zip(balanced).filter(|(_, balanced)| are_served(openstack.as_ref(), balanced));
    let services = services.map(|(all, balanced)| judge.services(all, &balanced, &warnings));
    judge.balancers(openstack.as_ref());
    judge.quota(openstack.as_ref());
    let version = env!("CARGO_PKG_VERSION");
    let Judge { wrong, unknown, .. } = judge;
    Report { version, leader, controllers, daemons, pods, services, openstack, wrong, unknown }
}

impl Judge {
    fn seen<T>(&mut self, fact: Seen<T>) -> Option<T> {
        fact.map_err(|why| self.unknown.push(why)).ok()
    }

    fn leader(&mut self, leader: Seen<Option<Leader>>) -> Option<Leader> {
        let leader = self.seen(leader)?;
        match &leader {
            None => {
                self.wrong.push("no controller works: nobody holds the Lease kuryr-controller".to_owned());
            }
            Some(leader) if !holds(leader, self.now) => self.wrong.push(format!(
                "no controller works: {} does not renew the Lease kuryr-controller any more",
                leader.holder
            )),
            Some(_) => {}
        }
        leader
    }

    fn not_ready<'a>(&mut self, what: &str, programs: impl Iterator<Item = &'a Program>) {
        let not_ready = programs.filter(|program| !program.ready);
        self.wrong.extend(not_ready.map(|program| {
            format!(
                "{what} {} on node {:?} is not ready: kubectl describe pod {0}",
                program.pod, program.node
            )
        }));
    }

    fn daemons(&mut self, daemons: Option<&[Program]>, nodes: Option<&[String]>) {
        let Some(daemons) = daemons else { return };
        if daemons.is_empty() {
            self.unknown.push("no daemon runs as a pod here: ask each node's :8090/ready".to_owned());
            return;
        }
        self.not_ready("daemon", daemons.iter());
        let without =
            nodes.into_iter().flatten().filter(|node| !daemons.iter().any(|daemon| daemon.node == **node));
        self.wrong
            .extend(without.map(|node| format!("node {node} has no daemon: no pod gets a network there")));
    }

    fn pods(
        &mut self,
        pods: Vec<Pod>,
        records: &BTreeMap<Name, Record>,
        warnings: &BTreeMap<Name, Warning>,
    ) -> Pods {
        let mut told = Pods::default();
        for pod in pods {
            let record = records.get(&pod.name).filter(|record| record.uid == pod.uid);
            let warning = warnings.get(&pod.name).filter(|warning| warning.uid == pod.uid);
            match (record, warning) {
                (Some(Record { active: true, .. }), _) if pod.has_address => told.wired += 1,
                (_, Some(warning)) => told.failed.push(failed(pod, &warning.reason, &warning.message)),
                (record, None) if self.is_late(&pod) => {
                    let (reason, message) = stuck(record);
                    told.failed.push(failed(pod, reason, message));
                }
                (_, None) => told.waiting += 1,
            }
        }
        if !told.failed.is_empty() {
            self.wrong.push(format!("{} pods have no network", told.failed.len()));
        }
        told
    }

    fn services(&mut self, all: Vec<Service>, recorded: &BTreeSet<Name>, warnings: &Warnings) -> Services {
        let known = Known { recorded, warnings: &warnings.services, now: self.now };
        let told = Services::judge(all, &known);
        if !told.failed.is_empty() {
            self.wrong.push(format!("{} Services have no load balancer", told.failed.len()));
        }
        told
    }

    fn balancers(&mut self, counts: Option<&Counts>) {
        let broken =
            counts.and_then(|counts| counts.load_balancers.get("error")).copied().unwrap_or_default();
        if broken > 0 {
            self.wrong.push(format!(
                "{broken} load balancers are in ERROR: kubectl get events -A --field-selector reason=LoadBalancerInError"
            ));
        }
    }

    fn is_late(&self, pod: &Pod) -> bool {
        pod.created.is_none_or(|created| self.now.duration_since(created).as_secs() > PATIENCE)
    }

    fn quota(&mut self, counts: Option<&Counts>) {
        let quotas = counts.into_iter().flat_map(|counts| &counts.quota_left);
        let used_up = quotas.filter(|(_, left)| **left == 0);
        self.wrong
            .extend(used_up.map(|(resource, _)| format!("the quota of {resource} is used up: raise it")));
    }
}

/// A controller that serves Services counts their load balancers; where it can't be asked, records tell.
fn are_served(counts: Option<&Counts>, balanced: &BTreeSet<Name>) -> bool {
    !balanced.is_empty() || counts.is_some_and(|counts| !counts.load_balancers.is_empty())
}

fn failed(pod: Pod, reason: &str, message: &str) -> Failed {
    let (namespace, name) = pod.name;
    Failed { namespace, pod: name, node: pod.node, reason: reason.to_owned(), message: message.to_owned() }
}

/// What a late pod waits for of which no event tells.
fn stuck(record: Option<&Record>) -> (&'static str, &'static str) {
    match record {
        None => ("NoRecord", "it has no KuryrPort: see the controller's log"),
        Some(Record { active: false, .. }) => ("PortDown", "its port is not active in Neutron"),
        Some(_) => ("NotPlugged", "its port is ready; see the daemon of its node, and kubectl describe pod"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::metrics::Requests;

    fn now() -> Timestamp {
        "2026-01-01T00:10:00Z".parse().unwrap()
    }

    fn ago(seconds: i64) -> Option<Timestamp> {
        Timestamp::from_second(now().as_second() - seconds).ok()
    }

    fn program(pod: &str, node: &str, ready: bool) -> Program {
        Program { pod: pod.into(), node: node.into(), image: "kuryr/any:1".into(), ready }
    }

    fn pod(name: &str, has_address: bool, age: i64) -> Pod {
        Pod {
            name: ("default".into(), name.into()),
            uid: format!("{name}-uid"),
            node: "node1".into(),
            has_address,
            created: ago(age),
        }
    }

    fn service(name: &str, age: i64) -> Service {
        Service { name: ("default".into(), name.into()), uid: format!("{name}-uid"), created: ago(age) }
    }

    fn record(name: &str, uid: &str, active: bool) -> (Name, Record) {
        (("default".into(), name.into()), Record { uid: uid.into(), active })
    }

    fn well() -> Facts {
        Facts {
            leader: Ok(Some(Leader { holder: "kuryr-controller-a_1".into(), renewed: ago(2), lasts: 12 })),
            controllers: Ok(vec![program("kuryr-controller-a", "node1", true)]),
            daemons: Ok(vec![program("d1", "node1", true), program("d2", "node2", true)]),
            nodes: Ok(vec!["node1".into(), "node2".into()]),
            pods: Ok(vec![pod("web", true, 500), pod("new", false, 3)]),
            records: Ok(BTreeMap::from([record("web", "web-uid", true)])),
            services: Ok(vec![service("web", 500)]),
            balanced: Ok(BTreeSet::from([("default".into(), "web".into())])),
            warnings: Ok(Warnings::default()),
            counts: Ok(Counts { requests: 5, ..Counts::default() }),
        }
    }

    #[test]
    fn a_cluster_that_does_well_has_nothing_to_tell() {
        let report = judge(well(), now());
        assert_eq!((report.wrong, report.unknown), (vec![], vec![]));
        let pods = report.pods.unwrap();
        assert_eq!((pods.wired, pods.waiting, pods.failed), (1, 1, vec![]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let warning =
            Warning { uid: "new-uid".into(), reason: "NoFreeAddress".into(), message: "none".into() };
        let quota = || BTreeMap::from([("ports".to_owned(), 0), ("networks".to_owned(), -1)]);
        let error = Requests {
            service: "network".into(),
            method: "GET".into(),
            route: "/ports".into(),
            status: "500".into(),
            count: 1,
        };
        let broken = || BTreeMap::from([("error".to_owned(), 1)]);
        let cases: [(Facts, &str); 9] = [
            (Facts { leader: Ok(None), ..well() }, "no controller works: nobody"),
            (
                Facts {
                    leader: Ok(Some(Leader { holder: "a_1".into(), renewed: ago(13), lasts: 12 })),
                    ..well()
                },
                "a_1 does not renew",
            ),
            (Facts { controllers: Ok(vec![program("c", "node1", false)]), ..well() }, "controller c on node"),
            (Facts { daemons: Ok(vec![program("d1", "node1", true)]), ..well() }, "node node2 has no daemon"),
            (
                Facts {
                    warnings: Ok(Warnings {
                        pods: BTreeMap::from([(("default".into(), "new".into()), warning)]),
                        ..Warnings::default()
                    }),
                    ..well()
                },
                "1 pods have no network",
            ),
            (Facts { services: Ok(vec![service("db", 900)]), ..well() }, "1 Services have no load balancer"),
            (
                Facts { counts: Ok(Counts { load_balancers: broken(), ..Counts::default() }), ..well() },
                "1 load balancers are in ERROR",
            ),
            (Facts { pods: Ok(vec![pod("late", false, 121)]), ..well() }, "1 pods have no network"),
            (
                Facts {
                    counts: Ok(Counts {
                        requests: 1,
                        errors: vec![error],
                        quota_left: quota(),
                        ..Counts::default()
                    }),
                    ..well()
                },
                "the quota of ports is used up",
            ),
        ];
        for (facts, expected) in cases {
            let report = judge(facts, now());
            assert!(matches!(&report.wrong[..], [only] if only.contains(expected)), "{:?}", report.wrong);
            assert_eq!(report.unknown, Vec::<String>::new());
        }
    }

    #[test]
    fn a_late_pod_says_how_far_it_came() {
        let reason = |records: &[(Name, Record)]| {
            let records = Ok(records.iter().cloned().collect());
            let report = judge(Facts { pods: Ok(vec![pod("late", false, 999)]), records, ..well() }, now());
            report.pods.unwrap().failed.remove(0).reason
        };
        assert_eq!(reason(&[]), "NoRecord");
        assert_eq!(reason(&[record("late", "an-earlier-pod", true)]), "NoRecord");
        assert_eq!(reason(&[record("late", "late-uid", false)]), "PortDown");
        assert_eq!(reason(&[record("late", "late-uid", true)]), "NotPlugged");
    }

    #[test]
    fn what_cannot_be_seen_hides_nothing_else() {
        let unseen = || "forbidden".to_owned();
        let facts = Facts { leader: Err(unseen()), records: Err(unseen()), counts: Err(unseen()), ..well() };
        let report = judge(facts, now());
        assert_eq!((report.wrong.len(), report.unknown.len()), (0, 3));
        assert!(report.pods.is_none() && report.openstack.is_none());
        let unserved = Facts { balanced: Ok(BTreeSet::new()), ..well() };
        assert!(judge(unserved, now()).services.is_none(), "nobody promised them anything");
        assert_eq!(report.daemons.unwrap().len(), 2);
        let loose = judge(Facts { daemons: Ok(vec![]), ..well() }, now());
        assert!(loose.unknown[0].contains("no daemon runs as a pod"), "{:?}", loose.unknown);
    }
}
