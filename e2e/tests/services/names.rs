//! Pods find Services by name, and the API server among them.

use crate::client_and_two;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, LogParams};
use kuryr_e2e::{Ending, Protocol, Result, Stage, ensure, seconds, story, until};
use serde_json::json;

#[tokio::test]
async fn pods_find_services_and_the_api_server_by_name() -> Ending {
    story("CoreDNS, a Service's name, and the API server by its own", async |stage| {
        dns(stage).await?;
        let (client, near, far) = client_and_two(stage).await?;
        let web = stage.service("web").start().await?;
        for name in ["web".to_owned(), format!("web.{}.svc.cluster.local", web.namespace)] {
            until(&format!("{name} answers"), seconds(20), async || {
                let answers = stage.dial(&client, (&name, 80), Protocol::Tcp, "hostname", 20).await?.all()?;
                ensure!(answers == [near.name.clone(), far.name.clone()].into(), "{answers:?} do");
                Ok(())
            })
            .await?;
        }
        asks_the_api_server(stage).await
    })
    .await
}

/// The cluster's DNS for this story, once both of its pods are ready.
async fn dns(stage: &Stage) -> Result<()> {
    stage.lab_at_end(["dns", "down"].map(Into::into).to_vec());
    stage.lab(["dns", "up"]).await?;
    let pods = Api::<Pod>::namespaced(stage.kube.clone(), "kube-system");
    until("CoreDNS is ready", seconds(40), async || {
        let pods = pods.list(&ListParams::default().labels("k8s-app=kube-dns")).await?.items;
        let conditions = |pod: &Pod| pod.status.as_ref().and_then(|status| status.conditions.clone());
        let is_ready = |pod: &&Pod| {
            conditions(pod).into_iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True")
        };
        let ready = pods.iter().filter(is_ready).count();
        ensure!(ready == 2, "{ready} of {} are", pods.len());
        Ok(())
    })
    .await
}

/// A pod asks the API server with its account, as programs in clusters do, but by name.
async fn asks_the_api_server(stage: &Stage) -> Result<()> {
    let container = json!([{
        "name": "main", "image": stage.facts.image("agnhost"), "imagePullPolicy": "IfNotPresent",
        "args": ["inclusterclient", "--poll-interval=1"],
        "env": [{ "name": "KUBERNETES_SERVICE_HOST", "value": "kubernetes.default" }],
    }]);
    let pod = stage.pod("asking").with("automountServiceAccountToken", json!(true));
    pod.with("containers", container).start().await?;
    until("the API server answers a pod", seconds(20), async || {
        let log = stage.api::<Pod>().logs("asking", &LogParams::default()).await?;
        let asked = log.matches("calling /healthz").count();
        ensure!(asked > 2 && log.contains("authz_header=") && !log.contains("status=failed"), "{log}");
        Ok(())
    })
    .await
}
