//! How a load balancer and all that hangs on it do, as a tree.

use super::{Answer, Kind, Object, State, text};
use crate::reply::Reply;
use serde_json::{Value, json};

impl State {
    pub(super) fn statuses(&self, id: &str) -> Answer {
        let balancer = self.get(Kind::LoadBalancer, id)?;
        let mut tree = status(balancer, &[]);
        let listeners =
            self.all(Kind::Listener).filter(|(_, one)| self.balancer_of(Kind::Listener, one) == id);
        tree["listeners"] = listeners.map(|(_, listener)| self.listener_status(listener)).collect();
        Ok(Reply::ok(json!({ "statuses": { "loadbalancer": tree } })))
    }

    fn listener_status(&self, listener: &Object) -> Value {
        let pool = self.get(Kind::Pool, text(listener, "default_pool_id")).ok();
        let mut tree = status(listener, &[]);
        tree["pools"] = pool.into_iter().map(|pool| self.pool_status(pool)).collect();
        tree
    }

    fn pool_status(&self, pool: &Object) -> Value {
        let members = self.members_of(text(pool, "id"));
        let mut tree = status(pool, &[]);
        tree["members"] = members.map(|(_, member)| status(member, &["address", "protocol_port"])).collect();
        tree
    }
}

fn status(object: &Object, more: &[&str]) -> Value {
    let shown =
        ["id", "name", "provisioning_status", "operating_status"].into_iter().chain(more.iter().copied());
    shown
        .map(|name| (name.to_owned(), object.get(name).cloned().unwrap_or_default()))
        .collect::<Object>()
        .into()
}
