//! What Kubernetes must know and allow.

use crate::check::{
    facts::{Facts, State},
    finding::{Finding, Verdict, known},
};

const APPLY: &str = "kuryrctl crds | kubectl apply --server-side --force-conflicts -f -";

pub(super) fn definitions(facts: &Facts) -> Verdict {
    let definitions = known(&facts.cluster.definitions)?;
    Ok(definitions.iter().filter_map(|definition| state(&definition.name, &definition.state)).collect())
}

fn state(name: &str, state: &State) -> Option<Finding> {
    match state {
        State::Same => None,
        State::Missing => Some(Finding::problem(
            "definition-missing",
            format!("Kubernetes has no custom resource definition {name}"),
            "Kuryr can't keep its records, so that no pod starts",
            APPLY,
        )),
        State::Different => Some(Finding::problem(
            "definition-different",
            format!("the custom resource definition {name} is not that of this version"),
            "the API server drops fields that it does not know, or refuses records",
            APPLY,
        )),
        State::NotServed(reason) => Some(Finding::problem(
            "definition-not-served",
            format!("the custom resource definition {name} is there but not served: {reason}"),
            "Kuryr can't keep its records, so that no pod starts",
            format!("kubectl describe crd {name} says more"),
        )),
    }
}

pub(super) fn controller(facts: &Facts) -> Verdict {
    let lacks = known(&facts.cluster.controller_lacks)?;
    Ok(lacking("the controller", lacks).into_iter().collect())
}

pub(super) fn daemons(facts: &Facts) -> Verdict {
    let lack = known(&facts.cluster.daemons_lack)?;
    Ok(lacking("the daemons' account", lack).into_iter().collect())
}

pub(super) fn policies(facts: &Facts) -> Verdict {
    let (count, settings) = (*known(&facts.cluster.policies)?, facts.settings()?);
    let ignored = !settings.enforces_policies && count > 0;
    Ok(ignored.then(|| ignored_policies(count)).into_iter().collect())
}

fn ignored_policies(count: usize) -> Finding {
    Finding::warning(
        "policies-ignored",
        format!("the cluster has network policies ({count}), and this configuration enforces none"),
        "who wrote them believes that they protect something",
        "set [kubernetes] pod_security_groups_driver = policy, or delete them",
    )
}

fn lacking(who: &str, lacks: &[String]) -> Option<Finding> {
    (!lacks.is_empty()).then(|| {
        Finding::problem(
            "rights-missing",
            format!("{who} may not: {}", lacks.join(", ")),
            "what it may not do does not happen, and its log fills with refusals",
            "apply controller_service_account.yml and cni_service_account.yml of `kuryrctl generate` of this version",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{
        facts::Definition,
        rules::sample::{good, ids, settled},
    };

    #[test]
    fn each_state_of_a_definition_has_its_finding() {
        let mut facts = good();
        assert_eq!(definitions(&facts).unwrap(), []);
        let states =
            [State::Same, State::Missing, State::Different, State::NotServed("a name is taken".into())];
        let all = states.map(|state| Definition { name: "kuryrports.openstack.org".into(), state });
        facts.cluster.definitions = Ok(all.into());
        let found = definitions(&facts).unwrap();
        assert_eq!(ids(&found), ["definition-missing", "definition-different", "definition-not-served"]);
    }

    #[test]
    fn policies_that_nobody_enforces_are_told() {
        let found = |count, enforces_policies| {
            let mut facts = settled(|settings| settings.enforces_policies = enforces_policies);
            facts.cluster.policies = Ok(count);
            policies(&facts).unwrap()
        };
        assert_eq!(ids(&found(2, false)), ["policies-ignored"]);
        assert_eq!((found(2, true), found(0, false)), (vec![], vec![]));
    }

    #[test]
    fn missing_rights_are_told_together() {
        let mut facts = good();
        assert_eq!((controller(&facts).unwrap(), daemons(&facts).unwrap()), (vec![], vec![]));
        facts.cluster.controller_lacks =
            Ok(vec!["list pods".into(), "patch kuryrports.openstack.org".into()]);
        let found = controller(&facts).unwrap();
        assert_eq!(ids(&found), ["rights-missing"]);
        assert_eq!(found[0].what, "the controller may not: list pods, patch kuryrports.openstack.org");
    }
}
