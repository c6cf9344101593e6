//! Many pods at once: Deployments, sets with names, and Jobs.

use crate::pod;
use crate::stage::Stage;
use anyhow::Result;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

impl Stage {
    /// A Deployment of idle pods.
    pub async fn deployment(&self, name: &str, replicas: usize) -> Result<()> {
        self.deployment_of(name, replicas, self.template(name)).await
    }

    /// A [`Stage::deployment`] whose pods are all on one node.
    pub async fn deployment_on(&self, name: &str, replicas: usize, node: &str) -> Result<()> {
        let mut template = self.template(name);
        template["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": node });
        self.deployment_of(name, replicas, template).await
    }

    /// A Deployment of pods that answer, and that are ready once the kubelet's probe gets through.
    pub async fn serving_deployment(&self, name: &str, replicas: usize) -> Result<()> {
        let mut template = self.template(name);
        template["spec"]["containers"] = pod::serving(self.facts.image("agnhost"));
        self.deployment_of(name, replicas, template).await
    }

    async fn deployment_of(&self, name: &str, replicas: usize, template: Value) -> Result<()> {
        let object = json!({
            "metadata": { "name": name },
            "spec": { "replicas": replicas, "selector": selector(name), "template": template },
        });
        let deployments = self.api::<Deployment>();
        deployments.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
        Ok(())
    }

    /// Changes the number of its pods.
    pub async fn scale(&self, name: &str, replicas: usize) -> Result<()> {
        let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        self.api::<Deployment>().patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// A StatefulSet of idle pods.
    pub async fn stateful_set(&self, name: &str, replicas: usize) -> Result<()> {
        let object = json!({
            "metadata": { "name": name },
            "spec": {
                "replicas": replicas, "serviceName": name, "selector": selector(name), "template": self.template(name),
            },
        });
        self.api::<StatefulSet>().create(&PostParams::default(), &serde_json::from_value(object)?).await?;
        Ok(())
    }

    /// A Job whose pods run `words` in agnhost, all at once.
    pub async fn job(&self, name: &str, pods: usize, words: &[&str]) -> Result<()> {
        let mut template = self.template(name);
        template["spec"]["restartPolicy"] = "Never".into();
        template["spec"]["containers"] =
            json!([pod::container(self.facts.image("agnhost"), json!({ "args": words }))]);
        let object = json!({
            "metadata": { "name": name },
            "spec": { "parallelism": pods, "completions": pods, "template": template },
        });
        self.api::<Job>().create(&PostParams::default(), &serde_json::from_value(object)?).await?;
        Ok(())
    }

    fn template(&self, name: &str) -> Value {
        let containers = json!([pod::container(self.facts.image("pause"), json!({}))]);
        let mut template = pod::pod(name, &containers);
        template["metadata"] = json!({ "labels": { "app": name } });
        template
    }
}

fn selector(name: &str) -> Value {
    json!({ "matchLabels": { "app": name } })
}
