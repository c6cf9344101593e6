//! Services of type LoadBalancer are reached from outside of the cluster.

use crate::client_and_two;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Patch, PatchParams};
use kuryr_e2e::{Context, Ending, Protocol, Result, Stage, ensure, seconds, story, until};
use serde_json::json;

async fn annotate(stage: &Stage, name: &str, annotation: &str, value: &str) -> Result<()> {
    let patch = Patch::Merge(json!({ "metadata": { "annotations": { annotation: value } } }));
    stage.api::<Service>().patch(name, &PatchParams::default(), &patch).await?;
    Ok(())
}

#[tokio::test]
async fn a_service_is_reached_from_outside_until_its_type_changes() -> Ending {
    story("floating IP of a Service, and its end with the type", async |stage| {
        let (client, near, far) = client_and_two(stage).await?;
        let web = stage.service("web").with("type", json!("LoadBalancer")).start().await?;
        let address = stage.outside("web").await?;
        stage.answered_outside(address, &[&near, &far]).await?;
        stage.answered_by(&client, web.at(80), Protocol::Tcp, &[&near, &far]).await?;
        let made = stage.floating_ip(address).await?.context("Neutron has no such floating IP")?;
        ensure!(made.tags.contains(&stage.own_tag), "it has tags {:?}", made.tags);

        stage.change_service("web", json!({ "type": "ClusterIP" })).await?;
        stage.nowhere_outside("web").await?;
        until("the floating IP is given back", seconds(30), async || {
            ensure!(stage.floating_ip(address).await?.is_none(), "it is there");
            Ok(())
        })
        .await?;
        stage.answered_by(&client, web.at(80), Protocol::Tcp, &[&near, &far]).await
    })
    .await
}

#[tokio::test]
async fn an_address_of_the_users_is_used_and_left_to_the_user() -> Ending {
    story("floating IP that a user asks for, and one that is to be kept", async |stage| {
        let (_, near, far) = client_and_two(stage).await?;
        let own = stage.own_floating_ip().await?;
        let asked = json!(own.floating_ip_address.to_string());
        stage
            .service("web")
            .with("type", json!("LoadBalancer"))
            .with("loadBalancerIP", asked)
            .create()
            .await?;
        let address = stage.outside("web").await?;
        ensure!(address == own.floating_ip_address, "it has {address}");
        stage.answered_outside(address, &[&near, &far]).await?;
        stage.delete_service("web").await?;
        until("it is the user's again", seconds(30), async || {
            let own = stage.floating_ip(address).await?.context("the user's floating IP is gone")?;
            ensure!(own.port_id.is_none(), "it leads to {:?}", own.port_id);
            Ok(())
        })
        .await?;

        stage.service("kept").with("type", json!("LoadBalancer")).create().await?;
        annotate(stage, "kept", "loadbalancer.openstack.org/keep-floatingip", "true").await?;
        let address = stage.outside("kept").await?;
        let kept = stage.floating_ip(address).await?.context("Neutron has no such floating IP")?;
        stage.give_back_at_end(&kept);
        stage.delete_service("kept").await?;
        until("it is nobody's, and there", seconds(30), async || {
            let kept = stage.floating_ip(address).await?.context("the kept floating IP is gone")?;
            ensure!(kept.port_id.is_none() && !kept.tags.contains(&stage.own_tag), "it is {kept:?}");
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn what_ovn_cannot_do_is_told_and_opens_nothing() -> Ending {
    story("source ranges and annotations that OVN can't honour", async |stage| {
        let (client, near, far) = client_and_two(stage).await?;
        let ranges = json!(["192.0.2.0/24"]);
        let web =
            stage.service("web").with("type", json!("LoadBalancer")).with("loadBalancerSourceRanges", ranges);
        let web = web.start().await?;
        annotate(stage, "web", "loadbalancer.openstack.org/proxy-protocol", "true").await?;
        annotate(stage, "web", "openstack.org/kuryr-timeout-client-data", "soon").await?;
        until("its owner is told", seconds(20), async || {
            let told = stage.told_about("web").await?;
            for reason in ["SourceRangesNotServed", "ProviderLacksFeature", "AnnotationNotServed"] {
                ensure!(told.iter().any(|one| one == reason), "{reason} is not among {told:?}");
            }
            Ok(())
        })
        .await?;
        ensure!(stage.ingress("web").await?.is_empty(), "everybody can reach it");
        stage.answered_by(&client, web.at(80), Protocol::Tcp, &[&near, &far]).await?;
        // Without the ranges it is for everybody.
        stage.change_service("web", json!({ "loadBalancerSourceRanges": null })).await?;
        stage.answered_outside(stage.outside("web").await?, &[&near, &far]).await
    })
    .await
}

#[tokio::test]
async fn another_ones_class_is_another_ones_outside_alone() -> Ending {
    story("loadBalancerClass: another one's, and ours", async |stage| {
        let (client, near, far) = client_and_two(stage).await?;
        let service = |class: &str| {
            let web = stage.service("web").with("type", json!("LoadBalancer"));
            web.with("loadBalancerClass", json!(class)).with("allocateLoadBalancerNodePorts", json!(false))
        };
        let theirs = service("example.org/other").start().await?;
        stage.answered_by(&client, theirs.at(80), Protocol::Tcp, &[&near, &far]).await?;
        ensure!(stage.ingress("web").await?.is_empty(), "another one's Service has our address");
        stage.delete_service("web").await?;
        stage.unserved(&theirs).await?;
        service("openstack.org/kuryr").start().await?;
        stage.answered_outside(stage.outside("web").await?, &[&near, &far]).await
    })
    .await
}
