//! Keeps the security groups of every policy as the planner wants them.

mod record;

use super::error::Error;
use super::{Next, event};
use crate::context::Context;
use crate::policies::{self, Need, PATIENCE, Policies, Subject, Way, translate};
use futures::StreamExt;
use futures::stream;
use kuryr_api::{SecurityGroupId, SecurityGroupRuleId};
use kuryr_core::policy::Groups;
use kuryr_core::policy::key::{GroupKey, GroupRule};
use kuryr_core::policy::plan::{Action, Held, Observed, Room, is_unready, plan};
use kuryr_k8s::events::About;
use kuryr_k8s::slim::NetworkPolicy;
use kuryr_openstack::Kind;
use kuryr_openstack::neutron::NewSecurityGroup;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// More rounds than any plan needs that only touches OpenStack.
const ROUNDS: usize = 6;
/// How long it is waited for ports without looking again: not all that can happen to one is told, an answer of Neutron that was
/// lost for one.
const AGAIN: Duration = Duration::from_secs(2);
/// Requests of one policy that are under way at a time.
const SIDE_BY_SIDE: usize = 4;

/// What one look came to.
enum Rest {
    /// All is as it should be.
    Done,
    /// Ports have to take their groups first.
    AwaitsPods,
    /// Address groups are being made.
    AwaitsPeers,
}

/// Looks at the groups of `subject` and does what is to be done.
pub async fn reconcile(context: &Context, policies: &Policies, subject: &Subject) -> Result<Next, Error> {
    let policy = match subject {
        Subject::Policy(name) => context.caches.policies.get(&policies::key(name)),
        Subject::Shared => None,
    };
    let outcome = settle(context, policies, subject).await;
    match (&outcome, &policy) {
        (Err(error), _) => {
            if let (Some(policy), Some(news)) = (&policy, error.news()) {
                tell(context, policy, news).await;
            }
        }
        (Ok(_), Some(policy)) => {
            if let Some(news) = policies::unreadable(&policy.spec) {
                tell(context, policy, news).await;
            }
        }
        (Ok(_), None) => {}
    }
    if let Subject::Policy(name) = subject {
        record::keep(context, policies, name, policy.as_deref(), outcome.as_ref().err()).await?;
    }
    Ok(match outcome? {
        Rest::Done | Rest::AwaitsPeers => Next::OnChange,
        Rest::AwaitsPods => Next::Within(AGAIN),
    })
}

async fn settle(context: &Context, policies: &Policies, subject: &Subject) -> Result<Rest, Error> {
    let mut refused = None;
    for _ in 0..ROUNDS {
        policies.looked_at(subject);
        let Some(wanted) = policies.wanted(subject) else { return Err(Error::PoliciesUnknown) };
        let lacks = policies.lack_peers(&wanted);
        let groups = wanted.keys().filter_map(|key| policies.store.id_of(key)).collect();
        let room = if refused.is_some() || lacks { Room::None } else { Room::Enough };
        let actions = look(context, policies, subject, &wanted, room);
        if actions.iter().any(|action| matches!(action, Action::CreateGroup(_))) {
            policies.lost(subject);
        } else if room == Room::Enough && !is_unready(&actions) {
            policies.completed(context, subject, groups);
        }
        let Some(rest) = rest(&actions) else {
            let need = Need::of(&actions, &wanted);
            if let Err(error) = apply_within(context, policies, actions, need).await {
                match error {
                    // What is too much can go all the same: what is forbidden stays forbidden.
                    Error::MakeGroup(_) | Error::NoRoom(_) if refused.is_none() => refused = Some(error),
                    other => return Err(refused.unwrap_or(other)),
                }
            }
            continue;
        };
        if matches!(rest, Rest::AwaitsPods) && policies.wait_for_pods(subject) {
            // A port that took its groups just before we began to wait tells nobody.
            continue;
        }
        // Nothing is there that is too much. Pods do not wait for what can't be had.
        let is_hopeless = |error: &Error| !error.passes() || policies.queue.failures(subject) >= PATIENCE;
        if lacks || refused.as_ref().is_some_and(is_hopeless) {
            policies.stuck(context, subject);
        }
        if wanted.is_empty() && matches!(rest, Rest::Done) {
            policies.forget(subject);
        }
        return refused.map_or(Ok(rest), Err);
    }
    Err(refused.unwrap_or(Error::Restless))
}

/// Where a plan asks for nothing but patience.
fn rest(actions: &[Action]) -> Option<Rest> {
    let is_patience = |action: &Action| {
        matches!(action, Action::AwaitPeers(_) | Action::AwaitCarriers | Action::AwaitRelease)
    };
    if !actions.iter().all(is_patience) {
        return None;
    }
    let peers = actions.iter().any(|action| matches!(action, Action::AwaitPeers(_)));
    Some(match actions {
        [] => Rest::Done,
        _ if peers => Rest::AwaitsPeers,
        _ => Rest::AwaitsPods,
    })
}

fn look(
    context: &Context,
    policies: &Policies,
    subject: &Subject,
    wanted: &Groups,
    room: Room,
) -> Vec<Action> {
    // Who carries a group is asked with the store at hand for everybody: that takes a look into it as well.
    let held = policies.store.held(subject).into_iter().map(|(key, id, rules)| {
        let carriers = policies.carriers(&key, &context.ports.carriers(&id));
        Held { key, id, rules, carriers }
    });
    let held: Vec<_> = held.collect();
    let peers = match policies.way() {
        Way::Groups => policies.peers_of(wanted),
        Way::Addresses => BTreeMap::new(),
    };
    plan(&Observed { wanted, held: &held, peers: &peers, room })
}

/// All of a plan, if there is room for it.
async fn apply_within(
    context: &Context,
    policies: &Policies,
    actions: Vec<Action>,
    need: Need,
) -> Result<(), Error> {
    policies.allowance.check(context, need).await.map_err(Error::NoRoom)?;
    let outcome = apply(context, policies, actions).await;
    if matches!(&outcome, Err(Error::MakeGroup(error)) if error.kind() == Kind::OverQuota) {
        policies.allowance.forget();
        policies.allowance.check(context, need).await.map_err(Error::NoRoom)?;
    }
    outcome
}

/// All of a plan side by side; the first error, when all is done.
async fn apply(context: &Context, policies: &Policies, actions: Vec<Action>) -> Result<(), Error> {
    let all = actions.into_iter().map(|action| one(context, policies, action));
    let all = stream::iter(all).buffer_unordered(SIDE_BY_SIDE);
    let outcomes: Vec<_> = all.collect().await;
    outcomes.into_iter().collect()
}

async fn one(context: &Context, policies: &Policies, action: Action) -> Result<(), Error> {
    match action {
        Action::CreateGroup(key) => create(context, policies, &key).await,
        Action::AddRules(id, rules) => add_rules(context, policies, &id, &rules).await,
        Action::DeleteRules(id, rules) => delete_rules(context, policies, &id, rules).await,
        Action::DeleteGroup(id) => delete(context, policies, &id).await,
        Action::AwaitPeers(_) | Action::AwaitCarriers | Action::AwaitRelease => Ok(()),
    }
}

async fn create(context: &Context, policies: &Policies, key: &GroupKey) -> Result<(), Error> {
    let new = NewSecurityGroup {
        name: key.name(),
        description: context.own_tag.clone(),
        project_id: policies.project(),
    };
    let made = context.neutron.create_security_group(&new).await.map_err(Error::MakeGroup)?;
    tracing::info!(name = new.name, group = %made.id, "made a security group");
    let rules: Vec<_> = made.rules.iter().map(translate::held).collect();
    spend(policies, 1, rules.len());
    policies.store.insert_group(key.clone(), made.id.clone(), rules);
    let tags: Vec<_> = context.defaults.tags.iter().cloned().chain([context.own_tag.clone()]).collect();
    // Tags are for people: what is ours is known by its description.
    if let Err(error) = context.neutron.set_security_group_tags(&made.id, &tags).await {
        tracing::debug!(group = %made.id, error = error.chain(), "failed to tag a security group");
    }
    Ok(())
}

async fn add_rules(
    context: &Context,
    policies: &Policies,
    id: &SecurityGroupId,
    rules: &[GroupRule<kuryr_api::AddressGroupId>],
) -> Result<(), Error> {
    let project = policies.project();
    let new: Vec<_> = rules.iter().map(|rule| translate::new_rule(id, rule, project.as_ref())).collect();
    let made = context.neutron.create_security_group_rules(&new).await;
    let made = match made {
        Ok(made) => made,
        // The group or an address group was deleted by somebody: it is made anew by the next look.
        Err(error) if error.kind() == Kind::NotFound => {
            policies::verify(context, policies).await.map_err(Error::ChangeGroup)?;
            return Err(Error::ChangeGroup(error));
        }
        Err(error) => return Err(Error::MakeGroup(error)),
    };
    tracing::info!(group = %id, rules = made.len(), "made rules");
    let made: Vec<_> = made.iter().map(translate::held).collect();
    spend(policies, 0, made.len());
    policies.store.change_rules(id, |rules| rules.extend(made));
    Ok(())
}

fn spend(policies: &Policies, groups: i64, rules: usize) {
    policies.allowance.spend(Need { groups, rules: i64::try_from(rules).unwrap_or(i64::MAX) });
}

async fn delete_rules(
    context: &Context,
    policies: &Policies,
    id: &SecurityGroupId,
    rules: Vec<SecurityGroupRuleId>,
) -> Result<(), Error> {
    let delete = |rule: SecurityGroupRuleId| async move {
        let outcome = context.neutron.delete_security_group_rule(&rule).await;
        outcome.map(|_| rule).map_err(Error::ChangeGroup)
    };
    let count = rules.len();
    let all = stream::iter(rules.into_iter().map(delete)).buffer_unordered(SIDE_BY_SIDE);
    let all: Vec<_> = all.collect().await;
    let mut failed = None;
    for outcome in all {
        match outcome {
            Ok(gone) => policies.store.change_rules(id, |rules| rules.retain(|held| held.id != gone)),
            Err(error) => failed = Some(error),
        }
    }
    tracing::info!(group = %id, rules = count, "deleted rules");
    policies.look_at_useless_peers();
    failed.map_or(Ok(()), Err)
}

async fn delete(context: &Context, policies: &Policies, id: &SecurityGroupId) -> Result<(), Error> {
    context.neutron.delete_security_group(id).await.map_err(Error::DeleteGroup)?;
    tracing::info!(group = %id, "deleted a security group");
    policies.store.remove_group(id);
    policies.look_at_useless_peers();
    Ok(())
}

async fn tell(context: &Context, policy: &Arc<NetworkPolicy>, news: kuryr_core::news::News) {
    let about = About { kind: "NetworkPolicy", key: policy.key.clone(), uid: policy.uid.to_string() };
    context.events.tell(about, event(news)).await;
}
