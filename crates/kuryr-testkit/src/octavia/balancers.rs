//! The life of the fake's load balancers.

use super::{Answer, Kind, Object, Provider, State, fault, immutable, state::End, text};
use crate::reply::Reply;
use serde_json::{Value, json};

impl State {
    pub(super) fn create_balancer(&mut self, mut new: Object) -> Answer {
        let project = new.entry("project_id").or_insert(json!(self.project)).clone();
        let subnet = text(&new, "vip_subnet_id").to_owned();
        let Some(network) = self.neutron.network_of(&subnet) else {
            return Err(fault(400, &format!("Subnet {subnet} not found.")));
        };
        let provider = match new.get("provider").and_then(Value::as_str) {
            None => self.default_provider,
            Some(name) => Provider::named(name)
                .ok_or_else(|| fault(400, &format!("Provider '{name}' is not enabled.")))?,
        };
        self.check_quota(Kind::LoadBalancer, &project, 1)?;
        provider.check_balancer(&new)?;
        let id = self.new_id();
        let asked = new.get("vip_address").cloned().unwrap_or_default();
        let place = [network.as_str(), subnet.as_str(), project.as_str().unwrap_or_default()];
        let vip = self.neutron.make_vip(&id, place, &asked).map_err(|why| provider.no_vip(&why))?;
        for (name, value) in [
            ("vip_address", vip.address),
            ("vip_port_id", vip.port),
            ("vip_network_id", vip.network),
            ("provider", provider.name().to_owned()),
        ] {
            new.insert(name.into(), value.into());
        }
        for name in ["flavor_id", "availability_zone"] {
            new.entry(name).or_insert(Value::Null);
        }
        self.keep(Kind::LoadBalancer, &id, new);
        self.begin(&id, vec![(Kind::LoadBalancer, id.clone(), End::Active)]);
        self.show(Kind::LoadBalancer, &id, 201)
    }

    pub(super) fn update_balancer(&mut self, id: &str, asked: &Object) -> Answer {
        self.check_not_going(id)?;
        self.check_active(Kind::LoadBalancer, id)?;
        self.patch(Kind::LoadBalancer, id, asked);
        self.change(id, Vec::new());
        self.show(Kind::LoadBalancer, id, 200)
    }

    pub(super) fn delete_balancer(&mut self, id: &str, query: &[(String, String)]) -> Answer {
        self.check_not_going(id)?;
        self.check_settled(id)?;
        let hangs_there = |kind: Kind| self.all(kind).any(|(_, one)| self.balancer_of(kind, one) == id);
        let cascade = query.iter().any(|(name, value)| name == "cascade" && value == "true");
        if !cascade && [Kind::Listener, Kind::Pool].into_iter().any(hangs_there) {
            let why = format!("Validation failure: Cannot delete Load Balancer {id} - it has children");
            return Err(fault(400, &why));
        }
        self.set_status(Kind::LoadBalancer, id, "PENDING_DELETE");
        self.begin(id, vec![(Kind::LoadBalancer, id.to_owned(), End::Gone)]);
        Ok(Reply::no_content())
    }

    pub(super) fn fail_over(&mut self, id: &str) -> Answer {
        self.check_settled(id)?;
        self.provider_of(id).check_failover()?;
        self.change(id, Vec::new());
        Ok(Reply::new(202, Value::Null))
    }

    /// Deletes and failovers need a load balancer that nothing is done with, even if it is broken.
    fn check_settled(&self, id: &str) -> Result<(), Reply> {
        let found = self.get(Kind::LoadBalancer, id)?;
        let settled = matches!(text(found, "provisioning_status"), "ACTIVE" | "ERROR");
        settled.then_some(()).ok_or_else(|| immutable(Kind::LoadBalancer, id))
    }

    fn check_not_going(&self, id: &str) -> Result<(), Reply> {
        if self.get(Kind::LoadBalancer, id)?["provisioning_status"] == "PENDING_DELETE" {
            let why = format!("Invalid state PENDING_DELETE of loadbalancer resource {id}");
            return Err(fault(409, &why));
        }
        Ok(())
    }
}
