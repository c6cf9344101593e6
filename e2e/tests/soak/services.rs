//! Services change at random while Octavia is flaky and controllers die. When it is over, Octavia has what Kubernetes wants, exactly.

use crate::chance::Chance;
use crate::found::{AllWanted, is_as_wanted};
use crate::wanted::Wanted;
use crate::{PERCENT, put_between, spoilt};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kuryr_e2e::{Component, Context, Ending, Result, Stage, say, seconds, story_within, until};
use kuryr_testkit::proxy::{Faulty, Plan};
use serde_json::json;
use std::env;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// From one change to the next.
const PAUSE: Duration = Duration::from_millis(700);
/// How often a controller is killed, and how long it is away. The next one waits 15 s for its lease besides.
const DEATHS: u32 = 2;
const AWAY: Duration = seconds(3);
/// Reading all of it takes Octavia's time.
const LOOK_AGAIN: Duration = seconds(2);

/// How much happens: `KURYR_SOAK_SERVICES`, `KURYR_SOAK_MINUTES` and `KURYR_SOAK_SEED`.
#[derive(Debug, Clone, Copy)]
struct Size {
    services: u64,
    time: Duration,
    seed: u64,
}

/// What happened.
#[derive(Debug, Default)]
struct Changes {
    created: u32,
    changed: u32,
    deleted: u32,
}

#[tokio::test]
async fn services_that_change_while_octavia_is_flaky() -> Ending {
    let size = Size::read();
    // The lab's Octavia makes a load balancer in 1.5 s.
    let patience = seconds(60 + 2 * size.services);
    let longest = size.time + patience * 3;
    story_within(longest, "soak of Services that change while Octavia is flaky", async |stage| {
        say(&format!("  {size:?}"));
        let (one, two) = tokio::try_join!(stage.pod("one").start(), stage.pod("two").on("node2").start())?;
        let proxy = Faulty::start(&stage.facts.openstack.octavia, Plan::harmless()).await?;
        put_between(stage, "octavia_defaults", &proxy).await?;
        proxy.set_plan(Plan { delay: seconds(2), ..Plan::evenly(PERCENT, size.seed) });
        let endpoints = [one.v4, two.v4];
        let storm = change_until(stage, size, &endpoints);
        let (wanted, ()) = tokio::try_join!(storm, die(stage, size.time))?;
        spoilt(&proxy, 10)?;
        proxy.set_plan(Plan::harmless());
        settled(stage, "Octavia has what is wanted", &wanted, patience).await?;

        let (services, all) = (stage.api::<Service>(), ListParams::default());
        services.delete_collection(&DeleteParams::default(), &all).await?;
        settled(stage, "Octavia has nothing of it", &AllWanted::new(), patience).await
    })
    .await
}

async fn settled(stage: &Stage, what: &str, wanted: &AllWanted, within: Duration) -> Result<()> {
    let started = Instant::now();
    let looked = until(what, within, async || {
        sleep(LOOK_AGAIN).await;
        is_as_wanted(stage, wanted).await
    });
    looked.await?;
    say(&format!("  {what}: after {:.0} s", started.elapsed().as_secs_f64()));
    Ok(())
}

/// Kills the controller several times while Services change.
async fn die(stage: &Stage, time: Duration) -> Result<()> {
    for _ in 0..DEATHS {
        sleep(time / (DEATHS + 1)).await;
        stage.kill(&Component::CONTROLLER).await?;
        sleep(AWAY).await;
        stage.start(&Component::CONTROLLER).await?;
    }
    Ok(())
}

/// Changes one Service after the other, and returns what they are in the end.
async fn change_until(stage: &Stage, size: Size, endpoints: &[IpAddr]) -> Result<AllWanted> {
    let (mut wanted, mut changes, end) = (AllWanted::new(), Changes::default(), Instant::now() + size.time);
    for round in 0.. {
        if Instant::now() >= end {
            break;
        }
        let mut chance = Chance::of(size.seed, round);
        let name = format!("svc-{}", chance.below(size.services));
        change(stage, &name, &mut wanted, &mut changes, &mut chance, endpoints).await.context(name)?;
        sleep(PAUSE).await;
    }
    let (all, served) = (wanted.len(), wanted.values().filter(|one| one.is_served()).count());
    say(&format!("  {changes:?}; in the end {all} Services, of which {served} are served"));
    Ok(wanted)
}

async fn change(
    stage: &Stage,
    name: &str,
    wanted: &mut AllWanted,
    changes: &mut Changes,
    chance: &mut Chance,
    endpoints: &[IpAddr],
) -> Result<()> {
    let goes = chance.below(6) == 0;
    match wanted.remove(name) {
        None => {
            let new = Wanted::any(chance, endpoints);
            if create(stage, name, &new).await? {
                wanted.insert(name.to_owned(), new);
                changes.created += 1;
            }
        }
        Some(_) if goes => {
            stage.delete_service(name).await?;
            stage.api::<EndpointSlice>().delete(&slice(name), &DeleteParams::default()).await?;
            changes.deleted += 1;
        }
        Some(old) => {
            let new = old.changed(chance, endpoints);
            stage.change_service(name, new.spec()).await?;
            let patch = Patch::Merge(new.slice());
            stage.api::<EndpointSlice>().patch(&slice(name), &PatchParams::default(), &patch).await?;
            wanted.insert(name.to_owned(), new);
            changes.changed += 1;
        }
    }
    Ok(())
}

/// Makes a Service and its endpoints, unless an earlier one of its name is still held by Kuryr.
async fn create(stage: &Stage, name: &str, new: &Wanted) -> Result<bool> {
    let service = json!({ "metadata": { "name": name }, "spec": new.spec() });
    match stage.api::<Service>().create(&PostParams::default(), &serde_json::from_value(service)?).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 409 => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    let mut content = new.slice();
    content["metadata"] = json!({ "name": slice(name), "labels": { "kubernetes.io/service-name": name } });
    content["addressType"] = "IPv4".into();
    let slices = stage.api::<EndpointSlice>();
    slices.create(&PostParams::default(), &serde_json::from_value(content)?).await?;
    Ok(true)
}

fn slice(service: &str) -> String {
    format!("{service}-by-hand")
}

impl Size {
    fn read() -> Self {
        let number = |name: &str| env::var(name).ok().and_then(|text| text.parse().ok());
        Self {
            services: number("KURYR_SOAK_SERVICES").unwrap_or(12),
            time: seconds(60 * number("KURYR_SOAK_MINUTES").unwrap_or(1)),
            seed: number("KURYR_SOAK_SEED").unwrap_or(7),
        }
    }
}
