//! What the quotas leave for security groups and rules: a policy that does not fit is not begun. Known from the slow looks and from
//! our own calls, and read again before anything is refused for it. Address groups have no quota.

use crate::context::Context;
use crate::relist;
use kuryr_core::policy::Groups;
use kuryr_core::policy::plan::Action;
use kuryr_openstack::neutron::{Quota, Quotas};
use parking_lot::Mutex;
use thiserror::Error;

/// Neutron makes a new group with so many rules.
const INBORN: i64 = 2;

/// What the quotas leave, as far as we know.
#[derive(Default)]
pub struct Allowance {
    known: Mutex<Option<Known>>,
}

#[derive(Clone, Copy)]
struct Known {
    groups: Quota,
    rules: Quota,
}

/// How much more is to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Security groups.
    pub groups: i64,
    /// Rules of all of them.
    pub rules: i64,
}

/// More is needed than the quotas leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "{} more security groups and {} more rules are needed; left are {} groups and {} rules",
    needed.groups, needed.rules, told(left.groups, limit.groups), told(left.rules, limit.rules)
)]
pub struct Shortage {
    /// What is to be made.
    pub needed: Need,
    /// What is left.
    pub left: Need,
    /// The quotas; below zero: as many as you like.
    pub limit: Need,
}

impl Need {
    /// What a plan makes for `wanted`, up to its end.
    pub fn of(actions: &[Action], wanted: &Groups) -> Self {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let mut need = Self::default();
        for action in actions {
            match action {
                Action::CreateGroup(key) => {
                    need.groups += 1;
                    need.rules += INBORN.max(wanted.get(key).map_or(0, |rules| count(rules.len())));
                }
                Action::AddRules(_, rules) => need.rules += count(rules.len()),
                _ => {}
            }
        }
        need
    }
}

impl Shortage {
    /// The quotas that would do.
    pub fn enough(&self) -> Need {
        let enough = |limit, needed: i64, left: i64| limit + needed.saturating_sub(left).max(0);
        Need {
            groups: enough(self.limit.groups, self.needed.groups, self.left.groups),
            rules: enough(self.limit.rules, self.needed.rules, self.left.rules),
        }
    }
}

impl Allowance {
    /// Neutron has told.
    pub fn know(&self, quotas: &Quotas) {
        *self.known.lock() = Some(Known { groups: quotas.security_group, rules: quotas.security_group_rule });
    }

    /// We made more.
    pub fn spend(&self, made: Need) {
        if let Some(known) = &mut *self.known.lock() {
            known.groups.used += made.groups;
            known.rules.used += made.rules;
        }
    }

    /// Neutron refused what we thought there was room for.
    pub fn forget(&self) {
        *self.known.lock() = None;
    }

    /// Whether there is room for `need`. Where Neutron does not tell, it has to refuse by itself.
    pub async fn check(&self, context: &Context, need: Need) -> Result<(), Shortage> {
        if need == Need::default() || self.judge(need) == Some(Ok(())) {
            return Ok(());
        }
        if let Some(quotas) = relist::read_quotas(context).await {
            self.know(&quotas);
        }
        self.judge(need).unwrap_or(Ok(()))
    }

    /// None: nothing is known.
    fn judge(&self, needed: Need) -> Option<Result<(), Shortage>> {
        let Known { groups, rules } = (*self.known.lock())?;
        let left =
            |quota: Quota| quota.free().map_or(i64::MAX, |free| i64::try_from(free).unwrap_or(i64::MAX));
        let left = Need { groups: left(groups), rules: left(rules) };
        if needed.groups <= left.groups && needed.rules <= left.rules {
            return Some(Ok(()));
        }
        let limit = Need { groups: groups.limit, rules: rules.limit };
        Some(Err(Shortage { needed, left, limit }))
    }
}

fn told(left: i64, limit: i64) -> String {
    if limit < 0 { "any number of".to_owned() } else { format!("{left} of {limit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(groups: (i64, i64), rules: (i64, i64)) -> Allowance {
        let quota = |(limit, used)| Quota { limit, used, reserved: 0 };
        let allowance = Allowance::default();
        *allowance.known.lock() = Some(Known { groups: quota(groups), rules: quota(rules) });
        allowance
    }

    #[test]
    fn what_was_made_is_not_left() {
        let allowance = known((10, 8), (100, 90));
        let need = Need { groups: 1, rules: 10 };
        assert_eq!(allowance.judge(need), Some(Ok(())));
        allowance.spend(Need { groups: 1, rules: 4 });
        let shortage = allowance.judge(need).unwrap().unwrap_err();
        assert_eq!(shortage.left, Need { groups: 1, rules: 6 });
        assert_eq!(shortage.enough(), Need { groups: 10, rules: 104 });
        let without_limit = Shortage { limit: Need { groups: -1, ..shortage.limit }, ..shortage };
        assert_eq!(
            without_limit.to_string(),
            "1 more security groups and 10 more rules are needed; left are any number of groups and 6 of 100 rules"
        );
    }

    #[test]
    fn without_a_limit_there_is_always_room() {
        assert_eq!(known((-1, 50), (-1, 5000)).judge(Need { groups: 9, rules: 999 }), Some(Ok(())));
    }

    #[test]
    fn without_an_answer_neutron_has_to_refuse() {
        assert_eq!(Allowance::default().judge(Need { groups: 1, rules: 1 }), None);
    }
}
