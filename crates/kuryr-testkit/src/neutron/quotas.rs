//! How the fake Neutron keeps count of what projects have.

use super::{Checked, Object, State, security_groups::rules, seed};
use crate::reply::Reply;
use serde_json::{Value, json};

impl State {
    pub(super) fn show_quotas(&self, project: &str) -> Reply {
        let detail = |resource: &str| json!({ "limit": self.limit(project, resource), "used": self.used(project, resource), "reserved": 0 });
        let details: Object = seed::QUOTAS.iter().map(|name| ((*name).to_owned(), detail(name))).collect();
        Reply::ok(json!({ "quota": details }))
    }

    pub(super) fn update_quotas(&mut self, project: &str, body: &Value) -> Reply {
        let quotas = self.quotas.entry(project.into()).or_default();
        let asked = body["quota"].as_object().into_iter().flatten();
        quotas.extend(asked.filter_map(|(name, limit)| Some((name.clone(), limit.as_i64()?))));
        let shown: Object =
            seed::QUOTAS.iter().map(|name| ((*name).to_owned(), self.limit(project, name).into())).collect();
        Reply::ok(json!({ "quota": shown }))
    }

    pub(super) fn reset_quotas(&mut self, project: &str) -> Reply {
        match self.quotas.remove(project) {
            Some(_) => Reply::no_content(),
            None => Reply::neutron_error(
                404,
                "TenantQuotaNotFound",
                &format!("Quota for tenant {project} could not be found."),
            ),
        }
    }

    /// Refuses what goes beyond the quota of `resource`.
    pub(super) fn check_room(&self, project: &str, resource: &str, more: usize) -> Checked<()> {
        let wanted = i64::try_from(self.used(project, resource) + more).unwrap_or(i64::MAX);
        let limit = self.limit(project, resource);
        if limit >= 0 && wanted > limit {
            let why = format!("Quota exceeded for resources: ['{resource}'].");
            return Err(Reply::neutron_error(409, "OverQuota", &why));
        }
        Ok(())
    }

    fn used(&self, project: &str, resource: &str) -> usize {
        let of_project = |object: &&Object| object["project_id"] == project;
        match resource {
            "port" => self.ports.values().filter(of_project).count(),
            "floatingip" => self.floating_ips.values().filter(of_project).count(),
            "security_group" => self.groups.iter().filter(of_project).count(),
            "security_group_rule" => {
                self.groups.iter().flat_map(rules).filter(|rule| rule["project_id"] == project).count()
            }
            _ => 0,
        }
    }

    fn limit(&self, project: &str, resource: &str) -> i64 {
        self.quotas.get(project).and_then(|quotas| quotas.get(resource)).copied().unwrap_or(-1)
    }
}
