//! Gathers the facts. Nothing is decided here, and nothing is left behind.

pub(super) mod cluster;
pub(super) mod config;
mod host;
mod openstack;
mod rights;

use std::collections::BTreeSet;

use super::{
    Options,
    facts::{self, Facts},
    finding::{Area, Gap},
};

/// The facts that checks of these areas need.
pub(super) async fn observe(options: &Options, areas: &BTreeSet<Area>) -> Facts {
    let sources = options.sources.sources();
    let config = config::Read::new(&sources);
    let only = Gap::skipped("left out by --only");
    let needs = |wanted: &[Area]| wanted.iter().any(|area| areas.contains(area));
    let cluster = if needs(&[Area::Openstack, Area::Kubernetes, Area::Host]) {
        cluster::observe(options, &config).await
    } else {
        facts::Cluster::unseen(&only)
    };
    let cloud = if needs(&[Area::Openstack]) {
        openstack::observe(&config, &sources, &cluster).await
    } else {
        facts::Cloud::unseen(Err(only.clone()), &only)
    };
    let host = if needs(&[Area::Host]) {
        host::observe(options, &config, &cluster).await
    } else {
        facts::Host::unseen(&only)
    };
    Facts { config: config.into_facts(), cloud, cluster, host }
}

/// An error with all its causes on one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut texts: Vec<String> = Vec::new();
    for text in causes.map(ToString::to_string) {
        // Some errors tell their cause themselves.
        if !texts.last().is_some_and(|last| last.ends_with(&text)) {
            texts.push(text);
        }
    }
    texts.join(": ")
}
