//! One connection: whether it is allowed, and what decides.

use std::{fmt, io::Write, net::IpAddr, str::FromStr};

use anyhow::{Context, Result, bail};
use clap::Args;
use kuryr_core::policy::{
    explain::Verdict,
    model::{Family, Name, Protocol},
    trace::{End, Step, Way},
};
use serde::Serialize;

use super::{
    Common, UNKNOWN,
    facts::Facts,
    name,
    ovn::{self, Southbound},
    verify, words,
};

/// Exit code if the connection is denied.
const DENIED: u8 = 1;
/// What stands before the name of a Service.
const SERVICE: &str = "service:";

#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Who connects: NAMESPACE/POD, or an address
    #[arg(value_name = "FROM")]
    from: String,
    /// Whom to: NAMESPACE/POD, an address, or service:NAMESPACE/NAME
    #[arg(value_name = "TO")]
    to: String,
    /// At which port: 80/TCP, 53/UDP, 9/SCTP; 80 is 80/TCP
    #[arg(value_name = "PORT")]
    front: Front,
    /// Compare with what Neutron has: the groups that ports carry, their rules and addresses; and with what OVN does, if its
    /// southbound database can be reached and ovn-trace is in PATH
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    southbound: Southbound,
}

/// A port that is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Front {
    pub(super) protocol: Protocol,
    pub(super) port: u16,
}

/// What is told of a connection.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    from: String,
    to: String,
    port: String,
    pub(super) allowed: bool,
    pub(super) ways: Vec<Told>,
    /// Where Neutron or OVN does otherwise.
    pub(super) differences: Vec<String>,
    notes: Vec<String>,
    unknown: Vec<String>,
}

/// A way of one family.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    family: &'static str,
    from: IpAddr,
    to: IpAddr,
    allowed: bool,
    pub(super) steps: Vec<ToldStep>,
    /// What OVN does, if it was asked.
    pub(super) ovn: Option<String>,
}

/// What the groups of one pod do.
#[derive(Debug, Serialize)]
pub(super) struct ToldStep {
    direction: &'static str,
    pod: String,
    /// The other end, where it is not the whole way's.
    other: String,
    allowed: bool,
    why: String,
    /// What Neutron does, if it was asked.
    pub(super) neutron: Option<String>,
}

pub(super) fn run(options: &Options, out: &mut impl Write) -> Result<u8> {
    let facts = options.common.observe()?;
    let index = facts.index();
    let from = end(&facts, &options.from)?;
    let to = end(&facts, &options.to)?;
    let Front { protocol, port } = options.front;
    let ways = index.trace(&from, &to, protocol, port)?;
    let mut report = judge(&facts, (&from, &to), options.front, &ways);
    if options.verify {
        verify::neutron(&facts, &ways, &mut report)?;
        ovn::verify(&facts, (&from, &to), options.front, &ways, &options.southbound, &mut report);
    }
    options.common.tell(&report, out, |report, out| text(report, out))?;
    Ok(match report.allowed {
        _ if !report.differences.is_empty() => UNKNOWN,
        true => 0,
        false => DENIED,
    })
}

impl FromStr for Front {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (port, protocol) = text.split_once('/').unwrap_or((text, "TCP"));
        let number = port.parse::<u16>().ok().filter(|port| *port > 0);
        let protocol = Protocol::read(&protocol.to_uppercase());
        Ok(Self {
            port: number.with_context(|| format!("`{port}` is no port"))?,
            protocol: protocol.context("the protocol is not TCP, UDP or SCTP")?,
        })
    }
}

impl fmt::Display for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, self.protocol.in_rules())
    }
}

/// Who is meant. An address that is a pod's or a Service's means it.
pub(super) fn end(facts: &Facts, text: &str) -> Result<End> {
    if let Some(service) = text.strip_prefix(SERVICE) {
        return Ok(End::Service(name(service)?));
    }
    if let Ok(address) = text.parse() {
        return Ok(facts.index().end_at(address));
    }
    let pod = name(text).context("neither an address nor a pod nor a Service is named so")?;
    if facts.said.is_of_node(&pod) {
        bail!("pod {pod} is in its node's network: no policy is for it; ask for an address of its node");
    }
    Ok(End::Pod(pod))
}

fn called(end: &End) -> String {
    match end {
        End::Pod(name) => name.to_string(),
        End::Address(address) => address.to_string(),
        End::Service(name) => format!("{SERVICE}{name}"),
    }
}

pub(super) fn judge(facts: &Facts, (from, to): (&End, &End), front: Front, ways: &[Way]) -> Report {
    let mut notes = facts.notes();
    if ways.iter().all(|way| way.steps.is_empty()) {
        notes.push("no policy has a say: neither end is a pod, or a pod talks to itself".to_owned());
    }
    Report {
        from: called(from),
        to: called(to),
        port: front.to_string(),
        allowed: ways.iter().all(Way::is_pass),
        ways: ways.iter().map(told).collect(),
        differences: Vec::new(),
        notes,
        unknown: facts.cloud.as_ref().err().cloned().into_iter().collect(),
    }
}

fn told(way: &Way) -> Told {
    let step = |step: &Step| ToldStep {
        direction: words::direction(step.packet.direction),
        pod: step.pod.to_string(),
        other: called(&step.other),
        allowed: step.verdict.is_pass(),
        why: why(&step.verdict),
        neutron: None,
    };
    Told {
        family: words::family(Family::of(way.to)),
        from: way.from,
        to: way.to,
        allowed: way.is_pass(),
        steps: way.steps.iter().map(step).collect(),
        ovn: None,
    }
}

fn why(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Open => "no policy isolates it".to_owned(),
        Verdict::Granted(reach) => {
            let by = reach.group.policy().map_or_else(|| reach.group.name(), Name::to_string);
            format!("by {by}: {}", words::reach(reach))
        }
        Verdict::Refused(policies) => {
            let names: Vec<_> = policies.iter().map(Name::to_string).collect();
            let have = if names.len() == 1 { "has" } else { "have" };
            format!("isolated by {}, which {have} no rule for it", names.join(" and "))
        }
    }
}

pub(super) fn verdict(is_pass: bool) -> &'static str {
    if is_pass { "allowed" } else { "denied" }
}

pub(super) fn text(report: &Report, out: &mut impl Write) -> Result<()> {
    let Report { from, to, port, allowed, .. } = report;
    writeln!(out, "{from} -> {to} at {port}: {}", verdict(*allowed))?;
    for way in &report.ways {
        writeln!(out, "{} {} -> {}: {}", way.family, way.from, way.to, verdict(way.allowed))?;
        for step in &way.steps {
            let to = if step.direction == "egress" { "to" } else { "from" };
            let ToldStep { direction, pod, other, allowed, why, .. } = step;
            writeln!(out, "  {direction} of {pod} {to} {other}: {}: {why}", verdict(*allowed))?;
            if let Some(neutron) = &step.neutron {
                writeln!(out, "    Neutron: {neutron}")?;
            }
        }
        if let Some(ovn) = &way.ovn {
            writeln!(out, "  OVN: {ovn}")?;
        }
    }
    for (what, texts) in
        [("differs", &report.differences), ("note", &report.notes), ("can't tell", &report.unknown)]
    {
        for text in texts {
            writeln!(out, "{what}: {text}")?;
        }
    }
    Ok(())
}

impl Report {
    /// Something could not be found out.
    pub(super) fn unknown(&mut self, what: String) {
        self.unknown.push(what);
    }
}
