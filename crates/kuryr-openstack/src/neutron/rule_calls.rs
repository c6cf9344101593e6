//! The calls about rules of security groups.
//!
//! Neutron makes all rules of a request or none, and none if the group has one of them already. So a caller that asks for many
//! would lose them all over one that another has made in the meantime, or it itself by a request whose answer was lost.

use super::{Deleted, HeldRule, Neutron, NewRule, Rule, lost};
use crate::{Call, Effect, Error, Result, Service, Target, wire::Many};
use http::Method;
use kuryr_api::ids::{SecurityGroupId, SecurityGroupRuleId};
use std::time::Duration;

const ALL: &str = "/security-group-rules";
const ONE: &str = "/security-group-rules/{id}";

/// What a rule adds to a request of many on a small cloud, amply.
const TIME_FOR_A_RULE: Duration = Duration::from_millis(100);

/// After so many requests for the missing ones in vain, each is asked for by itself.
const MOST_TOGETHER: usize = 2;

impl Neutron {
    /// Sees to it that the groups have these rules, in one request for each group unless there is one of them already. The
    /// answer is in the order of `rules`; a rule that was there keeps its id and description.
    ///
    /// An error can leave some made: of other groups, or if a rule came in between. It is no harm to ask again.
    /// Of refusals these concern the request: [`Kind::NotFound`](crate::Kind::NotFound), there is no such group;
    /// [`Kind::Invalid`](crate::Kind::Invalid), a rule contradicts itself; [`Kind::OverQuota`](crate::Kind::OverQuota), not all
    /// have room.
    pub async fn create_security_group_rules(&self, rules: &[NewRule]) -> Result<Vec<HeldRule>> {
        let mut made: Vec<Option<HeldRule>> = vec![None; rules.len()];
        for group in groups(rules) {
            let members: Vec<_> =
                (0..rules.len()).filter(|&at| rules[at].security_group_id == *group).collect();
            let wanted: Vec<_> = members.iter().map(|&at| &rules[at]).collect();
            for (at, held) in members.into_iter().zip(self.make_rules(group, &wanted).await?) {
                made[at] = Some(held);
            }
        }
        made.into_iter().map(|held| held.ok_or_else(unanswered)).collect()
    }

    /// Deletes a rule.
    pub async fn delete_security_group_rule(&self, id: &SecurityGroupRuleId) -> Result<Deleted> {
        self.delete(ONE, format!("{ALL}/{id}")).await
    }

    async fn make_rules(&self, group: &SecurityGroupId, wanted: &[&NewRule]) -> Result<Vec<HeldRule>> {
        match self.post_rules(group, wanted).await {
            Ok(made) => Ok(made),
            Err(error) if is_there_already(&error) => self.make_missing_rules(group, wanted).await,
            Err(error) => Err(error),
        }
    }

    /// Makes what `group` has not of `wanted`.
    async fn make_missing_rules(
        &self,
        group: &SecurityGroupId,
        wanted: &[&NewRule],
    ) -> Result<Vec<HeldRule>> {
        let mut times = 0;
        loop {
            let mut held = self.rules_of(group).await?;
            let missing = missing(wanted, &held);
            let together = if times < MOST_TOGETHER { missing.len() } else { 1 };
            let mut refused = None;
            for part in missing.chunks(together.max(1)) {
                match self.post_rules(group, part).await {
                    Ok(made) => held.extend(made),
                    Err(error) if is_there_already(&error) => refused = Some(error),
                    Err(error) => return Err(error),
                }
            }
            match refused {
                None => return wanted.iter().map(|rule| found(&held, rule).ok_or_else(unanswered)).collect(),
                Some(error) if times > MOST_TOGETHER => return Err(error),
                Some(_) => times += 1,
            }
        }
    }

    /// Makes rules of one group, all or none.
    async fn post_rules(&self, group: &SecurityGroupId, rules: &[&NewRule]) -> Result<Vec<HeldRule>> {
        if rules.is_empty() {
            return Ok(Vec::new());
        }
        let time = TIME_FOR_A_RULE.saturating_mul(rules.len().try_into().unwrap_or(u32::MAX));
        let call = Call::new(Service::Network, Method::POST, ALL, ALL.into()).extra_time(time);
        let call = call.json(&serde_json::json!({ "security_group_rules": rules }))?;
        match self.session.call(&call).await.and_then(|answer| answer.json::<Many<HeldRule>>()) {
            Ok(made) if made.items.len() == rules.len() => Ok(made.items),
            Ok(_) => Err(unanswered()),
            // Of two requests for one rule at the same time both are granted, and OVN's filter ends with the first of the two rules that is
            // deleted. So what was lost is not asked for again before it is seen to be missing.
            Err(error) if error.effect() == Effect::Unknown => {
                let find = || async move {
                    let held = self.rules_of(group).await?;
                    Ok(rules.iter().map(|rule| found(&held, rule)).collect())
                };
                lost::look_for("security group rules", error, find).await
            }
            Err(error) => Err(error),
        }
    }

    async fn rules_of(&self, group: &SecurityGroupId) -> Result<Vec<HeldRule>> {
        Ok(self.security_group(group).await?.rules.into_iter().collect())
    }
}

/// The groups that `rules` are for, each once.
fn groups(rules: &[NewRule]) -> Vec<&SecurityGroupId> {
    let mut groups: Vec<_> = rules.iter().map(|rule| &rule.security_group_id).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// What is wanted and not held, each but once.
fn missing<'a>(wanted: &[&'a NewRule], held: &[HeldRule]) -> Vec<&'a NewRule> {
    let mut missing: Vec<(Rule, &NewRule)> = Vec::new();
    for rule in wanted.iter().filter(|rule| found(held, rule).is_none()) {
        let asked = rule.rule();
        if !missing.iter().any(|(other, _)| other.is_like(&asked)) {
            missing.push((asked, *rule));
        }
    }
    missing.into_iter().map(|(_, rule)| rule).collect()
}

fn found(held: &[HeldRule], wanted: &NewRule) -> Option<HeldRule> {
    let wanted = wanted.rule();
    held.iter().find(|held| held.rule.is_like(&wanted)).cloned()
}

/// Whether the group has one of the rules, or the request has one twice.
fn is_there_already(error: &Error) -> bool {
    matches!(error.neutron_type(), Some("SecurityGroupRuleExists" | "DuplicateSecurityGroupRuleInPost"))
}

fn unanswered() -> Error {
    Error::MatchAnswer { call: Target { service: Service::Network, method: Method::POST, path: ALL.into() } }
}
