//! What Neutron does with the packets of a connection, by the groups that ports carry and the rules that these have.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use kuryr_controller::explain::policies::Seen as Cloud;
use kuryr_core::{
    policy::{
        held::HeldVerdict,
        trace::{Step, Way},
    },
    port::Port,
};

use super::{
    facts::Facts,
    trace::{Report, ToldStep, verdict},
};

/// Adds what Neutron does to each step, and where it differs.
pub(super) fn neutron(facts: &Facts, ways: &[Way], report: &mut Report) -> Result<()> {
    let cloud = facts.cloud.as_ref().map_err(|why| anyhow!("{why}"))?;
    let mut differences = Vec::new();
    for (way, told) in ways.iter().zip(&mut report.ways) {
        for (step, told) in way.steps.iter().zip(&mut told.steps) {
            check(cloud, step, told, &mut differences);
        }
    }
    for way in ways {
        for step in &way.steps {
            differences.extend(groups(cloud, step));
        }
    }
    differences.sort();
    differences.dedup();
    report.differences.append(&mut differences);
    Ok(())
}

/// The port of a step's pod that has its address.
pub(super) fn port<'c>(cloud: &'c Cloud, step: &Step) -> Option<&'c Arc<Port>> {
    let has_it = |port: &&Arc<Port>| port.addresses.iter().any(|(_, address)| *address == step.address);
    cloud.ports.get(&step.pod)?.iter().find(has_it)
}

fn check(cloud: &Cloud, step: &Step, told: &mut ToldStep, differences: &mut Vec<String>) {
    let Some(port) = port(cloud, step) else {
        differences.push(format!("pod {} has no port in Neutron with {}", step.pod, step.address));
        return;
    };
    let held = cloud.holdings.decide(&port.security_groups, &step.packet);
    let words = words(cloud, &held);
    let wanted = step.verdict.is_pass();
    if held.is_pass() != Some(wanted) {
        let at = format!("{} of {}", super::words::direction(step.packet.direction), step.pod);
        differences.push(format!("{at} should be {}, and Neutron says: {words}", verdict(wanted)));
    }
    told.neutron = Some(words);
}

fn words(cloud: &Cloud, held: &HeldVerdict) -> String {
    match held {
        HeldVerdict::Granted(group, rule) => {
            let name = cloud.holdings.groups.get(group).map(|group| group.name.as_str()).unwrap_or_default();
            format!("allowed by {name}, rule {rule}")
        }
        HeldVerdict::Refused => "denied: no rule of the groups that the port carries lets it pass".to_owned(),
        HeldVerdict::Unclear(rules) => {
            let rules: Vec<_> = rules.iter().map(ToString::to_string).collect();
            format!("unclear: it depends on rules that Kuryr would not make: {}", rules.join(" "))
        }
    }
}

fn groups(cloud: &Cloud, step: &Step) -> Vec<String> {
    let mut told = Vec::new();
    for (port, carried) in cloud.carried_by(&step.pod) {
        for name in carried.lacks {
            told.push(format!("port {port} of {} lacks {name}", step.pod));
        }
        for id in carried.strange {
            let name = cloud.holdings.called(&id);
            told.push(format!("port {port} of {} should not carry {name}", step.pod));
        }
    }
    told
}
