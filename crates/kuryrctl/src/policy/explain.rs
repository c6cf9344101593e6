//! One pod: what isolates it, which groups its port should carry, which rules reach it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    net::IpAddr,
};

use anyhow::{Result, bail};
use clap::Args;
use kuryr_api::PortId;
use kuryr_core::policy::{
    audit::Carried,
    explain::Reach,
    key::GroupKey,
    model::{Direction, Family, Name},
    plan::the_one,
};
use serde::Serialize;

use super::{Common, UNKNOWN, facts::Facts, name, words};

/// Exit code if the pod's port carries other groups, or is not there.
const WRONG: u8 = 1;

#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// The pod: NAMESPACE/POD
    #[arg(value_name = "POD")]
    pod: String,
    /// Also name the addresses that each rule means
    #[arg(short = 'v', long)]
    addresses: bool,
    #[command(flatten)]
    common: Common,
}

/// What is told of a pod. What could not be seen is `null`, and said in `unknown`.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pod: String,
    addresses: Vec<IpAddr>,
    ingress: Side,
    egress: Side,
    /// Groups that its port should carry.
    groups: Vec<Group>,
    /// Its ports in Neutron.
    ports: Option<Vec<Port>>,
    notes: Vec<String>,
    unknown: Vec<String>,
}

/// A direction.
#[derive(Debug, Serialize)]
struct Side {
    /// Policies; none: everything is allowed in this direction.
    isolated_by: Vec<String>,
    rules: Vec<Rule>,
}

/// A rule that reaches the pod, of all families that have it.
#[derive(Debug, Serialize)]
struct Rule {
    group: String,
    /// The policy that grants it; none: it holds for all pods that policies are for.
    policy: Option<String>,
    families: BTreeSet<&'static str>,
    ports: String,
    peer: String,
    /// Of the group of addresses that it names, if it names one.
    addresses: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct Group {
    name: String,
    /// None: it does not exist, or Neutron was not seen.
    id: Option<String>,
}

#[derive(Debug, Serialize)]
struct Port {
    id: String,
    /// Names of groups that it should carry and does not.
    lacks: Vec<String>,
    /// Names and ids of groups that it carries and should not.
    strange: Vec<String>,
}

pub(super) fn run(options: &Options, out: &mut impl Write) -> Result<u8> {
    let pod = name(&options.pod)?;
    let report = judge(&options.common.observe()?, &pod)?;
    options.common.tell(&report, out, |report, out| text(report, options.addresses, out))?;
    Ok(report.code())
}

impl Report {
    pub(super) fn code(&self) -> u8 {
        let is_wrong = |port: &Port| !port.lacks.is_empty() || !port.strange.is_empty();
        match &self.ports {
            Some(ports) if ports.is_empty() || ports.iter().any(is_wrong) => WRONG,
            Some(_) if self.unknown.is_empty() => 0,
            _ => UNKNOWN,
        }
    }
}

pub(super) fn judge(facts: &Facts, pod: &Name) -> Result<Report> {
    if facts.said.is_of_node(pod) {
        bail!("pod {pod} is in its node's network: no policy is for it, and its traffic is its node's");
    }
    let index = facts.index();
    let Some(known) = index.pod(pod) else { bail!("there is no pod {pod}, or it has ended") };
    let reaches = index.reaches(pod).unwrap_or_default();
    let side = |direction| {
        let isolated_by: Vec<_> = index.isolating(pod, direction).into_iter().map(Name::to_string).collect();
        let rules = if isolated_by.is_empty() { Vec::new() } else { rules(&reaches, direction) };
        Side { isolated_by, rules }
    };
    let wanted = index.groups_of(pod);
    let mut notes = facts.notes();
    if wanted.is_none() {
        notes.push("no policy is for it: its port carries [neutron_defaults] pod_security_groups".to_owned());
    }
    Ok(Report {
        pod: pod.to_string(),
        addresses: known.addresses.clone(),
        ingress: side(Direction::Ingress),
        egress: side(Direction::Egress),
        groups: groups(facts, wanted),
        ports: facts.cloud.as_ref().ok().map(|_| ports(facts, pod)),
        notes,
        unknown: facts.cloud.as_ref().err().cloned().into_iter().collect(),
    })
}

fn groups(facts: &Facts, wanted: Option<BTreeSet<GroupKey>>) -> Vec<Group> {
    let cloud = facts.cloud.as_ref().ok();
    match (wanted, cloud) {
        (Some(keys), _) => {
            let id = |key: &GroupKey| Some(the_one(&cloud?.groups, key)?.id.to_string());
            keys.iter().map(|key| Group { name: key.name(), id: id(key) }).collect()
        }
        (None, Some(cloud)) => {
            let default = cloud.network.security_groups.iter();
            let name = |id| cloud.holdings.groups.get(id).map(|group| group.name.clone()).unwrap_or_default();
            default.map(|id| Group { name: name(id), id: Some(id.to_string()) }).collect()
        }
        (None, None) => Vec::new(),
    }
}

fn ports(facts: &Facts, pod: &Name) -> Vec<Port> {
    let Ok(cloud) = &facts.cloud else { return Vec::new() };
    let port = |(id, carried): (PortId, Carried)| Port {
        id: id.to_string(),
        lacks: carried.lacks.into_iter().collect(),
        strange: carried.strange.iter().map(|id| cloud.holdings.called(id)).collect(),
    };
    cloud.carried_by(pod).into_iter().map(port).collect()
}

/// Those of a direction, families put together.
fn rules(reaches: &[Reach], direction: Direction) -> Vec<Rule> {
    let mut joined: BTreeMap<_, BTreeSet<Family>> = BTreeMap::new();
    for reach in reaches.iter().filter(|reach| reach.rule.direction == direction) {
        let rule = &reach.rule;
        let same = (&reach.group, rule.protocol, rule.ports, &rule.remote, &reach.addresses);
        joined.entry(same).or_default().insert(rule.family);
    }
    let rule = |((group, protocol, ports, remote, addresses), families): (_, BTreeSet<Family>)| {
        let group: &GroupKey = group;
        let addresses: &Option<BTreeSet<ipnet::IpNet>> = addresses;
        Rule {
            group: group.name(),
            policy: group.policy().map(Name::to_string),
            families: families.into_iter().map(words::family).collect(),
            ports: words::ports(protocol, ports),
            peer: words::remote(remote, words::peer),
            addresses: addresses.as_ref().map(|all| all.iter().map(|one| one.addr().to_string()).collect()),
        }
    };
    joined.into_iter().map(rule).collect()
}

pub(super) fn text(report: &Report, with_addresses: bool, out: &mut impl Write) -> Result<()> {
    line(out, "Pod", &report.pod)?;
    let addresses: Vec<_> = report.addresses.iter().map(ToString::to_string).collect();
    let addresses = if addresses.is_empty() { "none yet".to_owned() } else { addresses.join(" ") };
    line(out, "addresses", &addresses)?;
    for (name, side) in [("ingress", &report.ingress), ("egress", &report.egress)] {
        direction(name, side, with_addresses, out)?;
    }
    for group in &report.groups {
        let id = group.id.as_deref().map_or_else(String::new, |id| format!(" {id}"));
        line(out, "group", &format!("{}{id}", group.name))?;
    }
    for port in report.ports.iter().flatten() {
        line(out, "port", &carried(port))?;
    }
    if report.ports.as_ref().is_some_and(Vec::is_empty) {
        line(out, "port", "none yet")?;
    }
    for note in &report.notes {
        line(out, "note", note)?;
    }
    for unknown in &report.unknown {
        line(out, "can't tell", unknown)?;
    }
    Ok(())
}

fn carried(port: &Port) -> String {
    let mut told = Vec::new();
    if !port.lacks.is_empty() {
        told.push(format!("lacks {}", port.lacks.join(", ")));
    }
    if !port.strange.is_empty() {
        told.push(format!("should not carry {}", port.strange.join(", ")));
    }
    let told = if told.is_empty() { "carries just these".to_owned() } else { told.join("; ") };
    format!("{} {told}", port.id)
}

fn direction(name: &str, side: &Side, with_addresses: bool, out: &mut impl Write) -> Result<()> {
    if side.isolated_by.is_empty() {
        return line(out, name, "open: no policy isolates it");
    }
    line(out, name, &format!("isolated by {}", side.isolated_by.join(" ")))?;
    for rule in &side.rules {
        let (to, by) =
            (if name == "ingress" { "from" } else { "to" }, rule.policy.as_ref().unwrap_or(&rule.group));
        let families = rule.families.iter().copied().collect::<Vec<_>>().join(" and ");
        let count = rule.addresses.as_ref();
        let count = count.map(|all| format!(" ({})", words::counted(all.len(), "address", "addresses")));
        let count = count.unwrap_or_default();
        line(out, "  allowed", &format!("by {by}: {} {to} {}{count}, {families}", rule.ports, rule.peer))?;
        for address in rule.addresses.iter().flatten().filter(|_| with_addresses) {
            line(out, "    address", address)?;
        }
    }
    Ok(())
}

fn line(out: &mut impl Write, what: &str, text: &str) -> Result<()> {
    Ok(writeln!(out, "{what:<14} {text}")?)
}
