//! How the fake changes the members of a pool, all at once.

use super::{Answer, Kind, Object, State, state::End};
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

        let mut ends = self.listeners_of(&found, End::Active);
        for new in &asked {
            let id = match kept(new) {
                Some(id) => {
                    self.patch(Kind::Member, &id, new);
                    id
                }
                None => self.new_member(pool, &found, new),
            };
            ends.push((Kind::Member, id, End::Active));
        }
        for (id, _) in old.iter().filter(|(_, one)| !asked.iter().any(|new| same_place(one, new))) {
            self.set_status(Kind::Member, id, "PENDING_DELETE");
            ends.push((Kind::Member, id.clone(), End::Gone));
        }
        self.set_status(Kind::Pool, pool, "PENDING_UPDATE");
        ends.push((Kind::Pool, pool.to_owned(), End::Active));
        self.change(&balancer, ends);
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

fn same_place(one: &Object, other: &Object) -> bool {
    one["address"] == other["address"] && one["protocol_port"] == other["protocol_port"]
}
