//! The life of the fake's listeners, and the end of pools, which is the same.

use super::{Answer, Kind, Object, State, fault, state::End, text};
use crate::reply::Reply;
use serde_json::{Value, json};

impl State {
    pub(super) fn create_listener(&mut self, mut new: Object) -> Answer {
        let balancer = text(&new, "loadbalancer_id").to_owned();
        let found = self.get(Kind::LoadBalancer, &balancer)?.clone();
        self.check_quota(Kind::Listener, &found["project_id"], 1)?;
        self.check_active(Kind::LoadBalancer, &balancer)?;
        self.provider_of(&balancer).check_listener(&new, text(&found, "vip_address"))?;
        self.check_place(&balancer, &new)?;
        let id = self.new_id();
        new.remove("loadbalancer_id");
        new.insert("loadbalancers".into(), json!([{ "id": balancer }]));
        new.insert("project_id".into(), found["project_id"].clone());
        for (name, value) in [
            ("default_pool_id", Value::Null),
            ("timeout_client_data", json!(50_000)),
            ("timeout_member_connect", json!(5_000)),
            ("timeout_member_data", json!(50_000)),
            ("allowed_cidrs", Value::Null),
        ] {
            new.entry(name).or_insert(value);
        }
        self.keep(Kind::Listener, &id, new);
        self.change(&balancer, vec![(Kind::Listener, id.clone(), End::Active)]);
        self.show(Kind::Listener, &id, 201)
    }

    pub(super) fn update_listener(&mut self, id: &str, asked: &Object) -> Answer {
        let balancer = self.balancer_of(Kind::Listener, self.get(Kind::Listener, id)?);
        let vip = text(self.get(Kind::LoadBalancer, &balancer)?, "vip_address").to_owned();
        self.check_active(Kind::LoadBalancer, &balancer)?;
        self.provider_of(&balancer).check_listener(asked, &vip)?;
        self.patch(Kind::Listener, id, asked);
        self.change(&balancer, vec![(Kind::Listener, id.to_owned(), End::Active)]);
        self.show(Kind::Listener, id, 200)
    }

    /// Deletes a listener or a pool.
    pub(super) fn delete_child(&mut self, kind: Kind, id: &str) -> Answer {
        let balancer = self.balancer_of(kind, self.get(kind, id)?);
        self.check_active(Kind::LoadBalancer, &balancer)?;
        self.set_status(kind, id, "PENDING_DELETE");
        self.change(&balancer, vec![(kind, id.to_owned(), End::Gone)]);
        Ok(Reply::no_content())
    }

    /// Two listeners of one load balancer can't have the same port, unless one is of UDP and the other of TCP, say.
    fn check_place(&self, balancer: &str, new: &Object) -> Result<(), Reply> {
        let transport = |one: &Object| match text(one, "protocol") {
            datagrams @ ("UDP" | "SCTP") => datagrams.to_owned(),
            _ => "TCP".to_owned(),
        };
        let same = |one: &Object| {
            self.balancer_of(Kind::Listener, one) == balancer
                && one["protocol_port"] == new["protocol_port"]
                && transport(one) == transport(new)
        };
        if self.all(Kind::Listener).any(|(_, one)| same(one)) {
            let (protocol, port) = (text(new, "protocol"), &new["protocol_port"]);
            let why = format!(
                "Another Listener on this Load Balancer is already using protocol {protocol} and protocol_port {port}"
            );
            return Err(fault(409, &why));
        }
        Ok(())
    }
}
