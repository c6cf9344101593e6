//! A user of Kuryr's project with no more rights than any member has. It goes when the story ends.

use crate::cloud::AsAdmin;
use crate::stage::Stage;
use anyhow::{Context, Result};
use kuryr_openstack::{Call, Service};
use reqwest::Method;
use serde_json::{Value, json};

/// The user.
pub struct Guest {
    /// Its name.
    pub user: String,
    /// Its password.
    pub password: String,
}

impl Stage {
    /// Makes one.
    pub async fn guest(&self) -> Result<Guest> {
        let admin = AsAdmin::new(&self.facts)?;
        let domain = admin.find("domains", "/domains", &self.facts.openstack.domain).await?;
        let role = admin.find("roles", "/roles", "member").await?;
        let guest = Guest { user: format!("{}-guest", self.namespace), password: "guests-secret".to_owned() };
        let user = json!({ "user": { "name": guest.user, "password": guest.password, "domain_id": domain } });
        let made = admin.identity(Method::POST, "/users", "/users".to_owned(), Some(user)).await?;
        let id = made["user"]["id"].as_str().context("Keystone made a user without an id")?.to_owned();
        let facts = self.facts.clone();
        let path = format!("/users/{id}");
        self.put_back("guest", async move {
            AsAdmin::new(&facts)?.identity(Method::DELETE, "/users/{id}", path, None).await.map(drop)
        });
        let path = format!("/projects/{}/users/{id}/roles/{role}", self.facts.openstack.project_id);
        admin.identity(Method::PUT, "/projects/{id}/users/{id}/roles/{id}", path, None).await?;
        Ok(guest)
    }
}

impl AsAdmin {
    /// The id of the only one of this name.
    async fn find(&self, kind: &str, route: &'static str, name: &str) -> Result<String> {
        let call = Call::new(Service::Identity, Method::GET, route, route.to_owned()).query("name", name);
        let found: Value = self.session().call(&call).await?.json()?;
        let id = found[kind][0]["id"].as_str().map(ToOwned::to_owned);
        id.with_context(|| format!("Keystone has no {name} in its {kind}"))
    }

    async fn identity(
        &self,
        method: Method,
        route: &'static str,
        path: String,
        body: Option<Value>,
    ) -> Result<Value> {
        let call = Call::new(Service::Identity, method, route, path);
        let call = match body {
            Some(body) => call.json(&body)?,
            None => call,
        };
        let answer = self.session().call(&call).await?;
        // Some changes are answered without a word.
        Ok(answer.json().unwrap_or_default())
    }
}
