//! What OVN does with the first packet of a connection: `ovn-trace` is asked, which simulates it by the southbound database.
//!
//! Only what leaves a pod can be simulated: the packet is put in at its port. A Service's endpoint is OVN's choice, so that connections to
//! Services are not asked about.

use std::{env, net::IpAddr, process::Command};

use clap::Args;
use kuryr_core::{
    policy::{
        model::{Direction, Family, Protocol},
        trace::{End, Step, Way},
    },
    port::Port,
};

use super::{
    facts::Facts,
    trace::{Front, Report, verdict},
    verify::port,
};

/// The program that is asked.
const PROGRAM: &str = "ovn-trace";
/// How it begins to tell of a packet.
const SIMULATED: &str = "# ";

/// Where OVN is.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "OVN")]
pub(crate) struct Southbound {
    /// OVN's southbound database, such as tcp:192.0.2.1:6642, to have ovn-trace simulate the packet
    #[arg(long = "ovn-sb", value_name = "DATABASE", env = "OVN_SB_DB")]
    database: Option<String>,
}

/// A packet between two ports on one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Simulated<'a> {
    pub(super) from: (&'a Port, IpAddr),
    pub(super) to: (&'a Port, IpAddr),
    pub(super) front: Front,
}

/// Adds what OVN does to each way that it can be asked about, and where it differs.
pub(super) fn verify(
    facts: &Facts,
    (from, to): (&End, &End),
    front: Front,
    ways: &[Way],
    southbound: &Southbound,
    report: &mut Report,
) {
    let (Some(database), Ok(cloud)) = (&southbound.database, &facts.cloud) else { return };
    if !(matches!(from, End::Pod(_)) && matches!(to, End::Pod(_))) {
        return report.unknown("OVN is asked about packets from pods to pods only".to_owned());
    }
    if !is_installed(PROGRAM) {
        return report.unknown(format!("OVN was not asked: there is no {PROGRAM} in PATH"));
    }
    for (at, way) in ways.iter().enumerate() {
        let side = |direction| way.steps.iter().find(|step: &&Step| step.packet.direction == direction);
        let (Some(out), Some(into)) = (side(Direction::Egress), side(Direction::Ingress)) else { continue };
        let (Some(source), Some(target)) = (port(cloud, out), port(cloud, into)) else { continue };
        let packet = Simulated { from: (source, way.from), to: (target, way.to), front };
        let told = ask(database, &packet).and_then(|output| packet.arrives(&output));
        match told {
            Ok(passes) => compare(way, passes, &mut report.ways[at].ovn, &mut report.differences),
            Err(why) => report.unknown(format!("OVN was not asked: {why}")),
        }
    }
}

fn compare(way: &Way, passes: bool, told: &mut Option<String>, differences: &mut Vec<String>) {
    *told = Some(verdict(passes).to_owned());
    if passes != way.is_pass() {
        let (wanted, does) = (verdict(way.is_pass()), verdict(passes));
        differences.push(format!("{} -> {} should be {wanted}, and OVN says: {does}", way.from, way.to));
    }
}

fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn ask(database: &str, packet: &Simulated<'_>) -> Result<String, String> {
    let output = Command::new(PROGRAM).args(packet.words(database)).output();
    let output = output.map_err(|error| format!("cannot start {PROGRAM}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{PROGRAM} failed: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

impl Simulated<'_> {
    /// What ovn-trace is told. Each pod's port has a connection tracker of its own, to which the packet is new.
    pub(super) fn words(&self, database: &str) -> Vec<String> {
        let words = ["--db", database, "--ct=new", "--ct=new", "--minimal"].map(ToOwned::to_owned);
        let network = format!("neutron-{}", self.from.0.network);
        words.into_iter().chain([network, self.microflow()]).collect()
    }

    fn microflow(&self) -> String {
        let ((source, from), (target, to)) = (self.from, self.to);
        let ip = match Family::of(to) {
            Family::V4 => "ip4",
            Family::V6 => "ip6",
        };
        let Front { protocol, port } = self.front;
        let protocol = match protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        [
            format!("inport == \"{}\"", source.id),
            format!("eth.src == {}", source.mac),
            format!("eth.dst == {}", target.mac),
            format!("{ip}.src == {from}"),
            format!("{ip}.dst == {to}"),
            "ip.ttl == 64".to_owned(),
            format!("{protocol}.dst == {port}"),
        ]
        .join(" && ")
    }

    /// Whether it comes out at the other's port, as ovn-trace tells it: it cuts ids short. What it can't simulate is told without an
    /// error's exit code.
    pub(super) fn arrives(&self, output: &str) -> Result<bool, String> {
        if !output.starts_with(SIMULATED) {
            return Err(format!("{PROGRAM} told nothing of the packet: {}", output.trim()));
        }
        let outputs = output.lines().filter_map(|line| line.trim_start().strip_prefix("output(\""));
        let mut ports = outputs.filter_map(|rest| rest.split('"').next()).filter(|port| !port.is_empty());
        Ok(ports.any(|port| self.to.0.id.as_str().starts_with(port)))
    }
}
