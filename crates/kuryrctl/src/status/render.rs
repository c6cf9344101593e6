//! The report for people.

use std::io::Write;

use anyhow::Result;

use super::{
    facts::{Counts, Program},
    judge::{Pods, Report},
    services::Services,
};

/// More of one kind do not fit on a screen.
const MOST: usize = 10;

pub(super) fn text(report: &Report, out: &mut impl Write) -> Result<()> {
    writeln!(out, "kuryrctl    {}", report.version)?;
    let leader = report.leader.as_ref().map(|leader| leader.holder.as_str());
    writeln!(out, "leader      {}", leader.unwrap_or("none seen"))?;
    programs("controllers", report.controllers.as_deref(), out)?;
    programs("daemons", report.daemons.as_deref(), out)?;
    match &report.pods {
        Some(told) => pods(told, out)?,
        None => writeln!(out, "pods        not seen")?,
    }
    match &report.services {
        Some(told) => services(told, report.openstack.as_ref(), out)?,
        None => writeln!(out, "Services    none is served, as far as was seen")?,
    }
    match &report.openstack {
        Some(counts) => openstack(counts, out)?,
        None => writeln!(out, "OpenStack   not seen")?,
    }
    writeln!(out)?;
    for wrong in &report.wrong {
        writeln!(out, "wrong: {wrong}")?;
    }
    for unknown in &report.unknown {
        writeln!(out, "can't tell: {unknown}")?;
    }
    if report.wrong.is_empty() && report.unknown.is_empty() {
        writeln!(out, "all is well")?;
    }
    Ok(())
}

fn programs(title: &str, programs: Option<&[Program]>, out: &mut impl Write) -> Result<()> {
    let Some(programs) = programs else { return Ok(writeln!(out, "{title:<11} not seen")?) };
    if programs.is_empty() {
        return Ok(writeln!(out, "{title:<11} none runs as a pod")?);
    }
    let ready = programs.iter().filter(|program| program.ready).count();
    writeln!(out, "{title:<11} {ready} of {} pods ready", programs.len())?;
    // Those that are not ready are told below; on a large cluster the others are not worth a line each.
    for program in programs.iter().take(MOST) {
        let state = if program.ready { "ready" } else { "not ready" };
        writeln!(out, "  {:<40} {:<20} {state:<9}  {}", program.pod, program.node, program.image)?;
    }
    more(programs.len(), out)
}

fn pods(pods: &Pods, out: &mut impl Write) -> Result<()> {
    writeln!(
        out,
        "pods        {} wired, {} waiting, {} failed",
        pods.wired,
        pods.waiting,
        pods.failed.len()
    )?;
    for pod in pods.failed.iter().take(MOST) {
        writeln!(out, "  {}/{} on {}: {}: {}", pod.namespace, pod.pod, pod.node, pod.reason, pod.message)?;
    }
    more(pods.failed.len(), out)
}

fn services(services: &Services, counts: Option<&Counts>, out: &mut impl Write) -> Result<()> {
    let Services { served, waiting, failed } = services;
    writeln!(
        out,
        "Services    {served} served, {waiting} waiting, {} without a load balancer",
        failed.len()
    )?;
    for one in failed.iter().take(MOST) {
        writeln!(out, "  {}/{}: {}: {}", one.namespace, one.service, one.reason, one.message)?;
    }
    more(failed.len(), out)?;
    // A controller that has not read Octavia yet counts none.
    let Some(counts) = counts.filter(|counts| !counts.load_balancers.is_empty()) else { return Ok(()) };
    let balancers = counts.load_balancers.iter().map(|(state, count)| format!("{count} {state}"));
    let balancers = balancers.collect::<Vec<_>>().join(", ");
    Ok(writeln!(out, "balancers   {balancers}; {} floating IPs", counts.floating_ips)?)
}

fn openstack(counts: &Counts, out: &mut impl Write) -> Result<()> {
    let errors: u64 = counts.errors.iter().map(|error| error.count).sum();
    writeln!(out, "OpenStack   {} requests since the leader started, {errors} failed", counts.requests)?;
    for error in counts.errors.iter().take(MOST) {
        writeln!(
            out,
            "  {:>6} {} {} {}: {}",
            error.count, error.service, error.method, error.route, error.status
        )?;
    }
    more(counts.errors.len(), out)?;
    let left = counts.quota_left.iter().map(|(resource, left)| match left {
        ..0 => format!("{resource} without limit"),
        left => format!("{resource} {left}"),
    });
    Ok(writeln!(out, "quota left  {}", left.collect::<Vec<_>>().join(", "))?)
}

fn more(all: usize, out: &mut impl Write) -> Result<()> {
    match all.checked_sub(MOST) {
        None | Some(0) => Ok(()),
        Some(more) => Ok(writeln!(out, "  ... and {more} more")?),
    }
}
