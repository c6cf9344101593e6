//! The life of the fake's health monitors.

use super::{
    Answer, Kind, Object, Provider, State, fault,
    state::{End, pool_of},
    text,
};
use crate::reply::Reply;
use serde_json::json;

impl State {
    pub(super) fn create_monitor(&mut self, mut new: Object) -> Answer {
        let pool = text(&new, "pool_id").to_owned();
        let found = self.get(Kind::Pool, &pool)?.clone();
        let balancer = self.balancer_of(Kind::Pool, &found);
        let provider = self.provider_of(&balancer);
        Provider::check_monitoring(&new, text(&found, "protocol"))?;
        self.check_quota(Kind::HealthMonitor, &found["project_id"], 1)?;
        self.check_changeable(&pool, &balancer)?;
        if self.all(Kind::HealthMonitor).any(|(_, one)| pool_of(Kind::HealthMonitor, one) == pool) {
            return Err(fault(409, "This pool already has a health monitor"));
        }
        provider.check_monitor(&new)?;
        let id = self.new_id();
        new.remove("pool_id");
        new.insert("pools".into(), json!([{ "id": pool }]));
        new.insert("project_id".into(), found["project_id"].clone());
        new.entry("max_retries_down").or_insert(json!(3));
        self.keep(Kind::HealthMonitor, &id, new);
        self.change_monitored(&balancer, &found, (id.clone(), End::Active), true);
        self.show(Kind::HealthMonitor, &id, 201)
    }

    pub(super) fn update_monitor(&mut self, id: &str, asked: &Object) -> Answer {
        let (balancer, pool) = self.monitored_by(id)?;
        Provider::check_monitoring(asked, text(&pool, "protocol"))?;
        self.check_changeable(text(&pool, "id"), &balancer)?;
        self.patch(Kind::HealthMonitor, id, asked);
        // OVN's provider does not say that the listeners are done with.
        let tells_listeners = self.provider_of(&balancer) != Provider::Ovn;
        self.change_monitored(&balancer, &pool, (id.to_owned(), End::Active), tells_listeners);
        self.show(Kind::HealthMonitor, id, 200)
    }

    pub(super) fn delete_monitor(&mut self, id: &str) -> Answer {
        let (balancer, pool) = self.monitored_by(id)?;
        self.check_changeable(text(&pool, "id"), &balancer)?;
        self.set_status(Kind::HealthMonitor, id, "PENDING_DELETE");
        self.change_monitored(&balancer, &pool, (id.to_owned(), End::Gone), true);
        Ok(Reply::no_content())
    }

    /// The load balancer and the pool of a health monitor.
    fn monitored_by(&self, id: &str) -> Result<(String, Object), Reply> {
        let found = self.get(Kind::HealthMonitor, id)?;
        let pool = self.get(Kind::Pool, pool_of(Kind::HealthMonitor, found))?;
        Ok((self.balancer_of(Kind::Pool, pool), pool.clone()))
    }

    fn check_changeable(&self, pool: &str, balancer: &str) -> Result<(), Reply> {
        self.check_active(Kind::Pool, pool)?;
        self.check_active(Kind::LoadBalancer, balancer)
    }

    fn change_monitored(
        &mut self,
        balancer: &str,
        pool: &Object,
        (monitor, end): (String, End),
        tells_listeners: bool,
    ) {
        let mut ends = self.listeners_of(pool, End::Active);
        if !tells_listeners {
            ends.clear();
        }
        let pool = text(pool, "id").to_owned();
        self.set_status(Kind::Pool, &pool, "PENDING_UPDATE");
        ends.extend([(Kind::HealthMonitor, monitor, end), (Kind::Pool, pool, End::Active)]);
        self.change(balancer, ends);
    }
}
