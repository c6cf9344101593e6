//! What kuryr.conf says by itself.

use crate::check::{
    facts::{Config, Facts, PoolSizes},
    finding::{Finding, Verdict},
};

#[expect(clippy::unnecessary_wraps, reason = "it is a check like the others")]
pub(super) fn readable(facts: &Facts) -> Verdict {
    Ok(match &facts.config {
        Config::Unreadable(problems) => problems.iter().map(|problem| unreadable(problem)).collect(),
        Config::Read(settings) => {
            let missing = (settings.files == 0).then(missing);
            missing.into_iter().chain(settings.ignored.iter().map(|what| ignored(what))).collect()
        }
    })
}

fn unreadable(problem: &str) -> Finding {
    Finding::problem(
        "config-unreadable",
        problem,
        "the programs do not start with it: they stop with exit code 2",
        "mend the line; `kuryrctl config docs` tells what each option may be, `kuryrctl config check` reads the file again",
    )
}

fn missing() -> Finding {
    Finding::warning(
        "config-missing",
        "no kuryr.conf was found: every option has its default, but for what the environment sets",
        "what is checked is then hardly what the cluster will use",
        "name the file by --config-file",
    )
}

fn ignored(what: &str) -> Finding {
    Finding::warning(
        "config-ignored",
        what,
        "it does not do what its writer may think",
        "correct the line, or delete it",
    )
}

pub(super) fn complete(facts: &Facts) -> Verdict {
    let settings = facts.settings()?;
    let needed = [
        (settings.project.is_none(), "project", "the id of the project that pods' ports are made in"),
        (settings.pod_subnets.is_empty(), "pod_subnets", "the ids of the subnets of the pods' network"),
        (
            settings.security_groups.is_empty(),
            "pod_security_groups",
            "the ids of the security groups of pods' ports",
        ),
    ];
    let missing = needed.into_iter().filter(|(missing, _, _)| *missing);
    Ok(missing.map(|(_, option, meaning)| incomplete(option, meaning)).collect())
}

fn incomplete(option: &str, meaning: &str) -> Finding {
    Finding::problem(
        "config-incomplete",
        format!("[neutron_defaults] {option} is not set"),
        "no pod gets a port without it",
        format!("set it to {meaning}; `kuryrctl openstack init` prints it for a layout of its own"),
    )
}

pub(super) fn files(facts: &Facts) -> Verdict {
    let unreadable = facts.settings()?.unreadable.iter().map(|(option, path, reason)| {
        Finding::problem(
            "file-unreadable",
            format!("{}, which [kubernetes] {option} names, can't be read: {reason}", path.display()),
            "Kuryr does not reach the Kubernetes API without it",
            "correct the path, or let the user that Kuryr runs as read the file",
        )
    });
    Ok(unreadable.collect())
}

pub(super) fn pools(facts: &Facts) -> Verdict {
    let settings = facts.settings()?;
    let rules = pool_sizes(&settings.pool).into_iter().flatten().map(pool);
    Ok(rules.chain(settings.impossible_pools.iter().map(|mapped| impossible(mapped))).collect())
}

fn impossible(mapped: &str) -> Finding {
    Finding::warning(
        "pool-impossible",
        format!("[vif_pool] vif_pool_mapping has {mapped}"),
        "no such pool can be kept: pods of these nodes get their ports when they come",
        "neutron-vif:neutron and nested-vlan:nested are pools; other drivers have none: leave them out, or write noop",
    )
}

fn pool(what: String) -> Finding {
    Finding::warning(
        "pool-sizes",
        what,
        "a pool can't keep to it: it would be filled and emptied without end",
        "choose ports_pool_min <= ports_pool_batch <= ports_pool_max; a ports_pool_max of 0 is no limit",
    )
}

/// What is wrong with the sizes of pools: maximum and minimum, minimum and batch, maximum and batch.
pub(crate) fn pool_sizes(pool: &PoolSizes) -> [Option<String>; 3] {
    let PoolSizes { max, min, batch, .. } = *pool;
    let wrong = |wrong: bool, one, other| wrong.then(|| format!("[vif_pool] {one}, and {other}"));
    let (at_most, at_least, at_once) = (
        format!("ports_pool_max is {max}"),
        format!("ports_pool_min is {min}"),
        format!("ports_pool_batch is {batch}"),
    );
    [
        wrong(max != 0 && max < min, &at_most, &at_least),
        wrong(batch < min, &at_once, &at_least),
        wrong(max != 0 && max < batch, &at_most, &at_once),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::rules::sample::{ids, settled};

    #[test]
    fn pools_must_hold_a_batch_and_a_batch_the_minimum() {
        let wrong = |max, min, batch| {
            pool_sizes(&PoolSizes { are_kept: true, max, min, batch }).map(|wrong| wrong.is_some())
        };
        assert_eq!(wrong(0, 5, 10), [false; 3], "no limit");
        assert_eq!(wrong(10, 5, 10), [false; 3]);
        assert_eq!(wrong(4, 5, 5), [true, false, true]);
        assert_eq!(wrong(0, 5, 4), [false, true, false]);
        assert_eq!(wrong(9, 5, 10), [false, false, true]);
    }

    #[test]
    fn a_pool_that_there_is_not_is_told_of() {
        let facts = settled(|settings| settings.impossible_pools.push("nested-ipvlan:nested".into()));
        assert_eq!(ids(&pools(&facts).unwrap()), ["pool-impossible"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let facts = settled(|settings| settings.pod_subnets.clear());
        let found = complete(&facts).unwrap();
        assert_eq!(ids(&found), ["config-incomplete"]);
        assert!(found[0].what.contains("pod_subnets") && found[0].fix.contains("subnets"));
    }

    #[test]
    fn an_unreadable_file_has_a_finding_for_each_fault() {
        let mut facts = settled(|_| {});
        facts.config = Config::Unreadable(vec!["one".into(), "two".into()]);
        assert_eq!(ids(&readable(&facts).unwrap()), ["config-unreadable"; 2]);
        assert!(complete(&facts).is_err(), "and nothing else is known of it");
    }

    #[test]
    fn a_good_file_has_none() {
        let facts = settled(|_| {});
        for check in [readable, complete, files, pools] {
            assert_eq!(check(&facts).unwrap(), []);
        }
    }
}
