//! Writes to KuryrNodes, each safe to repeat.

use crate::key::Key;
use crate::records::{Error, Written, answer};
use crate::slim::NodeRecord;
use futures::TryFutureExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kuryr_api::KuryrNode;
use kuryr_api::node::KuryrNodeSpec;
use serde_json::{Value, json};

const KIND: &str = "KuryrNode";

/// Creates the KuryrNode of the node with `uid`, with which it goes.
pub async fn create(
    client: &kube::Client,
    node: &Key,
    uid: &str,
    spec: &KuryrNodeSpec,
) -> Result<Written<NodeRecord>, Error> {
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: node.name().to_owned(),
        uid: uid.to_owned(),
        ..OwnerReference::default()
    };
    let metadata = ObjectMeta {
        name: Some(node.name().to_owned()),
        owner_references: Some(vec![owner]),
        ..ObjectMeta::default()
    };
    let object = KuryrNode { metadata, spec: spec.clone(), status: None };
    let (api, params) = (api(client), PostParams::default());
    answer("create", KIND, node, api.create(&params, &object).map_ok(NodeRecord::from)).await
}

/// Says what is kept ready, where it was said otherwise before. For the controller.
pub async fn change_spec(
    client: &kube::Client,
    node: &Key,
    before: &KuryrNodeSpec,
    spec: &KuryrNodeSpec,
) -> Result<Written<NodeRecord>, Error> {
    let (api, params) = (api(client), PatchParams::default());
    let patch = Patch::Merge(json!({ "spec": merge_patch(&json!(before), &json!(spec)) }));
    answer("update", KIND, node, api.patch(node.name(), &params, &patch).map_ok(NodeRecord::from)).await
}

/// Changes what the daemon says, by a merge patch. For the daemon.
pub async fn change_status(
    client: &kube::Client,
    node: &Key,
    status: &Value,
) -> Result<Written<NodeRecord>, Error> {
    let (api, params) = (api(client), PatchParams::default());
    let patch = Patch::Merge(json!({ "status": status }));
    let request = api.patch_status(node.name(), &params, &patch).map_ok(NodeRecord::from);
    answer("update the status of", KIND, node, request).await
}

/// The nodes that have one. None where the cluster does not know them.
pub async fn all(client: &kube::Client) -> Result<Vec<Key>, Error> {
    let (api, params) = (api(client), ListParams::default());
    match answer("list", KIND, &Key::new("", "*"), api.list(&params)).await? {
        Written::Done(nodes) => Ok(nodes.iter().map(|node| Key::new("", &node.name_any())).collect()),
        Written::Outdated => Ok(Vec::new()),
    }
}

/// Deletes the KuryrNode of a node; one that is gone is fine.
pub async fn delete(client: &kube::Client, node: &Key) -> Result<(), Error> {
    let (api, params) = (api(client), DeleteParams::default());
    answer("delete", KIND, node, api.delete(node.name(), &params).map_ok(drop)).await.map(drop)
}

fn api(client: &kube::Client) -> Api<KuryrNode> {
    Api::all(client.clone())
}

/// The merge patch (RFC 7386) that makes `after` of `before`.
fn merge_patch(before: &Value, after: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (before, after) else { return after.clone() };
    let gone = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let changed = new.iter().filter(|(key, value)| old.get(*key) != Some(*value));
    let changed =
        changed.map(|(key, value)| (key.clone(), merge_patch(old.get(key).unwrap_or(&Value::Null), value)));
    gone.chain(changed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_says_what_changed_and_what_is_gone() {
        let before = json!({"pods": 1, "free": 2, "ports": {"a": {"mac": "1"}, "b": {"mac": "2"}}});
        let after = json!({"pods": 1, "free": 3, "ports": {"b": {"mac": "2"}, "c": {"mac": "3"}}});
        let expected = json!({"free": 3, "ports": {"a": null, "c": {"mac": "3"}}});
        assert_eq!(merge_patch(&before, &after), expected);
        assert_eq!(merge_patch(&before, &before), json!({}));
        assert_eq!(merge_patch(&after, &json!({"pods": 1, "free": 3})), json!({"ports": null}));
        assert_eq!(merge_patch(&json!({}), &after), after);
    }
}
