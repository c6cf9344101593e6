//! `kuryrctl openstack init`: makes in OpenStack what a cluster needs before its first pod, or finds it.
//!
//! ```text
//!   observe (Neutron) ──► Found ── kuryr_core::layout::plan ──► steps ── apply the first, look again ──► kuryr.conf
//! ```

mod apply;
mod conf;
mod observe;
mod options;
mod quota;
mod tell;

pub(crate) use options::Options;

use std::io::Write;

use anyhow::{Context, Result, bail};
use kuryr_api::ProjectId;
use kuryr_core::layout::{self, Found, Layout, Step};
use kuryr_openstack::Neutron;

use crate::connect::{self, OpenStack};

/// More than a layout has steps, however often another program undoes one.
const MOST_STEPS: usize = 40;

/// Makes what is missing; with `--dry-run` only says it. The configuration goes to `out`, all else to `news`.
pub(crate) fn init(options: &Options, out: &mut impl Write, news: &mut impl Write) -> Result<()> {
    connect::block_on(async {
        let openstack = OpenStack::open(&options.sources)?;
        for warning in &openstack.loaded.warnings {
            writeln!(news, "warning: {warning}")?;
        }
        let neutron = Neutron::new(openstack.session);
        let project = neutron.session().project().await.context("cannot sign in to OpenStack")?;
        let Some(project) = project else {
            bail!("the credentials are for no project: name one by [neutron] project_id or project_name");
        };
        let found = Box::pin(observe::observe(&neutron, &project)).await?;
        let layout = options.layout(&found)?;
        let steps = layout::plan(&layout, &found)?;
        let found = if options.dry_run {
            announce(&steps, news)?;
            found
        } else {
            Box::pin(make(&neutron, &project, &layout, found, news)).await?
        };
        if let Some(pods) = options.pods {
            quota::see_to(&neutron, &project, pods, options.dry_run, news).await?;
        }
        if steps.is_empty() || !options.dry_run {
            out.write_all(conf::render(&layout, &found, &project, &openstack.access)?.as_bytes())?;
        }
        Ok(())
    })
}

fn announce(steps: &[Step], news: &mut impl Write) -> Result<()> {
    for step in steps {
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
        let made = apply::apply(neutron, &found, &step).await;
        made.with_context(|| format!("cannot make {}", tell::step(&step)))?;
        writeln!(news, "made {}", tell::step(&step))?;
        found = Box::pin(observe::observe(neutron, project)).await?;
    }
    bail!("something undoes what is made here: after {MOST_STEPS} steps there is still something missing")
}

/// What a step names was found by the look before it.
fn known<'a, T>(found: Option<&'a T>, name: &str) -> Result<&'a T> {
    found.with_context(|| format!("`{name}` vanished meanwhile: run the command again"))
}
