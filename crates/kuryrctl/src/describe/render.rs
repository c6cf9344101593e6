//! The report for people.

use std::{fmt, io::Write};

use anyhow::Result;

use super::{
    report::{Balancer, FloatingIp, Pool, Record, Report, Service, Status},
    words::place,
};

/// More of one kind do not fit on a screen.
const MOST: usize = 20;

pub(super) fn text(report: &Report, out: &mut impl Write) -> Result<()> {
    line(out, "Service", &report.name)?;
    if let Some(wanted) = &report.service {
        service(wanted, out)?;
    }
    if let Some(one) = &report.endpoints {
        let counts = format!("{} ready, {} draining, {} not ready", one.ready, one.draining, one.not_ready);
        line(out, "endpoints", &counts)?;
    }
    line(out, "record", &report.record.as_ref().map_or_else(|| "none".to_owned(), record))?;
    for one in report.load_balancers.iter().flatten() {
        balancer(one, out)?;
    }
    for one in report.floating_ips.iter().flatten() {
        line(out, "floating IP", &floating_ip(one))?;
    }
    let events = report.events.iter().flatten();
    for event in events.skip(report.events.as_ref().map_or(0, |all| all.len().saturating_sub(MOST))) {
        let said = event.said.map(|said| format!(" at {said}")).unwrap_or_default();
        line(out, "event", &format!("{}{said}: {}: {}", event.kind, event.reason, event.message))?;
    }
    writeln!(out)?;
    verdict(report, out)
}

fn verdict(report: &Report, out: &mut impl Write) -> Result<()> {
    let said = [
        ("note", &report.notes),
        ("wrong", &report.wrong),
        ("waits", &report.waits),
        ("next", &report.next),
        ("can't tell", &report.unknown),
    ];
    for (what, texts) in said {
        for text in texts {
            writeln!(out, "{what}: {text}")?;
        }
    }
    if report.is_done() && report.unknown.is_empty() {
        writeln!(out, "nothing to do")?;
    }
    Ok(())
}

fn line(out: &mut impl Write, what: &str, text: &str) -> Result<()> {
    Ok(writeln!(out, "{what:<14} {text}")?)
}

fn service(service: &Service, out: &mut impl Write) -> Result<()> {
    let class = service.class.as_ref().map(|class| format!(", class {class}")).unwrap_or_default();
    let affinity = service.affinity.map(|_| ", a client stays with an endpoint").unwrap_or_default();
    let deleting = if service.deleting { ", being deleted" } else { "" };
    line(out, "type", &format!("{}{class}{affinity}{deleting}", service.kind))?;
    line(out, "cluster IPs", &listed(&service.cluster_ips))?;
    if !service.outside.is_empty() {
        line(out, "outside", &listed(&service.outside))?;
    }
    for port in &service.ports {
        let name = if port.name.is_empty() { String::new() } else { format!("{} ", port.name) };
        line(out, "port", &format!("{name}{} -> {}", port.front, port.target))?;
    }
    Ok(())
}

fn listed(all: &[impl fmt::Display]) -> String {
    if all.is_empty() {
        return "none".to_owned();
    }
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn record(record: &Record) -> String {
    let balancer = record.load_balancer.as_ref().map(|id| format!("load balancer {id}"));
    let balancer = balancer.unwrap_or_else(|| "no load balancer yet".to_owned());
    let address = record.floating_ip.as_ref().map(|address| format!(", floating IP {address}"));
    let deleting = if record.deleting { ", being deleted" } else { "" };
    format!("{balancer}{}{deleting}", address.unwrap_or_default())
}

fn balancer(balancer: &Balancer, out: &mut impl Write) -> Result<()> {
    let Balancer { id, address, provider, owner, status, .. } = balancer;
    line(out, "load balancer", &format!("{id} at {address} ({provider}, {owner}) {status}"))?;
    for listener in &balancer.listeners {
        line(out, "  listener", &format!("{} {}", listener.front, listener.status))?;
        if let Some(one) = &listener.pool {
            pool(one, out)?;
        }
    }
    Ok(())
}

fn pool(pool: &Pool, out: &mut impl Write) -> Result<()> {
    line(out, "    pool", &format!("{} {}", pool.algorithm, pool.status))?;
    for one in pool.members.iter().take(MOST) {
        let text = format!("{} {} {}", place(one.address, one.port), one.name, one.status);
        line(out, "      member", &text)?;
    }
    match pool.members.len().checked_sub(MOST) {
        None | Some(0) => Ok(()),
        Some(more) => line(out, "      member", &format!("... and {more} more")),
    }
}

fn floating_ip(one: &FloatingIp) -> String {
    let whose = if one.ours { "made by Kuryr" } else { "a user's" };
    let leads =
        one.leads_to.as_ref().map_or_else(|| "leads nowhere".to_owned(), |to| format!("leads to {to}"));
    format!("{} ({whose}) {leads}", one.address)
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.provisioning)?;
        match &self.operating {
            Some(operating) => write!(f, " {operating}"),
            None => Ok(()),
        }
    }
}
