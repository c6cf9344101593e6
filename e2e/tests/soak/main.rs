//! Much happens for minutes, while one request in ten to OpenStack is spoilt. When it is over, all is as if nothing had been.

mod chance;
mod churn;
mod found;
mod pods;
mod services;
mod wanted;

use kuryr_e2e::{Result, Stage, ensure};
use kuryr_testkit::proxy::{Fault, Faulty};
use std::ffi::OsString;
use std::fs;

/// How many of a hundred requests are spoilt.
const PERCENT: u8 = 10;

/// Restarts Kuryr so that its way to the service of this group of options leads through the proxy, until the story ends.
async fn put_between(stage: &Stage, group: &str, proxy: &Faulty) -> Result<()> {
    put_between_with(stage, group, proxy, "").await
}

/// The same, with further options.
async fn put_between_with(stage: &Stage, group: &str, proxy: &Faulty, options: &str) -> Result<()> {
    let file = stage.facts.lab.join("e2e.conf");
    fs::write(&file, format!("[{group}]\nendpoint_override = {}\n{options}", proxy.url()))?;
    let programs = stage.facts.lab.join("kuryr/bin").into_os_string();
    let command = |conf: Option<OsString>| {
        let words = ["kuryr", "up", "--bin"].map(OsString::from);
        let conf = conf.into_iter().flat_map(|conf| ["--conf".into(), conf]);
        words.into_iter().chain([programs.clone()]).chain(conf).collect::<Vec<_>>()
    };
    stage.lab_at_end(command(None));
    stage.lab(command(Some(file.into_os_string()))).await.map(drop)
}

/// A soak without trouble, of at least so many requests, would prove nothing.
fn spoilt(proxy: &Faulty, least: u64) -> Result<()> {
    let done = proxy.done();
    eprintln!("  {} requests, of which spoilt: {done:?}", proxy.requests());
    ensure!(done.values().sum::<u64>() >= least && done.len() >= 6, "too little was spoilt: {done:?}");
    ensure!(done.contains_key(&Fault::CutAfterwards), "no answer was lost: {done:?}");
    Ok(())
}
