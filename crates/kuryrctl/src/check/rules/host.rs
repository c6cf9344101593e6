//! The machine that this runs on.

use crate::check::{
    facts::{Facts, Taken},
    finding::{Finding, Verdict, known},
};

pub(super) fn ports(facts: &Facts) -> Verdict {
    Ok(known(&facts.host.taken)?.iter().map(taken).collect())
}

fn taken(taken: &Taken) -> Finding {
    let Taken { port, option, program } = taken;
    Finding::problem(
        "port-taken",
        format!("TCP port {port} ({option}), which {program} needs, is another program's on this host"),
        "the program can't serve its health or metrics there: it does not start",
        format!(
            "`ss -ltnp 'sport = :{port}'` names the program; stop it, or choose another port by {option}"
        ),
    )
}

pub(super) fn kernel(facts: &Facts) -> Verdict {
    let Err(reason) = known(&facts.host.plumbing)? else { return Ok(Vec::new()) };
    Ok(vec![Finding::problem(
        "kernel-lacks",
        format!("the kernel does not make a veth pair in a network namespace of its own: {reason}"),
        "every pod of this node is connected by such a pair",
        "load the module (modprobe veth) and have it loaded at boot, or use a kernel with veth and network namespaces; in a \
         container: run it privileged",
    )])
}

pub(super) fn switch(facts: &Facts) -> Verdict {
    let settings = facts.settings()?;
    if let Err(reason) = known(&facts.host.ovsdb)? {
        return Ok(vec![Finding::problem(
            "ovs-unreachable",
            format!("Open vSwitch's database does not answer at {}: {reason}", settings.ovsdb),
            "the daemon plugs pods through it: no pod of this node starts",
            "start openvswitch-switch, or correct [vif_plug_ovs] ovsdb_connection",
        )]);
    }
    let missing = !known(&facts.host.bridge)?;
    Ok(missing.then(|| no_bridge(&settings.bridge)).into_iter().collect())
}

fn no_bridge(bridge: &str) -> Finding {
    Finding::problem(
        "bridge-missing",
        format!("there is no interface {bridge} on this host"),
        "pods are plugged into that bridge: no pod of this node starts",
        "see to ovn-controller or Neutron's agent on this node, which makes it; or correct [neutron_defaults] ovs_bridge",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::rules::sample::{good, ids};

    #[test]
    fn a_good_host_has_no_findings() {
        for check in [ports, kernel, switch] {
            assert_eq!(check(&good()).unwrap(), []);
        }
    }

    #[test]
    fn each_trouble_has_its_finding() {
        let mut facts = good();
        let option = "[health_server] port";
        facts.host.taken = Ok(vec![Taken { port: 8082, option, program: "kuryr-k8s-controller" }]);
        facts.host.plumbing = Ok(Err("Operation not supported".into()));
        facts.host.bridge = Ok(false);
        let found = ports(&facts).unwrap();
        assert_eq!(ids(&found), ["port-taken"]);
        assert!(found[0].what.contains("8082") && found[0].fix.contains(option));
        assert_eq!(ids(&kernel(&facts).unwrap()), ["kernel-lacks"]);
        assert_eq!(ids(&switch(&facts).unwrap()), ["bridge-missing"]);
        facts.host.ovsdb = Ok(Err("connection refused".into()));
        assert_eq!(ids(&switch(&facts).unwrap()), ["ovs-unreachable"], "and of its bridges nothing is known");
    }
}
