//! What the programs' accounts may do in Kubernetes, asked of the API server itself.

use k8s_openapi::api::{
    authorization::v1::{
        ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
        SubjectAccessReviewSpec,
    },
    core::v1::ServiceAccount,
    rbac::v1::PolicyRule,
};
use kube::{Api, Client, api::PostParams};
use kuryr_k8s::client;

use super::{cluster::unseen, config};
use crate::{
    check::finding::{Gap, Seen},
    generate::rights as wanted,
};

const CONTROLLER: &str = "kuryr-controller";
const DAEMON: &str = "kuryr-cni";

/// Whose rights are asked for.
enum Who<'a> {
    /// The client's own.
    Own(&'a Client),
    /// A service account's, asked by somebody who may ask.
    Account { asker: &'a Client, namespace: &'a str, name: &'a str },
}

/// A client that goes the controller's way, if the files that it needs are here.
pub(super) fn configured_client(read: &config::Read) -> Option<Client> {
    client::connect(&config::access(read.config().ok()?)).ok()
}

/// Whether [`configured_client`] is known as the controller is. With a pod's account it is known by the account of this pod.
pub(super) fn is_controllers_own(read: &config::Read) -> bool {
    read.config().is_ok_and(|config| !config::by_account(config))
}

pub(super) async fn controller(asker: &Client, own: Option<&Client>, namespace: &str) -> Seen<Vec<String>> {
    let who = match own {
        Some(client) => Who::Own(client),
        None => account(asker, namespace, CONTROLLER).await?,
    };
    let mut lacks = who.lacks(&wanted::controller(), None).await?;
    lacks.append(&mut who.lacks(&wanted::election(), Some(namespace)).await?);
    Ok(lacks)
}

pub(super) async fn daemons(asker: &Client, namespace: &str) -> Seen<Vec<String>> {
    account(asker, namespace, DAEMON).await?.lacks(&wanted::daemon(), None).await
}

/// The account, if there is one: before an installation there is nothing to check.
async fn account<'a>(asker: &'a Client, namespace: &'a str, name: &'a str) -> Result<Who<'a>, Gap> {
    let found = Api::<ServiceAccount>::namespaced(asker.clone(), namespace).get_opt(name).await;
    match found.map_err(|error| unseen("read service accounts", &error))? {
        Some(_) => Ok(Who::Account { asker, namespace, name }),
        None => Err(Gap::skipped(format!(
            "namespace {namespace} has no service account {name}: Kuryr is not installed there, or not in pods"
        ))),
    }
}

impl Who<'_> {
    /// Which of these rights are missing.
    async fn lacks(&self, rules: &[PolicyRule], namespace: Option<&str>) -> Seen<Vec<String>> {
        let mut lacks = Vec::new();
        for right in rights(rules, namespace) {
            if !self.may(&right).await.map_err(|error| unseen("ask for rights", &error))? {
                lacks.push(shown(&right));
            }
        }
        Ok(lacks)
    }

    async fn may(&self, right: &ResourceAttributes) -> kube::Result<bool> {
        let attributes = Some(right.clone());
        let status = match self {
            Self::Own(client) => {
                let spec =
                    SelfSubjectAccessReviewSpec { resource_attributes: attributes, ..Default::default() };
                let review = SelfSubjectAccessReview { spec, ..Default::default() };
                Api::all((*client).clone()).create(&PostParams::default(), &review).await?.status
            }
            Self::Account { asker, namespace, name } => {
                let user = Some(format!("system:serviceaccount:{namespace}:{name}"));
                let groups = [
                    "system:serviceaccounts",
                    &format!("system:serviceaccounts:{namespace}"),
                    "system:authenticated",
                ];
                let groups = Some(groups.map(str::to_owned).to_vec());
                let spec = SubjectAccessReviewSpec {
                    resource_attributes: attributes,
                    user,
                    groups,
                    ..Default::default()
                };
                let review = SubjectAccessReview { spec, ..Default::default() };
                Api::all((*asker).clone()).create(&PostParams::default(), &review).await?.status
            }
        };
        Ok(status.is_some_and(|status| status.allowed))
    }
}

/// Every single right that rules give.
fn rights(rules: &[PolicyRule], namespace: Option<&str>) -> Vec<ResourceAttributes> {
    let mut all = Vec::new();
    for rule in rules {
        let name = rule.resource_names.iter().flatten().next();
        for (group, resource) in rule
            .api_groups
            .iter()
            .flatten()
            .flat_map(|group| rule.resources.iter().flatten().map(move |resource| (group, resource)))
        {
            all.extend(rule.verbs.iter().map(|verb| ResourceAttributes {
                group: Some(group.clone()),
                resource: Some(resource.clone()),
                verb: Some(verb.clone()),
                name: name.cloned(),
                namespace: namespace.map(str::to_owned),
                ..ResourceAttributes::default()
            }));
        }
    }
    all
}

/// `patch kuryrports.openstack.org`
fn shown(right: &ResourceAttributes) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let group = right.group.as_deref().filter(|group| !group.is_empty());
    let group = group.map(|group| format!(".{group}")).unwrap_or_default();
    format!("{} {}{group}", text(&right.verb), text(&right.resource))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_taken_apart() {
        let all = rights(&wanted::controller(), None);
        let names: Vec<_> = all.iter().map(shown).collect();
        assert!(
            names.contains(&"watch nodes".to_owned())
                && names.contains(&"patch kuryrports.openstack.org".to_owned())
        );
        let election = rights(&wanted::election(), Some("kube-system"));
        assert!(election.iter().all(|right| right.namespace.as_deref() == Some("kube-system")));
        let update = election.iter().find(|right| right.verb.as_deref() == Some("update")).unwrap();
        assert_eq!(update.name.as_deref(), Some("kuryr-controller"));
    }
}
