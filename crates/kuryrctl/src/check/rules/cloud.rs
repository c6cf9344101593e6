//! The way into OpenStack, and what is allowed there.

use kuryr_openstack::neutron::Right;

use crate::check::{
    facts::{Facts, Way},
    finding::{Finding, Verdict, known},
};

/// Extensions that Kuryr does not work without, and what for.
const NEEDED: [(&str, &str); 3] = [
    ("binding", "ports can't be bound to nodes"),
    ("security-group", "ports can't get security groups"),
    ("standard-attr-tag", "Kuryr can't mark what is its own, and would never dare to clean up"),
];
/// Extensions without which it is slower, or knows less.
const USEFUL: [(&str, &str); 2] = [
    ("net-mtu", "Neutron does not tell the MTU of networks: pods get the kernel's 1500"),
    ("quota_details", "Neutron does not tell how much of a quota is used"),
];

/// Extensions by which network policies name their peers.
const OF_POLICIES: [&str; 2] = ["address-group", "security-groups-remote-address-group"];

pub(super) fn sign_in(facts: &Facts) -> Verdict {
    Ok(match known(&facts.cloud.way)? {
        Way::Open => Vec::new(),
        Way::Unsaid(what) => vec![Finding::problem(
            "openstack-unsaid",
            what,
            "the controller does not know how to reach OpenStack",
            "set [neutron] auth_url and its companions, or name a cloud of clouds.yaml in [neutron] cloud",
        )],
        Way::Tls(what) => vec![Finding::problem(
            "ca-unreadable",
            what,
            "the controller does not start: it can't verify the certificates of OpenStack",
            "correct [neutron] cafile, or let the user that Kuryr runs as read it. If the path is right in the controller's \
             container only, name a copy here by the environment variable OS_NEUTRON__CAFILE",
        )],
        Way::Refused(what) => vec![Finding::problem(
            "credentials-refused",
            what,
            "without a token nothing can be made in OpenStack, so that no pod starts",
            "correct the user, password, project and domains of [neutron] (in a cluster: of the Secret kuryr-credentials)",
        )],
        Way::Closed(what) => vec![Finding::problem(
            "openstack-unreachable",
            what,
            "without Keystone nothing can be made in OpenStack, so that no pod starts",
            "correct [neutron] auth_url, region_name and endpoint_type, or see to the way there: network, firewall, \
             certificate, Keystone itself",
        )],
    })
}

pub(super) fn extensions(facts: &Facts) -> Verdict {
    let offered = known(&facts.cloud.extensions)?;
    let missing = |(alias, _): &&(&str, &str)| !offered.contains(*alias);
    let needed = NEEDED.iter().filter(missing).map(|(alias, effect)| {
        Finding::problem(
            "extension-missing",
            format!("Neutron has no extension {alias}: {effect}"),
            "Kuryr does not work on a Neutron without it",
            format!(
                "load the plugin that offers {alias} in neutron.conf (service_plugins, ML2 extension drivers)"
            ),
        )
    });
    let useful = USEFUL.iter().filter(missing).map(|(alias, effect)| {
        Finding::warning(
            "extension-missing",
            format!("Neutron has no extension {alias}: {effect}"),
            "Kuryr works without it, but less well",
            format!("load the plugin that offers {alias} in neutron.conf"),
        )
    });
    let tags = !offered.contains("tag-creation") && !offered.contains("tag-ports-during-bulk-creation");
    let enforces = facts.settings().is_ok_and(|settings| settings.enforces_policies);
    let lacks = |alias: &&&str| enforces && !offered.contains(**alias);
    let groups = OF_POLICIES.iter().find(lacks).map(|alias| no_address_groups(alias));
    Ok(needed.chain(useful).chain(tags.then(late_tags)).chain(groups).collect())
}

fn no_address_groups(alias: &str) -> Finding {
    Finding::warning(
        "extension-missing",
        format!(
            "Neutron has no extension {alias}: network policies need a rule for each address of each peer"
        ),
        "every pod that comes or goes changes rules, and the quota of rules limits how many pods policies can name",
        format!(
            "load the plugin that offers {alias} in neutron.conf, or raise the quota of security group rules"
        ),
    )
}

fn late_tags() -> Finding {
    Finding::warning(
        "extension-missing",
        "Neutron has neither tag-creation nor tag-ports-during-bulk-creation: a port gets its tags afterwards",
        "every pod costs one more request",
        "load the ML2 extension driver tag_ports_during_bulk_creation",
    )
}

pub(super) fn binding(facts: &Facts) -> Verdict {
    Ok(match known(&facts.cloud.binding)? {
        Right::Granted => Vec::new(),
        Right::Denied(message) => vec![Finding::problem(
            "binding-denied",
            format!("Kuryr's user may not make ports with binding:host_id: {message}"),
            "a port that is bound to no host is never wired, so that no pod starts",
            "give the user a role that Neutron's policy allows create_port:binding:host_id, or allow it to a role of its own \
             in Neutron's policy.yaml: \"create_port:binding:host_id\": \"rule:admin_only or role:kuryr\", and \
             update_port:binding:host_id, get_port:binding:host_id, get_port:binding:vif_type, get_port:binding:vif_details alike",
        )],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{
        finding::{Gap, Severity},
        rules::sample::{good, ids, settled},
    };

    #[test]
    fn each_way_that_leads_nowhere_has_its_finding() {
        for (way, id) in [
            (Way::Unsaid("x".into()), "openstack-unsaid"),
            (Way::Tls("x".into()), "ca-unreadable"),
            (Way::Refused("x".into()), "credentials-refused"),
            (Way::Closed("x".into()), "openstack-unreachable"),
        ] {
            let mut facts = good();
            facts.cloud.way = Ok(way);
            assert_eq!(ids(&sign_in(&facts).unwrap()), [id]);
        }
        assert_eq!(sign_in(&good()).unwrap(), []);
    }

    #[test]
    fn a_missing_extension_is_as_bad_as_what_it_costs() {
        let without = |aliases: &[&str]| {
            let mut facts = good();
            facts.cloud.extensions.as_mut().unwrap().retain(|alias| !aliases.contains(&alias.as_str()));
            extensions(&facts).unwrap()
        };
        assert_eq!(without(&[]), []);
        let needed = without(&["standard-attr-tag"]);
        assert_eq!((ids(&needed), needed[0].severity), (vec!["extension-missing"], Severity::Problem));
        assert!(needed[0].what.contains("standard-attr-tag"));
        assert_eq!(without(&["net-mtu"])[0].severity, Severity::Warning);
        assert_eq!(without(&["tag-creation"])[0].severity, Severity::Warning);
    }

    #[test]
    fn without_address_groups_only_who_wants_policies_is_warned() {
        let found = |enforces_policies| {
            let facts = settled(|settings| settings.enforces_policies = enforces_policies);
            extensions(&facts).unwrap()
        };
        assert_eq!(found(false), []);
        let [finding] = &found(true)[..] else { panic!("not told once") };
        assert!(finding.what.contains("address-group"), "{finding:?}");
    }

    #[test]
    fn a_denied_right_is_a_problem_and_an_unknown_one_is_said_to_be() {
        let mut facts = good();
        assert_eq!(binding(&facts).unwrap(), []);
        facts.cloud.binding = Ok(Right::Denied("disallowed by policy".into()));
        assert_eq!(ids(&binding(&facts).unwrap()), ["binding-denied"]);
        facts.cloud.binding = Err(Gap::unknown("no answer"));
        assert_eq!(binding(&facts).unwrap_err(), Gap::unknown("no answer"));
    }
}
