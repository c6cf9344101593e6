//! Octavia's provider against what load balancers are asked to be.

use crate::check::{
    facts::Facts,
    finding::{Finding, Gap, Verdict, known},
};

/// What `[kubernetes] endpoints_driver_octavia_provider` is when Octavia is to choose.
const ANY: &str = "default";
const OVN: &str = "ovn";
const AMPHORA: [&str; 2] = ["amphora", "octavia"];
/// What OVN does if it is not asked for the other, and what amphorae can't.
const SOURCE_IP_PORT: &str = "SOURCE_IP_PORT";
/// What both can.
const SOURCE_IP: &str = "SOURCE_IP";

pub(super) fn provider(facts: &Facts) -> Verdict {
    let settings = facts.settings()?;
    if settings.service_subnets.is_empty() {
        return Err(Gap::skipped("[neutron_defaults] service_subnets is not set: no Service is served"));
    }
    let wanted = &settings.balancer;
    let Some(offered) = known(&facts.cloud.providers)? else {
        return Ok(vec![no_octavia()]);
    };
    if wanted.provider != ANY && !offered.contains(&wanted.provider) {
        return Ok(vec![unknown(&wanted.provider, offered.iter().map(String::as_str))]);
    }
    // Octavia does not tell which is its default: it is known only if there is no choice.
    let candidates: Vec<&str> = match wanted.provider.as_str() {
        ANY => offered.iter().map(String::as_str).collect(),
        named => vec![named],
    };
    let only = |names: &[&str]| !candidates.is_empty() && candidates.iter().all(|name| names.contains(name));
    let mut found = Vec::new();
    // A default is nobody's wish, and OVN's own way is taken instead of it.
    let is_ovns = [SOURCE_IP_PORT, SOURCE_IP].contains(&wanted.algorithm.as_str());
    if candidates.contains(&OVN) && wanted.algorithm_is_set && !is_ovns {
        found.push(algorithm(&wanted.algorithm, only(&[OVN])));
    }
    if only(&AMPHORA) && wanted.algorithm == SOURCE_IP_PORT {
        found.push(amphora());
    }
    if only(&[OVN]) && wanted.enforce_rules {
        found.push(rules());
    }
    Ok(found)
}

fn no_octavia() -> Finding {
    Finding::warning(
        "octavia-missing",
        "the service catalogue has no load-balancer: there is no Octavia for this user",
        "pods work, but no Service will have a load balancer",
        "install Octavia, or correct [neutron] region_name and endpoint_type",
    )
}

fn unknown<'a>(wanted: &str, offered: impl Iterator<Item = &'a str>) -> Finding {
    Finding::problem(
        "provider-unknown",
        format!(
            "[kubernetes] endpoints_driver_octavia_provider is {wanted}; Octavia has {}",
            offered.collect::<Vec<_>>().join(", ")
        ),
        "Octavia refuses every load balancer",
        "name one of those, or leave the option out",
    )
}

fn algorithm(algorithm: &str, certain: bool) -> Finding {
    let why = if certain {
        "connections are spread by SOURCE_IP_PORT instead"
    } else {
        "if ovn is Octavia's default, connections are spread by SOURCE_IP_PORT instead; Octavia does not tell which of its \
         providers that is"
    };
    Finding::warning(
        "lb-algorithm-wrong",
        format!("[octavia_defaults] lb_algorithm is {algorithm}, which the provider ovn can't do"),
        why,
        "set lb_algorithm = SOURCE_IP_PORT (or SOURCE_IP), or choose another provider in [kubernetes] \
         endpoints_driver_octavia_provider",
    )
}

fn amphora() -> Finding {
    Finding::problem(
        "lb-algorithm-wrong",
        "[octavia_defaults] lb_algorithm is SOURCE_IP_PORT, which amphorae can't do",
        "Octavia refuses every pool, so that no Service works",
        "set lb_algorithm = ROUND_ROBIN, LEAST_CONNECTIONS or SOURCE_IP",
    )
}

fn rules() -> Finding {
    Finding::warning(
        "lb-rules-useless",
        "[octavia_defaults] enforce_sg_rules is on; the provider ovn has no port whose security groups could be set",
        "it has no effect",
        "set enforce_sg_rules = false",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{
        finding::Severity,
        rules::sample::{ids, settled},
    };

    fn found(offered: &[&str], provider: &str, algorithm: &str, enforce: bool) -> Vec<Finding> {
        let mut facts = settled(|settings| {
            settings.balancer.provider = provider.into();
            settings.balancer.algorithm = algorithm.into();
            settings.balancer.enforce_rules = enforce;
        });
        facts.cloud.providers = Ok(Some(offered.iter().map(|name| (*name).to_owned()).collect()));
        super::provider(&facts).unwrap()
    }

    #[test]
    fn ovn_wants_its_own_algorithm() {
        assert_eq!(found(&["ovn"], "default", "SOURCE_IP_PORT", false), []);
        let wrong = found(&["ovn"], "default", "ROUND_ROBIN", false);
        assert_eq!((ids(&wrong), wrong[0].severity), (vec!["lb-algorithm-wrong"], Severity::Warning));
        assert_eq!(found(&["ovn"], "default", "SOURCE_IP", false), []);
        assert_eq!(ids(&found(&["ovn", "amphora"], "ovn", "ROUND_ROBIN", false)), ["lb-algorithm-wrong"]);
        assert_eq!(found(&["ovn", "amphora"], "amphora", "ROUND_ROBIN", true), []);
    }

    #[test]
    fn a_default_that_nobody_chose_is_no_mistake() {
        let facts = settled(|settings| {
            settings.balancer.algorithm = "ROUND_ROBIN".into();
            settings.balancer.algorithm_is_set = false;
        });
        assert_eq!(super::provider(&facts).unwrap(), []);
    }

    #[test]
    fn without_service_subnets_nobody_asks_octavia_for_anything() {
        let facts = settled(|settings| settings.service_subnets.clear());
        assert!(matches!(super::provider(&facts), Err(Gap::Skipped(_))));
    }

    #[test]
    fn where_the_default_is_not_known_it_is_a_warning() {
        let wrong = found(&["ovn", "amphora"], "default", "ROUND_ROBIN", true);
        assert_eq!((ids(&wrong), wrong[0].severity), (vec!["lb-algorithm-wrong"], Severity::Warning));
    }

    #[test]
    fn amphorae_can_not_do_what_ovn_does() {
        assert_eq!(
            ids(&found(&["amphora", "octavia"], "default", "SOURCE_IP_PORT", true)),
            ["lb-algorithm-wrong"]
        );
    }

    #[test]
    fn a_provider_that_is_not_there_and_rules_that_do_nothing() {
        let wrong = found(&["amphora"], "ovn", "SOURCE_IP_PORT", false);
        assert_eq!(ids(&wrong), ["provider-unknown"]);
        assert!(wrong[0].what.ends_with("Octavia has amphora"));
        assert_eq!(ids(&found(&["ovn"], "default", "SOURCE_IP_PORT", true)), ["lb-rules-useless"]);
    }

    #[test]
    fn pods_do_without_octavia() {
        let mut facts = settled(|_| {});
        facts.cloud.providers = Ok(None);
        assert_eq!(super::provider(&facts).unwrap()[0].severity, Severity::Warning);
    }
}
