//! Routers, as far as a layout needs them.

use super::Neutron;
use crate::{
    Call, Result, Service,
    wire::{Listed, One, Query},
};
use http::Method;
use kuryr_api::ids::{NetworkId, ProjectId, RouterId, SubnetId};
use serde::{Deserialize, Serialize};

/// A router.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Router {
    /// Its id.
    pub id: RouterId,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Whose it is.
    #[serde(default)]
    pub project_id: Option<ProjectId>,
    /// Where it leads to.
    #[serde(default)]
    pub external_gateway_info: Option<Gateway>,
}

/// The way out of a router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// The external network.
    pub network_id: NetworkId,
}

#[derive(Serialize)]
struct NewRouter<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_gateway_info: Option<Gateway>,
}

impl Listed for Router {
    fn marker(&self) -> &str {
        self.id.as_str()
    }
}

impl Neutron {
    /// The routers of `project`.
    pub async fn routers(&self, project: &ProjectId) -> Result<Vec<Router>> {
        self.list("/routers", &Query::from([("project_id", project.to_string())])).await
    }

    /// Makes a router.
    pub async fn create_router(&self, name: &str, external: Option<&NetworkId>) -> Result<Router> {
        let external_gateway_info = external.cloned().map(|network_id| Gateway { network_id });
        let router = NewRouter { name, external_gateway_info };
        let call = Call::new(Service::Network, Method::POST, "/routers", "/routers".into());
        let call = call.json(&serde_json::json!({ "router": router }))?;
        Ok(self.session.call(&call).await?.json::<One<Router>>()?.item)
    }

    /// Puts a router into a subnet, at the subnet's gateway address. It is an error if it is there already.
    pub async fn add_router_interface(&self, router: &RouterId, subnet: &SubnetId) -> Result<()> {
        let path = format!("/routers/{router}/add_router_interface");
        let call = Call::new(Service::Network, Method::PUT, "/routers/{id}/add_router_interface", path);
        let call =
            call.json(&serde_json::json!({ "subnet_id": subnet }))?.repeat(crate::Repeat::IfWithoutEffect);
        self.session.call(&call).await.map(drop)
    }
}
