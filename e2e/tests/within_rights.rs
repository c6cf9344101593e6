//! What the whole suite made Kuryr ask of the API server: nothing that it may not, and no right that it does not use.
//!
//! Its name makes it the last program of the suite: it reads what the API server noted in this life of the lab.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use kube::Api;
use kuryr_e2e::{Context, Ending, Result, Stage, ensure, story};
use serde_json::Value;

/// Rights that a run need not use: who has them, for which verb of which resource. A daemon's Events tell of trouble on its node that
/// lasts, such as a switch that does not wire a port in time. Policies are patched only where the Python Kuryr left its finalizer on them,
/// and their records are deleted only where the garbage collector did not do it before.
const SELDOM: [(&str, &str, &str); 4] = [
    ("kuryr-daemon", "create", "events"),
    ("kuryr-daemon", "patch", "events"),
    ("kuryr-controller", "patch", "networkpolicies"),
    ("kuryr-controller", "delete", "kuryrnetworkpolicies"),
];

#[tokio::test]
async fn kuryr_does_what_it_may_and_may_what_it_does() -> Ending {
    story("rights and their use", async |stage| {
        let asked = Asked::read(stage)?;
        ensure!(asked.denied.is_empty(), "denied: {:#?}", asked.denied);
        let unused: Vec<_> = granted(stage).await?.difference(&asked.granted).cloned().collect();
        let unused: Vec<_> = unused
            .iter()
            .filter(|right| !SELDOM.iter().any(|(who, verb, what)| right.is(who, verb, what)))
            .collect();
        ensure!(
            unused.is_empty(),
            "nobody used {unused:#?}; if not the whole suite ran since `lab/lab up`, let it"
        );
        Ok(())
    })
    .await
}

/// A right, or its use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    who: &'static str,
    verb: String,
    resource: String,
}

impl Right {
    fn is(&self, who: &str, verb: &str, resource: &str) -> bool {
        self.who == who && self.verb == verb && self.resource == resource
    }
}

/// What the API server noted.
#[derive(Default)]
struct Asked {
    granted: BTreeSet<Right>,
    /// User, verb and path, and what was said.
    denied: BTreeMap<(String, String, String), String>,
}

impl Asked {
    fn read(stage: &Stage) -> Result<Self> {
        let path = &stage.facts.kubernetes.audit_log;
        let text = fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
        let mut asked = Self::default();
        for line in text.lines() {
            asked.add(&serde_json::from_str(line).context("a line of the audit log")?);
        }
        ensure!(!asked.granted.is_empty(), "{} has no request of Kuryr", path.display());
        Ok(asked)
    }

    fn add(&mut self, event: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let user = text(&event["user"]["username"]);
        let who = if user.contains("kuryr-controller") { "kuryr-controller" } else { "kuryr-daemon" };
        let (verb, about) = (text(&event["verb"]), &event["objectRef"]);
        let parts = [text(&about["resource"]), text(&about["subresource"])];
        let resource = parts.join("/").trim_end_matches('/').to_owned();
        let request =
            (user, verb.clone(), text(&event["requestURI"]).split('?').next().unwrap_or_default().to_owned());
        let message = text(&event["responseStatus"]["message"]);
        // A namespace that ends takes nothing new, whoever may.
        let is_ending = message.contains("because it is being terminated");
        let is_denied = event["annotations"]["authorization.k8s.io/decision"] == "forbid"
            || (event["responseStatus"]["code"] == 403 && !is_ending);
        if is_denied {
            self.denied.insert(request, message);
        } else {
            // An API server that has just started denies everything until it has read the roles.
            self.denied.remove(&request);
            self.granted.insert(Right { who, verb, resource });
        }
    }
}

/// What the roles of the loose programs allow, which are those of the generated definitions.
async fn granted(stage: &Stage) -> Result<BTreeSet<Right>> {
    let cluster = Api::<ClusterRole>::all(stage.kube.clone());
    let role = Api::<Role>::namespaced(stage.kube.clone(), "kube-system").get("lab-kuryr-controller").await?;
    let mut rights = BTreeSet::new();
    for who in ["kuryr-controller", "kuryr-daemon"] {
        let rules = cluster.get(&format!("lab-{who}")).await?.rules;
        rights.extend(rules.iter().flatten().flat_map(|rule| rights_of(who, rule)));
    }
    rights.extend(role.rules.iter().flatten().flat_map(|rule| rights_of("kuryr-controller", rule)));
    Ok(rights)
}

fn rights_of(who: &'static str, rule: &PolicyRule) -> Vec<Right> {
    let resources = rule.resources.iter().flatten();
    let right =
        |resource: &String, verb: &String| Right { who, verb: verb.clone(), resource: resource.clone() };
    resources.flat_map(|resource| rule.verbs.iter().map(move |verb| right(resource, verb))).collect()
}
