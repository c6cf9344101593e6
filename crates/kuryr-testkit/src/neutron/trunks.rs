//! How the fake Neutron keeps trunks: a parent port, and ports that it carries by VLAN ids.

use super::{Checked, Object, State, bad_request, query, security_groups::revise, seed, text};
use crate::reply::Reply;
use serde_json::{Map, Value, json};

const OWNER: &str = "trunk:subport";

impl State {
    pub(super) fn create_trunk(&mut self, body: &Value) -> Reply {
        let parent = body["trunk"]["port_id"].as_str().unwrap_or_default().to_owned();
        if !self.ports.contains_key(&parent) {
            return query::not_found("port", &parent);
        }
        let id = self.new_id();
        let trunk = json!({
            "id": id, "port_id": parent, "name": body["trunk"]["name"], "project_id": self.project, "admin_state_up": true,
            "status": "DOWN", "description": "", "tags": [], "sub_ports": [],
            "created_at": seed::TIME, "updated_at": seed::TIME, "revision_number": 1,
        });
        self.trunks.insert(id.clone(), trunk.as_object().cloned().unwrap_or_default());
        self.show_trunk(&id);
        Reply::new(201, json!({ "trunk": trunk }))
    }

    pub(super) fn update_trunk(&mut self, id: &str, body: &Value) -> Reply {
        let Some(trunk) = self.trunks.get_mut(id) else { return query::not_found("trunk", id) };
        trunk.extend(body["trunk"].as_object().cloned().unwrap_or_default());
        revise(trunk);
        Reply::ok(json!({ "trunk": trunk }))
    }

    pub(super) fn delete_trunk(&mut self, id: &str) -> Reply {
        let Some(trunk) = self.trunks.remove(id) else { return query::not_found("trunk", id) };
        for subport in subports(&trunk) {
            self.let_go(text(subport, "port_id"));
        }
        if let Some(parent) = self.ports.get_mut(text(&trunk, "port_id")) {
            parent.remove("trunk_details");
        }
        Reply::no_content()
    }

    pub(super) fn add_subports(&mut self, id: &str, body: &Value) -> Reply {
        let trunk = match self.enabled(id) {
            Ok(trunk) => trunk,
            Err(refusal) => return refusal,
        };
        let asked: Vec<Object> = objects(&body["sub_ports"]).cloned().collect();
        if let Err(refusal) = asked.iter().try_for_each(|subport| self.check_subport(trunk, subport)) {
            return refusal;
        }
        for subport in &asked {
            self.take_up(id, subport);
        }
        let both = |trunk: &Object| subports(trunk).chain(&asked).cloned().map(Value::Object).collect();
        self.set_subports(id, both)
    }

    pub(super) fn remove_subports(&mut self, id: &str, body: &Value) -> Reply {
        let trunk = match self.enabled(id) {
            Ok(trunk) => trunk,
            Err(refusal) => return refusal,
        };
        let asked: Vec<String> =
            objects(&body["sub_ports"]).map(|subport| text(subport, "port_id").to_owned()).collect();
        let is_there = |port: &&String| subports(trunk).any(|subport| text(subport, "port_id") == **port);
        if let Some(missing) = asked.iter().find(|port| !is_there(port)) {
            let why = format!("SubPort {missing} on trunk {id} could not be found.");
            return Reply::neutron_error(404, "SubPortNotFound", &why);
        }
        asked.iter().for_each(|port| self.let_go(port));
        let others = |trunk: &Object| {
            let left =
                subports(trunk).filter(|subport| asked.iter().all(|port| text(subport, "port_id") != port));
            left.cloned().map(Value::Object).collect()
        };
        self.set_subports(id, others)
    }

    /// Why a port can't be deleted, if a trunk carries it.
    pub(super) fn on_trunk(&self, port: &str) -> Option<Reply> {
        let carries = |trunk: &&Object| subports(trunk).any(|subport| text(subport, "port_id") == port);
        let trunk = self.trunks.values().find(carries)?;
        let why = format!("Port {port} is currently a subport for trunk {}.", text(trunk, "id"));
        Some(Reply::neutron_error(409, "PortInUseAsSubPort", &why))
    }

    /// A trunk whose subports may be changed.
    fn enabled(&self, id: &str) -> Checked<&Object> {
        let trunk = self.trunks.get(id).ok_or_else(|| query::not_found("trunk", id))?;
        if trunk["admin_state_up"] == false {
            let why = format!("Trunk {id} is currently disabled.");
            return Err(Reply::neutron_error(409, "TrunkDisabled", &why));
        }
        Ok(trunk)
    }

    fn check_subport(&self, trunk: &Object, subport: &Object) -> Checked<()> {
        let (port, vlan) =
            (text(subport, "port_id"), subport["segmentation_id"].as_u64().unwrap_or_default());
        let Some(found) = self.ports.get(port) else { return Err(query::not_found("port", port)) };
        let conflict = |name: &str, why: String| Err(Reply::neutron_error(409, name, &why));
        if self.on_trunk(port).is_some() {
            return conflict("TrunkPortInUse", format!("Port {port} is in use by another trunk."));
        }
        if !text(found, "device_id").is_empty() {
            let why =
                format!("Unable to complete operation on port {port}. Port already has an attached device.");
            return conflict("PortInUse", why);
        }
        if !(1..=4094).contains(&vlan) {
            return Err(bad_request(&format!("Segmentation ID '{vlan}' is not in range.")));
        }
        if subports(trunk).any(|other| other["segmentation_id"] == vlan) {
            let id = text(trunk, "id");
            let why =
                format!("segmentation_type vlan and segmentation_id {vlan} already in use on trunk {id}.");
            return conflict("DuplicateSubPort", why);
        }
        Ok(())
    }

    fn take_up(&mut self, trunk: &str, subport: &Object) {
        let parent = self.trunks.get(trunk).map(|trunk| trunk["port_id"].clone()).unwrap_or_default();
        let host =
            parent.as_str().and_then(|id| self.ports.get(id)).map(|port| port["binding:host_id"].clone());
        let Some(port) = self.ports.get_mut(text(subport, "port_id")) else { return };
        let profile = json!({ "parent_name": parent, "tag": subport["segmentation_id"] });
        port.insert("device_owner".into(), OWNER.into());
        port.insert("binding:profile".into(), profile);
        port.insert("binding:vif_type".into(), "ovs".into());
        port.insert("binding:host_id".into(), host.unwrap_or_default());
        port.insert("status".into(), "ACTIVE".into());
    }

    fn let_go(&mut self, port: &str) {
        let Some(port) = self.ports.get_mut(port) else { return };
        for (name, value) in [
            ("device_owner", json!("")),
            ("binding:profile", Value::Object(Map::new())),
            ("binding:vif_type", json!("unbound")),
            ("binding:host_id", json!("")),
            ("status", json!("DOWN")),
        ] {
            port.insert(name.into(), value);
        }
    }

    fn set_subports(&mut self, id: &str, now: impl FnOnce(&Object) -> Value) -> Reply {
        let Some(trunk) = self.trunks.get_mut(id) else { return query::not_found("trunk", id) };
        let now = now(trunk);
        trunk.insert("sub_ports".into(), now);
        revise(trunk);
        let shown = Value::Object(trunk.clone());
        self.show_trunk(id);
        Reply::ok(shown)
    }

    /// A parent shows its trunk.
    fn show_trunk(&mut self, id: &str) {
        let Some(trunk) = self.trunks.get(id) else { return };
        let details = json!({ "trunk_id": id, "sub_ports": trunk["sub_ports"] });
        if let Some(parent) = self.ports.get_mut(text(trunk, "port_id")) {
            parent.insert("trunk_details".into(), details);
        }
    }
}

fn subports(trunk: &Object) -> impl Iterator<Item = &Object> {
    trunk.get("sub_ports").into_iter().flat_map(objects)
}

fn objects(list: &Value) -> impl Iterator<Item = &Object> {
    list.as_array().into_iter().flatten().filter_map(Value::as_object)
}
