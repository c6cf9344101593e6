//! The life of the fake's pools.

use super::{Answer, Kind, Object, Provider, State, fault, provider::Pooling, state::End, text};
use serde_json::{Value, json};

impl State {
    pub(super) fn create_pool(&mut self, mut new: Object) -> Answer {
        let listener = text(&new, "listener_id").to_owned();
        let Ok(found) = self.get(Kind::Listener, &listener).cloned() else {
            return Err(fault(500, "'NoneType' object has no attribute 'load_balancer_id'"));
        };
        let balancer = self.balancer_of(Kind::Listener, &found);
        let provider = self.provider_of(&balancer);
        let pooling = Pooling { protocol: text(&new, "protocol"), listener: Some(text(&found, "protocol")) };
        Provider::check_pooling(&new, &pooling)?;
        self.check_quota(Kind::Pool, &found["project_id"], 1)?;
        if !found["default_pool_id"].is_null() {
            return Err(fault(409, "This listener already has a default pool"));
        }
        self.check_active(Kind::LoadBalancer, &balancer)?;
        provider.check_pool(&new)?;
        let id = self.new_id();
        new.remove("listener_id");
        new.insert("listeners".into(), json!([{ "id": listener }]));
        new.insert("loadbalancers".into(), json!([{ "id": balancer }]));
        new.insert("project_id".into(), found["project_id"].clone());
        new.entry("session_persistence").or_insert(Value::Null);
        self.keep(Kind::Pool, &id, new);
        let led_here = Object::from_iter([("default_pool_id".to_owned(), json!(id))]);
        self.patch(Kind::Listener, &listener, &led_here);
        let ends = vec![(Kind::Pool, id.clone(), End::Active), (Kind::Listener, listener, End::Active)];
        self.change(&balancer, ends);
        self.show(Kind::Pool, &id, 201)
    }

    pub(super) fn update_pool(&mut self, id: &str, asked: &Object) -> Answer {
        let found = self.get(Kind::Pool, id)?.clone();
        let balancer = self.balancer_of(Kind::Pool, &found);
        let provider = self.provider_of(&balancer);
        Provider::check_pooling(asked, &Pooling { protocol: text(&found, "protocol"), listener: None })?;
        self.check_active(Kind::LoadBalancer, &balancer)?;
        provider.check_pool(asked)?;
        // OVN's provider looks for `admin_state_up` in such a change, and fails if it is not there.
        let stumbles = provider == Provider::Ovn
            && asked.contains_key("session_persistence")
            && !asked.contains_key("admin_state_up");
        let end = if stumbles { End::Error } else { End::Active };
        self.patch(Kind::Pool, id, asked);
        let mut ends = self.listeners_of(&found, End::Active);
        ends.push((Kind::Pool, id.to_owned(), end));
        self.change(&balancer, ends);
        self.show(Kind::Pool, id, 200)
    }

    /// Begins to change the listeners of a pool, and says what becomes of them.
    pub(super) fn listeners_of(&mut self, pool: &Object, end: End) -> Vec<(Kind, String, End)> {
        let named = pool["listeners"].as_array().into_iter().flatten();
        let ids: Vec<_> = named.filter_map(|one| one["id"].as_str().map(str::to_owned)).collect();
        for id in &ids {
            self.set_status(Kind::Listener, id, "PENDING_UPDATE");
        }
        ids.into_iter().map(|id| (Kind::Listener, id, end)).collect()
    }
}
