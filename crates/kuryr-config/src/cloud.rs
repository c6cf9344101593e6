//! How to get at OpenStack: `[neutron]`, an entry of `clouds.yaml`, or the environment, as one plain value.
//!
//! `[neutron] cloud` names an entry; without it `[neutron] auth_url` and its companions say everything; without both the environment
//! variable `OS_CLOUD` names an entry, and at last `OS_AUTH_URL` and its companions, which every OpenStack client knows, say everything.
//! What is set in `[neutron]` beside a cloud (region, CA, timeout, ...) goes before what the cloud says.

mod clouds_yaml;
mod credentials;
mod error;

use std::{collections::BTreeMap, path::PathBuf};

use kuryr_api::cloud::{CloudAccess, Interface};

pub use self::error::{CloudError, Place};
use self::{clouds_yaml::Entry, credentials::Credentials};
use crate::kind::{Kind, Value};
use crate::options::Config;

/// How to get at OpenStack by this configuration and these environment variables.
pub fn access(config: &Config, env: &BTreeMap<String, String>) -> Result<CloudAccess, CloudError> {
    let named = config.neutron.cloud.as_ref();
    let named = named.or_else(|| env.get("OS_CLOUD").filter(|_| config.neutron.auth_url.is_none()));
    let mut access = match named {
        Some(cloud) => of_entry(&clouds_yaml::find(cloud, env)?)?,
        None if config.neutron.auth_url.is_none() && env.contains_key("OS_AUTH_URL") => of_environment(env)?,
        None => Credentials::access_of(&config.neutron)?,
    };
    prefer_configured(&mut access, config)?;
    Ok(access)
}

/// What `openrc` files export.
fn of_environment(env: &BTreeMap<String, String>) -> Result<CloudAccess, CloudError> {
    let get = |name: &str| {
        env.get(&format!("OS_{}", name.to_uppercase())).filter(|value| !value.is_empty()).cloned()
    };
    let credentials = Credentials { place: Place::Environment, auth_type: get("auth_type"), get: &get };
    Ok(CloudAccess {
        insecure: flag(&get, "insecure", false, Place::Environment)?,
        ..with_endpoints(&credentials, &get)?
    })
}

fn of_entry(entry: &Entry) -> Result<CloudAccess, CloudError> {
    let place = || Place::Cloud { cloud: entry.cloud.clone(), path: entry.path.clone() };
    let credentials =
        Credentials { place: place(), auth_type: entry.get("auth_type"), get: &|name| entry.auth(name) };
    let get = |name: &str| entry.get(name);
    Ok(CloudAccess {
        insecure: !flag(&get, "verify", true, place())? || flag(&get, "insecure", false, place())?,
        timeout: entry.seconds("api_timeout", place())?,
        network_endpoint_override: entry.get("network_endpoint_override"),
        load_balancer_endpoint_override: entry.get("load_balancer_endpoint_override"),
        ..with_endpoints(&credentials, &get)?
    })
}

/// The way that credentials give, and which of a service's addresses it leads to, as `get` tells in OpenStack's own names.
fn with_endpoints(
    credentials: &Credentials<'_>,
    get: &dyn Fn(&str) -> Option<String>,
) -> Result<CloudAccess, CloudError> {
    let given = get("interface").or_else(|| get("endpoint_type"));
    let read = |value| interface(value, credentials.place.clone(), "interface");
    Ok(CloudAccess {
        region_name: get("region_name"),
        interface: given.map_or(Ok(Interface::Public), read)?,
        cafile: get("cacert").map(PathBuf::from),
        ..credentials.access()?
    })
}

/// A truth value; `otherwise` if it is not set.
fn flag(
    get: &dyn Fn(&str) -> Option<String>,
    name: &'static str,
    otherwise: bool,
    place: Place,
) -> Result<bool, CloudError> {
    let Some(text) = get(name) else { return Ok(otherwise) };
    match Kind::Bool.parse(&text) {
        Ok(Value::Bool(truth)) => Ok(truth),
        _ => Err(CloudError::ReadOption { place, option: name, value: text, allowed: "true or false" }),
    }
}

/// Lets what is set in `kuryr.conf` go before what a cloud says.
fn prefer_configured(access: &mut CloudAccess, config: &Config) -> Result<(), CloudError> {
    let neutron = &config.neutron;
    if let Some(value) = neutron.endpoint_type.clone() {
        access.interface = interface(value, Place::Group("neutron".to_owned()), "endpoint_type")?;
    }
    prefer(&mut access.region_name, neutron.region_name.as_ref());
    prefer(&mut access.cafile, neutron.cafile.as_ref());
    prefer(&mut access.timeout, neutron.timeout.as_ref());
    prefer(&mut access.network_endpoint_override, neutron.endpoint_override.as_ref());
    prefer(&mut access.load_balancer_endpoint_override, config.octavia_defaults.endpoint_override.as_ref());
    access.insecure |= neutron.insecure;
    Ok(())
}

fn interface(value: String, place: Place, option: &'static str) -> Result<Interface, CloudError> {
    let allowed = "public, internal or admin";
    value.parse().map_err(|_| CloudError::ReadOption { place, option, value, allowed })
}

fn prefer<T: Clone>(field: &mut Option<T>, set: Option<&T>) {
    if let Some(set) = set {
        *field = Some(set.clone());
    }
}
