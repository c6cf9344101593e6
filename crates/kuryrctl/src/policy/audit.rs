//! All that policies want, against what Neutron has.

use std::io::Write;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use ipnet::IpNet;
use kuryr_api::AddressGroupId;
use kuryr_controller::explain::policies::Seen as Cloud;
use kuryr_core::policy::{audit::Drift, key::GroupRule};
use serde::Serialize;

use super::{
    Common,
    facts::{Facts, NOT_ENFORCED},
    words,
};

/// Exit code if there are differences.
const DRIFT: u8 = 1;

#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
}

/// Every difference.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) summary: Summary,
    pub(super) drift: Vec<Line>,
}

/// What was looked at, and how many differences there are.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    policies: usize,
    pods: usize,
    security_groups: usize,
    address_groups: usize,
    pub(super) differences: usize,
}

/// A difference.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    /// What kind it is of: `group-missing`, `rule-strange`, …
    pub(super) kind: &'static str,
    /// Of which group, address group or pod.
    pub(super) of: String,
    /// Id of what differs, where it exists.
    id: Option<String>,
    pub(super) what: String,
}

pub(super) fn run(options: &Options, out: &mut impl Write) -> Result<u8> {
    let report = judge(&options.common.observe()?)?;
    options.common.tell(&report, out, |report, out| text(report, out))?;
    Ok(if report.drift.is_empty() { 0 } else { DRIFT })
}

pub(super) fn judge(facts: &Facts) -> Result<Report> {
    let cloud = facts.cloud.as_ref().map_err(|why| anyhow!("{why}"))?;
    if !cloud.is_enforced {
        bail!("{NOT_ENFORCED}");
    }
    let drift: Vec<_> = cloud.drift().iter().map(|drift| line(cloud, drift)).collect();
    let summary = Summary {
        policies: cloud.index.policies().count(),
        pods: cloud.ports.len(),
        security_groups: cloud.groups.len(),
        address_groups: cloud.peers.len(),
        differences: drift.len(),
    };
    Ok(Report { summary, drift })
}

fn line(cloud: &Cloud, drift: &Drift) -> Line {
    let line = |kind, of: String, id: Option<String>, what: String| Line { kind, of, id, what };
    match drift {
        Drift::NoGroup(key) => {
            line("group-missing", key.name(), None, "the security group is missing".into())
        }
        Drift::StrangeGroup(key, id) => {
            let what = format!("nobody needs the security group {id}");
            line("group-strange", key.name(), Some(id.to_string()), what)
        }
        Drift::NoRule(key, rule) => {
            let what = format!("a rule is missing: {}", told(rule, words::peer));
            line("rule-missing", key.name(), None, what)
        }
        Drift::StrangeRule(key, id, rule) => {
            let rule = rule.as_ref().map(|rule| told(rule, |group| address_group(cloud, group)));
            let rule = rule.unwrap_or_else(|| "one that Kuryr would not make".to_owned());
            let what = format!("nobody asked for the rule {id}: {rule}");
            line("rule-strange", key.name(), Some(id.to_string()), what)
        }
        Drift::NoAddressGroup(key) => {
            line("address-group-missing", key.name(), None, "the address group is missing".into())
        }
        Drift::StrangeAddressGroup(key, id) => {
            let what = format!("nobody needs the address group {id}");
            line("address-group-strange", key.name(), Some(id.to_string()), what)
        }
        Drift::NoAddresses(key, all) => {
            line("addresses-missing", key.name(), None, format!("lacks {}", addresses(all)))
        }
        Drift::StrangeAddresses(key, all) => {
            line("addresses-strange", key.name(), None, format!("should not have {}", addresses(all)))
        }
        Drift::Port(pod, port, carried) => {
            let lacks = carried.lacks.iter().map(|name| format!("lacks {name}"));
            let strange = carried.strange.iter();
            let strange = strange.map(|id| format!("should not carry {}", cloud.holdings.called(id)));
            let what: Vec<_> = lacks.chain(strange).collect();
            let what = format!("port {port} {}", what.join(", "));
            line("port-groups", pod.to_string(), Some(port.to_string()), what)
        }
    }
}

fn told<K>(rule: &GroupRule<K>, group: impl FnOnce(&K) -> String) -> String {
    let (direction, family) = (words::direction(rule.direction), words::family(rule.family));
    format!("{direction} {family} {}", words::rule(rule, group))
}

fn address_group(cloud: &Cloud, id: &AddressGroupId) -> String {
    let held = cloud.holdings.addresses.get(id);
    held.map_or_else(|| format!("address group {id}"), |held| held.name.clone())
}

fn addresses(all: &[IpNet]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

pub(super) fn text(report: &Report, out: &mut impl Write) -> Result<()> {
    for Line { of, what, .. } in &report.drift {
        writeln!(out, "{of}: {what}")?;
    }
    let Summary { policies, pods, security_groups, address_groups, differences } = &report.summary;
    let looked = [
        words::counted(*policies, "policy", "policies"),
        words::counted(*pods, "pod", "pods"),
        words::counted(*security_groups, "security group", "security groups"),
        words::counted(*address_groups, "address group", "address groups"),
    ];
    let found = match differences {
        0 => "no difference".to_owned(),
        some => words::counted(*some, "difference", "differences"),
    };
    Ok(writeln!(out, "{}: {found}", looked.join(", "))?)
}
