//! Lists what Kubernetes says, and looks at Neutron.

use std::{fmt::Debug, sync::Arc};

use anyhow::{Context, Error, Result};
use kube::{Api, Client, Resource, api::ListParams};
use kuryr_api::names;
use kuryr_controller::explain::policies::{self, Said, Seen as Cloud};
use kuryr_k8s::{Key, slim::Slim};
use serde::de::DeserializeOwned;

use super::facts::{Facts, Seen};
use crate::{
    cli::Sources,
    connect::{OpenStack, list},
};

/// Lives exactly as long as the cluster, so that its uid names the cluster.
const CLUSTER: &str = "kube-system";

/// What can't be listed in Kubernetes leaves nothing to tell; OpenStack may be missing.
pub(super) async fn observe(client: &Client, sources: &Sources) -> Result<Facts> {
    let said = kubernetes(client).await?;
    let cloud = openstack(sources, &said).await;
    Ok(Facts::new(said, cloud))
}

async fn kubernetes(client: &Client) -> Result<Said> {
    let (namespaces, pods, records, nodes) =
        tokio::try_join!(all(client), all(client), all(client), all(client))?;
    let (services, slices, balancers, policies, policy_records) =
        tokio::try_join!(all(client), all(client), all(client), all(client), all(client))?;
    Ok(Said { namespaces, pods, records, nodes, services, slices, balancers, policies, policy_records })
}

async fn all<T>(client: &Client) -> Result<Vec<Arc<T>>>
where
    T: Slim<Wire: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned>,
{
    let found = list(Api::<T::Wire>::all(client.clone()), ListParams::default()).await;
    let found = found.map_err(Error::msg)?;
    Ok(found.into_iter().map(|wire| Arc::new(T::trim(wire))).collect())
}

async fn openstack(sources: &Sources, said: &Said) -> Seen<Cloud> {
    let look = async {
        let openstack = OpenStack::open(sources)?;
        let cluster = said.namespaces.iter().find(|one| one.key == Key::new("", CLUSTER));
        let cluster = cluster.with_context(|| format!("there is no namespace {CLUSTER}"))?;
        let own_tag = names::ownership_tag(&cluster.uid);
        policies::look(openstack.session, &openstack.loaded.config, &own_tag, said).await
    };
    look.await.map_err(|error| format!("Neutron was not looked at: {error:#}"))
}
