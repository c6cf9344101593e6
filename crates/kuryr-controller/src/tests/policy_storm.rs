//! Policies, pods, labels and namespaces change at random, against a Neutron in memory, with the oracle of NetworkPolicies as the
//! judge: at rest the ports allow just what Kubernetes defines, and on the way nothing that neither the last state nor the next one
//! allows.

use super::*;
use ipnet::IpNet;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kuryr_netpol_oracle::{
    Cluster, Decision, Endpoint, Family, Labels, OraclePod, Protocol, allows_over, generate, random_cluster,
};
use kuryr_openstack::Service;
use kuryr_testkit::neutron::WhoMay;
use kuryr_testkit::proxy::{Fault, Faulty, Plan};
use std::collections::{BTreeMap, BTreeSet};

const NAMESPACES: &str = "/api/v1/namespaces";
const SEEDS: [u64; 3] = [3, 11, 40];
const STEPS: u64 = 12;
const STORM: u64 = 80;
const DEATHS: [u64; 2] = [25, 55];

/// Ports that something is said about in random policies, and one more.
const PORTS: [u16; 5] = [53, 80, 81, 82, 8080];

/// A cluster as the oracle has it, and as the API server and Neutron do.
struct Story {
    world: World,
    cluster: Cluster,
    seed: u64,
}

/// What is said of one end of a connection: which pod, whether as its source, whom with, how.
type Question = (usize, bool, usize, Family, Protocol, u16);

/// What a port lets pass.
struct Grant {
    outward: bool,
    protocol: Option<String>,
    ports: Option<(u16, u16)>,
    v6: bool,
    with: Option<BTreeSet<IpNet>>,
}

impl Story {
    async fn begin(seed: u64) -> Self {
        let mut cluster = random_cluster(seed);
        cluster.pods.retain(|pod| !pod.host_network);
        cluster.policies.clear();
        let story = Self { world: World::enforcing().await, cluster, seed };
        for name in story.cluster.namespaces.keys() {
            let labels = story.cluster.namespace_labels(name);
            story
                .world
                .kubernetes
                .create(NAMESPACES, json!({ "metadata": { "name": name, "labels": labels } }));
        }
        story.cluster.pods.iter().for_each(|pod| story.create(pod));
        story
    }

    fn create(&self, pod: &OraclePod) {
        let port = |port: &kuryr_netpol_oracle::NamedPort| json!({ "name": port.name, "containerPort": port.number, "protocol": port.protocol.as_str() });
        let ports: Vec<_> = pod.ports.iter().map(port).collect();
        let object = json!({
            "metadata": { "name": pod.name, "labels": pod.labels },
            "spec": { "nodeName": pod.node, "containers": [{ "ports": ports }] },
            "status": { "phase": "Pending" },
        });
        self.world.kubernetes.create(&format!("{NAMESPACES}/{}/pods", pod.namespace), object);
    }

    /// One change by chance, of the cluster and of the oracle's copy.
    fn change(&mut self, step: u64) {
        let number = self.seed * 1_000 + step;
        let other = random_cluster(number.wrapping_mul(2_654_435_761));
        let at = usize::try_from(number).unwrap() % self.cluster.pods.len();
        match number % 7 {
            0..=3 => self.put_policy(generate(number, &self.cluster).remove(0), number % 4),
            4 => {
                let labels = other.pods[at % other.pods.len()].labels.clone();
                self.relabel_pod(at, labels);
            }
            5 => {
                let name =
                    self.cluster.namespaces.keys().nth(at % self.cluster.namespaces.len()).unwrap().clone();
                self.relabel_namespace(&name, other.namespaces.values().next().unwrap().clone());
            }
            _ => self.delete_policy(),
        }
    }

    /// One write: between two there would be a state that counts as well.
    fn put_policy(&mut self, mut policy: NetworkPolicy, number: u64) {
        policy.metadata.name = Some(format!("policy-{number}"));
        self.world.kubernetes.put(&path(&policy), &serde_json::to_value(&policy).unwrap());
        self.cluster.policies.retain(|other| path(other) != path(&policy));
        self.cluster.policies.push(policy);
    }

    fn delete_policy(&mut self) {
        if let Some(gone) = self.cluster.policies.pop() {
            self.world.kubernetes.delete(&path(&gone));
        }
    }

    fn relabel_pod(&mut self, at: usize, labels: Labels) {
        let pod = &mut self.cluster.pods[at];
        let path = format!("{NAMESPACES}/{}/pods/{}", pod.namespace, pod.name);
        self.world.kubernetes.patch(&path, &json!({ "metadata": { "labels": patch(&pod.labels, &labels) } }));
        pod.labels = labels;
    }

    fn relabel_namespace(&mut self, name: &str, labels: Labels) {
        let old = self.cluster.namespaces[name].clone();
        let path = format!("{NAMESPACES}/{name}");
        self.world.kubernetes.patch(&path, &json!({ "metadata": { "labels": patch(&old, &labels) } }));
        self.cluster.namespaces.insert(name.to_owned(), labels);
    }

    /// The oracle's cluster, with the addresses that Neutron gave. None: a pod has none yet.
    fn addressed(&self) -> Option<Cluster> {
        let mut cluster = self.cluster.clone();
        cluster.node_addresses.clear();
        for pod in &mut cluster.pods {
            let record =
                format!("/apis/openstack.org/v1/namespaces/{}/kuryrports/{}", pod.namespace, pod.name);
            let record = self.world.kubernetes.get(&record)?;
            let port = self.world.ports().into_iter().find(|port| port["id"] == port_of(&record))?;
            let ips = port["fixed_ips"].as_array()?.iter();
            pod.addresses = ips.map(|ip| ip["ip_address"].as_str().unwrap().parse().unwrap()).collect();
        }
        Some(cluster)
    }

    async fn start(&self) -> Cluster {
        self.world.until("all pods have addresses", |_| self.addressed().is_some()).await;
        self.addressed().unwrap()
    }
}

fn path(policy: &NetworkPolicy) -> String {
    let (namespace, name) = (policy.metadata.namespace.as_deref(), policy.metadata.name.as_deref());
    format!("/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies/{}", namespace.unwrap(), name.unwrap())
}

/// Sets these labels, and takes the others away.
fn patch(old: &Labels, new: &Labels) -> Value {
    let gone = old.keys().map(|key| (key.clone(), Value::Null));
    let set = new.iter().map(|(key, value)| (key.clone(), json!(value)));
    Value::Object(gone.chain(set).collect())
}

/// What each pod's port lets pass.
fn grants(cluster: &Cluster, now: &WhoMay) -> Vec<Vec<Grant>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let peers: BTreeMap<String, BTreeSet<IpNet>> = now
        .peers
        .iter()
        .map(|peer| {
            let addresses = peer["addresses"].as_array().unwrap().iter();
            (text(&peer["id"]), addresses.map(|one| one.as_str().unwrap().parse().unwrap()).collect())
        })
        .collect();
    let grant = |rule: &Value| {
        let number = |field: &str| rule[field].as_u64().and_then(|number| u16::try_from(number).ok());
        let prefix = rule["remote_ip_prefix"].as_str();
        let group = rule["remote_address_group_id"].as_str();
        Grant {
            outward: rule["direction"] == "egress",
            protocol: rule["protocol"].as_str().map(ToOwned::to_owned),
            ports: number("port_range_min").zip(number("port_range_max")),
            v6: rule["ethertype"] == "IPv6",
            with: prefix
                .map(|prefix| BTreeSet::from([prefix.parse().unwrap()]))
                .or_else(|| group.map(|group| peers.get(group).cloned().unwrap_or_default())),
        }
    };
    let of_pod = |pod: &OraclePod| {
        let address = json!(pod.addresses[0]);
        let is_its = |port: &&Value| {
            port["fixed_ips"].as_array().unwrap().iter().any(|ip| ip["ip_address"] == address)
        };
        let groups =
            now.ports.iter().find(is_its).map(|port| port["security_groups"].clone()).unwrap_or_default();
        let groups = groups.as_array().cloned().unwrap_or_default();
        let held = now.groups.iter().filter(|group| groups.contains(&group["id"]));
        let mut granted: Vec<Grant> = held
            .clone()
            .flat_map(|group| group["security_group_rules"].as_array().unwrap().iter().map(grant))
            .collect();
        // The usual group of the fake has no rules; it stands for one that allows everything.
        if held.clone().any(|group| group["name"] == "k8s-pods") {
            for (outward, v6) in [(true, true), (true, false), (false, true), (false, false)] {
                granted.push(Grant { outward, protocol: None, ports: None, v6, with: None });
            }
        }
        granted
    };
    cluster.pods.iter().map(of_pod).collect()
}

fn is_granted(granted: &[Grant], cluster: &Cluster, question: Question) -> bool {
    let (_, outward, other, family, protocol, port) = question;
    let Some(address) = cluster.pods[other].address(family) else { return false };
    granted.iter().any(|grant| {
        grant.outward == outward
            && grant.v6 == address.is_ipv6()
            && grant.protocol.as_deref().is_none_or(|asked| asked.eq_ignore_ascii_case(protocol.as_str()))
            && grant.ports.is_none_or(|(first, last)| (first..=last).contains(&port))
            && grant.with.as_ref().is_none_or(|with| with.iter().any(|prefix| prefix.contains(&address)))
    })
}

fn is_allowed(cluster: &Cluster, question: Question) -> bool {
    let (pod, outward, other, family, protocol, port) = question;
    let (from, to) = if outward { (pod, other) } else { (other, pod) };
    let verdict = allows_over(family, cluster, Endpoint::Pod(from), Endpoint::Pod(to), protocol, port);
    let said: Decision = if outward { verdict.egress } else { verdict.ingress };
    said.is_allowed()
}

fn questions(cluster: &Cluster) -> Vec<Question> {
    let pods = 0..cluster.pods.len();
    let mut all = Vec::new();
    for (pod, other) in pods.clone().flat_map(|pod| pods.clone().map(move |other| (pod, other))) {
        if pod == other {
            continue;
        }
        for outward in [true, false] {
            for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
                all.extend(PORTS.map(|port| (pod, outward, other, Family::V4, protocol, port)));
                all.push((pod, outward, other, Family::V6, protocol, 80));
            }
        }
    }
    all
}

fn verdicts(cluster: &Cluster, questions: &[Question]) -> Vec<bool> {
    questions.iter().map(|question| is_allowed(cluster, *question)).collect()
}

fn answers(cluster: &Cluster, questions: &[Question], now: &WhoMay) -> Vec<bool> {
    let granted = grants(cluster, now);
    questions.iter().map(|question| is_granted(&granted[question.0], cluster, *question)).collect()
}

/// Questions that `now` answers with yes, though neither of two states allows it.
fn opened(questions: &[Question], now: &[bool], old: &[bool], new: &[bool]) -> Vec<Question> {
    let open = (0..questions.len()).filter(|at| now[*at] && !old[*at] && !new[*at]);
    open.map(|at| questions[at]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_opens_nothing_that_neither_side_of_it_allows() {
    let mut seen = 0;
    for seed in SEEDS {
        let mut story = Story::begin(seed).await;
        let _controller = story.world.controller().await;
        let mut before = story.start().await;
        let questions = questions(&before);
        let mut old = verdicts(&before, &questions);
        for step in 0..STEPS {
            story.change(step);
            let after = story.addressed().unwrap();
            let new = verdicts(&after, &questions);
            let mut patience = 3000;
            loop {
                let now = answers(&after, &questions, &story.world.cloud.neutron().who_may());
                let open = opened(&questions, &now, &old, &new);
                assert!(
                    open.is_empty(),
                    "seed {seed}, step {step}: {} are opened on the way, as {:?}\nfrom {:#?}\nto {:#?}",
                    open.len(),
                    open[0],
                    before.policies,
                    after.policies
                );
                seen += 1;
                if now == new {
                    break;
                }
                patience -= 1;
                assert!(patience > 0, "seed {seed}, step {step}: never as {:#?}", after.policies);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            (before, old) = (after, new);
        }
    }
    assert!(seen > 200, "the test shows little: {seen}");
}

async fn flaky(world: &World, proxy: &Faulty) -> Controller {
    let mut settings = world.cloud_settings();
    settings.endpoints.overrides.insert(Service::Network, proxy.url());
    world.controller_through(settings, |_| {}).await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_storm_ports_allow_what_kubernetes_does() {
    let mut story = Story::begin(7).await;
    let plan = Plan { delay: Duration::from_millis(100), ..Plan::evenly(10, 7) };
    let proxy = Faulty::start(&story.world.cloud.neutron_url(), plan).await.unwrap();
    let mut life = flaky(&story.world, &proxy).await;
    story.start().await;
    for step in 0..STORM {
        story.change(step);
        tokio::time::sleep(Duration::from_millis(30)).await;
        if DEATHS.contains(&step) {
            drop(life);
            life = flaky(&story.world, &proxy).await;
        }
    }
    let done = proxy.done();
    proxy.set_plan(Plan::harmless());
    let after = story.addressed().unwrap();
    let questions = questions(&after);
    let wanted = verdicts(&after, &questions);
    let is_right = |world: &World| answers(&after, &questions, &world.cloud.neutron().who_may()) == wanted;
    story.world.until("ports allow what they should", is_right).await;
    // One that is made twice when an answer is lost is found at the next look at everything.
    relist::once(&life.context, |_| {}).await;
    life.context.look_at_all();
    let is_tidy = |world: &World| {
        let now = world.cloud.neutron().who_may();
        let names = |all: &[Value]| {
            let ours = all.iter().filter(|one| one["description"] == life.context.own_tag.as_str());
            let names: Vec<_> = ours.map(|one| one["name"].to_string()).collect();
            (names.iter().collect::<BTreeSet<_>>().len(), names.len())
        };
        let policies = life.context.policies.as_ref().unwrap();
        let (groups, peers) = (names(&now.groups), names(&now.peers));
        life.rests()
            && is_right(world)
            && (groups.1, peers.1) == policies.store.len()
            && groups.0 == groups.1
            && peers.0 == peers.1
    };
    story.world.until("nothing is there twice", is_tidy).await;
    drop(life);
    assert!(done.contains_key(&Fault::CutAfterwards) && done.len() >= 6, "a storm without trouble: {done:?}");
}
