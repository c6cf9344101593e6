//! How the fake changes the members of a pool, all at once.

use super::{Answer, Kind, Object, Provider, State, state::End};
use crate::reply::Reply;
use serde_json::{Value, json};

impl State {
    pub(super) fn members_of(&self, pool: &str) -> impl Iterator<Item = (&String, &Object)> {
        self.all(Kind::Member).filter(move |(_, one)| one["pool_id"] == pool)
    }

    /// Those that are among the old ones, by address and port, keep their ids.
    pub(super) fn set_members(&mut self, pool: &str, body: &Object) -> Answer {
        let found = self.get(Kind::Pool, pool)?.clone();
        let balancer = self.balancer_of(Kind::Pool, &found);
        self.check_active(Kind::Pool, pool)?;
        self.check_active(Kind::LoadBalancer, &balancer)?;
        let asked = body.get("members").and_then(Value::as_array).into_iter().flatten();
        let asked: Vec<_> = asked.filter_map(Value::as_object).collect();
        let old: Vec<_> = self.members_of(pool).map(|(id, one)| (id.clone(), one.clone())).collect();
        let kept = |new: &Object| old.iter().find(|(_, one)| same_place(one, new)).map(|(id, _)| id.clone());
        let more = asked.iter().filter(|new| kept(new).is_none()).count();
        self.check_quota(Kind::Member, &found["project_id"], more)?;

        let (mut made, mut stay, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for new in &asked {
            match kept(new) {
                Some(id) => {
                    self.patch(Kind::Member, &id, new);
                    stay.push((Kind::Member, id, End::Active));
                }
                None => made.push((Kind::Member, self.new_member(pool, &found, new), End::Active)),
            }
        }
        for (id, _) in old.iter().filter(|(_, one)| !asked.iter().any(|new| same_place(one, new))) {
            self.set_status(Kind::Member, id, "PENDING_DELETE");
            gone.push((Kind::Member, id.clone(), End::Gone));
        }
        self.set_status(Kind::Pool, pool, "PENDING_UPDATE");
        self.set_status(Kind::LoadBalancer, &balancer, "PENDING_UPDATE");
        let mut whole = self.listeners_of(&found, End::Active);
        whole.push((Kind::Pool, pool.to_owned(), End::Active));
        whole.push((Kind::LoadBalancer, balancer.clone(), End::Active));
        let steps = match self.provider_of(&balancer) {
            Provider::Ovn => in_ovns_steps(made, stay, gone, &whole),
            Provider::Amphora => vec![[made, stay, gone, whole].concat()],
        };
        self.begin_steps(&balancer, steps);
        Ok(Reply::new(202, Value::Null))
    }

    fn new_member(&mut self, pool: &str, found: &Object, new: &Object) -> String {
        let id = self.new_id();
        let mut member = new.clone();
        for (name, value) in [("pool_id", json!(pool)), ("project_id", found["project_id"].clone())] {
            member.insert(name.into(), value);
        }
        for (name, value) in [("weight", json!(1)), ("backup", json!(false)), ("subnet_id", Value::Null)] {
            member.entry(name).or_insert(value);
        }
        self.keep(Kind::Member, &id, member);
        id
    }
}

type Ends = Vec<(Kind, String, End)>;

/// OVN's provider makes an event each of those that are new, those that stay and those that go. The end of any makes all ACTIVE that
/// is there, and the first does so for those that stay, too.
fn in_ovns_steps(made: Ends, stay: Ends, gone: Ends, whole: &Ends) -> Vec<Ends> {
    let first = if made.is_empty() { Vec::new() } else { [made, stay.clone()].concat() };
    let steps = [first, stay, gone].into_iter().filter(|step| !step.is_empty());
    let mut steps: Vec<Ends> = steps.map(|step| [step, whole.clone()].concat()).collect();
    if steps.is_empty() {
        steps.push(whole.clone());
    }
    steps
}

fn same_place(one: &Object, other: &Object) -> bool {
    one["address"] == other["address"] && one["protocol_port"] == other["protocol_port"]
}
