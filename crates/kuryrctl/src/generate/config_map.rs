//! `config_map.yml`: kuryr.conf without what logs in to OpenStack.

use k8s_openapi::api::core::v1::ConfigMap;

use super::{parameters::Parameters, pod::named};

pub(super) const NAME: &str = "kuryr-config";
/// The controller's, and the daemon's unless it has its own.
pub(super) const KEY: &str = "kuryr.conf";
/// The daemon's own.
pub(super) const CNI_KEY: &str = "kuryr-cni.conf";

pub(super) fn config_map(parameters: &Parameters) -> ConfigMap {
    let own = parameters.cni_conf.clone().map(|conf| (CNI_KEY.to_owned(), conf));
    let data = [(KEY.to_owned(), parameters.controller_conf.clone())].into_iter().chain(own);
    ConfigMap {
        metadata: named(NAME, Some(&parameters.namespace)),
        data: Some(data.collect()),
        ..ConfigMap::default()
    }
}
