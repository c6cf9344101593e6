//! The ways out: to OpenStack by kuryr.conf, as the controller goes it, and to Kubernetes by the places where kubectl looks.

#[cfg(test)]
pub(crate) mod fake;

use std::{fmt::Debug, future::Future, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use clap::Args;
use k8s_openapi::{api::core::v1::Event, jiff::Timestamp};
use kube::{
    Api, Client, Resource,
    api::ListParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use kuryr_api::cloud::CloudAccess;
use kuryr_config::{Loaded, cloud};
use kuryr_openstack::{Session, Settings};
use serde::de::DeserializeOwned;

use crate::cli::Sources;

/// A person waits: an API server that does not answer by then is told.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Objects asked for in one page.
const PAGE: u32 = 500;

/// OpenStack, and the configuration that leads to it.
pub(crate) struct OpenStack {
    pub(crate) loaded: Loaded,
    pub(crate) access: CloudAccess,
    /// Not signed in yet: the first call does that.
    pub(crate) session: Session,
}

/// Which Kubernetes cluster is meant.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Kubernetes")]
pub(crate) struct Cluster {
    /// Kubeconfig to read [default: $KUBECONFIG, then ~/.kube/config; inside of a pod without these its service account]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// Waits for work that talks to a cloud.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    // It fails only if a provider is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(work)
}

impl OpenStack {
    /// Reads the configuration and prepares a session.
    pub(crate) fn open(sources: &Sources) -> Result<Self> {
        let sources = sources.sources();
        let loaded = kuryr_config::load(&sources).context("cannot use the configuration")?;
        let access = cloud::access(&loaded.config, &sources.env).context(
            "cannot tell how to reach OpenStack: name a kuryr.conf by --config-file, a cloud of clouds.yaml by OS_CLOUD, or say all of it by OS_AUTH_URL and its companions",
        )?;
        let session = Session::open(Settings::from(&access));
        let session = session.context("cannot set up the way to OpenStack")?;
        Ok(Self { loaded, access, session })
    }
}

impl Cluster {
    /// Whether a kubeconfig leads to it: one that is named, or one in a place where kubectl looks.
    pub(crate) fn has_kubeconfig(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some() || Kubeconfig::read().is_ok()
    }

    /// A client of the cluster. No request is sent yet.
    pub(crate) async fn client(&self) -> Result<Client> {
        let mut config = self.config().await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(REQUEST_TIMEOUT);
        // What fails is told at once, and not after many tries behind our back.
        config.default_retry = false;
        Client::try_from(config).context("cannot make a client of Kubernetes from its configuration")
    }

    async fn config(&self) -> Result<kube::Config> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        match &self.kubeconfig {
            Some(path) => {
                let failure = || format!("cannot use kubeconfig {}", path.display());
                let file = Kubeconfig::read_from(path).with_context(failure)?;
                kube::Config::from_custom_kubeconfig(file, &options).await.with_context(failure)
            }
            None if self.context.is_some() => {
                kube::Config::from_kubeconfig(&options).await.with_context(|| {
                    format!(
                        "cannot use context {} of the kubeconfig",
                        self.context.as_deref().unwrap_or_default()
                    )
                })
            }
            None => kube::Config::infer()
                .await
                .context("cannot find Kubernetes: name a kubeconfig by --kubeconfig or KUBECONFIG"),
        }
    }
}

/// As whom Kuryr writes events.
pub(crate) const REPORTERS: [&str; 2] = ["kuryr-controller", "kuryr-daemon"];

/// When an event was last said.
pub(crate) fn said_at(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    let once = event.event_time.as_ref();
    series.or(once).map(|time| time.0).or_else(|| event.last_timestamp.as_ref().map(|time| time.0))
}

/// All objects of a kind, page by page, or why they can't be had.
pub(crate) async fn list<K>(api: Api<K>, params: ListParams) -> Result<Vec<K>, String>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let mut found = Vec::new();
    let mut params = params.limit(PAGE);
    loop {
        let page = api.list(&params).await;
        let page = page.map_err(|error| format!("cannot list {}: {}", K::plural(&()), said(&error)))?;
        found.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(found),
        }
    }
}

/// What the API server says, or what stands in the way of asking it.
pub(crate) fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => {
            let causes = std::iter::successors(Some(other as &dyn std::error::Error), |error| error.source());
            causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
        }
    }
}
