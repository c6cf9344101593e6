//! `kuryrctl openstack init`: makes in OpenStack what a cluster needs before its first pod, or finds it.
//!
//! ```text
//!   observe (Neutron) ──► Found ── kuryr_core::layout::plan ──► steps ── apply the first, look again ──► kuryr.conf
//! ```

mod apply;
mod conf;
mod observe;
mod options;
mod tell;

pub(crate) use options::Options;

use std::io::Write;

use anyhow::{Context, Result, bail};
use kuryr_api::ProjectId;
use kuryr_config::cloud::CloudAccess;
use kuryr_core::layout::{self, Found, Layout};
use kuryr_openstack::{Neutron, Session, Settings};

/// More than a layout has steps, however often another program undoes one.
const MOST_STEPS: usize = 40;

/// Makes what is missing; with `--dry-run` only says it. The configuration goes to `out`, all else to `news`.
pub(crate) fn init(options: &Options, out: &mut impl Write, news: &mut impl Write) -> Result<()> {
    let sources = options.sources.sources();
    let loaded = kuryr_config::load(&sources)?;
    let access = CloudAccess::resolve(&loaded.config, &sources.env)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let neutron = open(&access)?;
        let project = neutron.session().project().await.context("failed to sign in to OpenStack")?;
        let Some(project) = project else {
            bail!("the credentials are for no project: name one by [neutron] project_id or project_name");
        };
        let found = observe::observe(&neutron, &project).await?;
        let layout = options.layout(&found)?;
        let found = match options.dry_run {
            true => return dry(&layout, &found, news),
            false => make(&neutron, &project, &layout, found, news).await?,
        };
        if let Some(pods) = options.quota_for_pods {
            raise(&neutron, &project, pods, news).await?;
        }
        Ok(out.write_all(conf::render(&layout, &found, &project, &access)?.as_bytes())?)
    })
}

fn open(access: &CloudAccess) -> Result<Neutron> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(Neutron::new(Session::open(Settings::from(access))?))
}

fn dry(layout: &Layout, found: &Found, news: &mut impl Write) -> Result<()> {
    let steps = layout::plan(layout, found)?;
    for step in &steps {
        writeln!(news, "would make {}", tell::step(step))?;
    }
    if steps.is_empty() {
        writeln!(news, "nothing is missing")?;
    }
    Ok(())
}

/// One step at a time, each planned from what is there: whoever else is at work, or was interrupted, does no harm.
async fn make(
    neutron: &Neutron,
    project: &ProjectId,
    layout: &Layout,
    mut found: Found,
    news: &mut impl Write,
) -> Result<Found> {
    for _ in 0..MOST_STEPS {
        let Some(step) = layout::plan(layout, &found)?.into_iter().next() else { return Ok(found) };
        apply::apply(neutron, &found, &step)
            .await
            .with_context(|| format!("failed to make {}", tell::step(&step)))?;
        writeln!(news, "made {}", tell::step(&step))?;
        found = observe::observe(neutron, project).await?;
    }
    bail!("something undoes what is made here: after {MOST_STEPS} steps there is still something missing")
}

/// Ports and groups for so many pods, if the quota is smaller and the user may change it.
async fn raise(
    neutron: &Neutron,
    project: &ProjectId,
    pods: u32,
    news: &mut impl Write,
) -> Result<()> {
    let quotas = neutron.quotas(project).await.context("failed to read the quotas")?;
    let wanted = i64::from(pods) + quotas.port.used;
    if quotas.port.limit < 0 || quotas.port.limit >= wanted {
        writeln!(news, "the quota of ports is enough for {pods} pods: {}", quotas.port.limit)?;
        return Ok(());
    }
    match neutron.set_port_quota(project, wanted).await {
        Ok(()) => writeln!(news, "raised the quota of ports from {} to {wanted}", quotas.port.limit)?,
        Err(error) => writeln!(
            news,
            "warning: the quota of ports is {} ({} used), {pods} pods need {wanted}, and this user may not raise it ({}): ask \
             the cloud's administrator for it",
            quotas.port.limit,
            quotas.port.used,
            error.chain()
        )?,
    }
    Ok(())
}

/// What a step names was found by the look before it.
fn known<'a, T>(found: Option<&'a T>, name: &str) -> Result<&'a T> {
    found.with_context(|| format!("`{name}` vanished meanwhile: run the command again"))
}
