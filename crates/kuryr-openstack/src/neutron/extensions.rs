//! What this Neutron can do.

use super::Neutron;
use crate::{
    Result,
    wire::{Listed, Query},
};
use serde::Deserialize;
use std::collections::BTreeSet;

/// The aliases of the API extensions that the cloud offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions(BTreeSet<String>);

#[derive(Deserialize)]
struct Extension {
    alias: String,
}

impl Extensions {
    /// Whether the cloud offers the extension of this alias.
    pub fn has(&self, alias: &str) -> bool {
        self.0.contains(alias)
    }

    /// Ports can be tagged as they are made. (Since 2024 all resources can.)
    pub fn tags_new_ports(&self) -> bool {
        self.has("tag-ports-during-bulk-creation") || self.has("tag-creation")
    }

    /// Security group rules can name address groups.
    pub fn address_groups(&self) -> bool {
        self.has("address-group") && self.has("security-groups-remote-address-group")
    }

    /// All aliases.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl Listed for Extension {
    fn marker(&self) -> &str {
        &self.alias
    }
}

impl Neutron {
    /// What this Neutron can do: asked once, since it changes with the cloud's version only.
    pub async fn extensions(&self) -> Result<&Extensions> {
        self.extensions.get_or_try_init(|| self.ask_extensions()).await
    }

    async fn ask_extensions(&self) -> Result<Extensions> {
        let offered: Vec<Extension> = self.list("/extensions", &Query::new()).await?;
        Ok(Extensions(offered.into_iter().map(|extension| extension.alias).collect()))
    }
}
