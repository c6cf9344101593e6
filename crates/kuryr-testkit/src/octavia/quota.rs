//! How many objects a project may have.

use super::{Kind, Object, State, fault};
use crate::reply::Reply;
use serde_json::{Value, json};

impl State {
    pub(super) fn set_quota(&mut self, project: &str, kind: Kind, limit: i64) {
        self.quotas.insert((project.to_owned(), kind), limit);
    }

    pub(super) fn show_quotas(&self, project: &str) -> Reply {
        let mut shown = Object::new();
        for kind in Kind::ALL {
            for name in [kind.one(), kind.quota()] {
                shown.insert(name.into(), self.limit(project, kind).into());
            }
        }
        Reply::ok(json!({ "quota": shown }))
    }

    pub(super) fn update_quotas(&mut self, project: &str, body: &Object) -> Reply {
        let asked = body.get("quota").cloned().unwrap_or_default();
        for kind in Kind::ALL {
            let limit = [kind.one(), kind.quota()].iter().find_map(|name| asked[*name].as_i64());
            limit.into_iter().for_each(|limit| self.set_quota(project, kind, limit));
        }
        Reply::new(202, json!({ "quota": asked }))
    }

    pub(super) fn reset_quotas(&mut self, project: &str) -> Reply {
        self.quotas.retain(|(whose, _), _| whose != project);
        Reply::new(202, json!({}))
    }

    /// Whether `project` may have so many more.
    pub(super) fn check_quota(&self, kind: Kind, project: &Value, more: usize) -> Result<(), Reply> {
        let used = self.all(kind).filter(|(_, object)| object["project_id"] == *project).count();
        let limit = self.limit(project.as_str().unwrap_or_default(), kind);
        if limit >= 0 && i64::try_from(used + more).unwrap_or(i64::MAX) > limit {
            return Err(fault(403, &format!("Quota has been met for resources: {}", kind.spoken())));
        }
        Ok(())
    }

    fn limit(&self, project: &str, kind: Kind) -> i64 {
        self.quotas.get(&(project.to_owned(), kind)).copied().unwrap_or(-1)
    }
}
