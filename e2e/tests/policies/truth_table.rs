//! Every case of the oracle's truth table: its policies take the place of the last case's, and then what passes between nine pods is
//! what the oracle says.
//!
//! ```text
//! KURYR_POLICY_CASES="named port" cargo test --workspace --test policies truth_table    # those with these words in their names
//! KURYR_POLICY_CASES=20 cargo test --workspace --test policies truth_table              # 20 of them
//! ```

use crate::choice::chosen;
use crate::grid::Grid;
use crate::matrix::{Difference, Shown, cells, differences};
use kuryr_e2e::{Ending, Result, ensure, say, seconds, story_within};
use kuryr_netpol_oracle::Cluster;
use kuryr_netpol_oracle::cases::{Case, Origin, cases};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// After this, what differs is wrong.
const EFFECTIVE_WITHIN: Duration = seconds(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// What is seen has to be seen again after this, so that a moment on the way to something else does not pass for it.
const STAYS: Duration = Duration::from_millis(500);
/// Where nothing is forbidden, nothing shows that policies have arrived: they get this time for doing wrong.
const WITHOUT_EFFECT: Duration = seconds(2);

#[tokio::test]
async fn what_passes_is_what_the_oracle_says() -> Ending {
    story_within(seconds(3600), "policies: truth table of nine pods", async |stage| {
        let mut grid = Grid::set_up(stage).await?;
        let mut tally = Tally::default();
        let all = chosen(cases(&grid.cluster)?)?;
        let free = grid.cluster.clone();
        let (differing, took) = settle(&mut grid, &free).await?;
        tally.note(&free, "before any policy", &differing, took);
        for case in &all {
            play(&mut grid, case, &mut tally).await?;
        }
        grid.apply(&Case { name: "none".into(), origin: Origin::Suite, policies: Vec::new() }).await?;
        let (differing, took) = settle(&mut grid, &free).await?;
        tally.note(&free, "after all policies", &differing, took);
        tally.tell(all.len());
        ensure!(tally.failed.is_empty(), "not as the oracle says: {:#?}", tally.failed);
        Ok(())
    })
    .await
}

async fn play(grid: &mut Grid<'_>, case: &Case, tally: &mut Tally) -> Result<()> {
    let cluster = Cluster { policies: case.policies.clone(), ..grid.cluster.clone() };
    grid.apply(case).await?;
    if cells(&cluster).iter().all(|cell| cell.verdict(&cluster).is_allowed()) {
        sleep(WITHOUT_EFFECT).await;
    }
    let (differing, took) = settle(grid, &cluster).await?;
    tally.note(&cluster, &format!("{} ({})", case.name, case.origin), &differing, took);
    Ok(())
}

/// Waits until nothing differs any more. Returned is what still does, and after what time the last look began.
async fn settle(grid: &mut Grid<'_>, cluster: &Cluster) -> Result<(Vec<Difference>, Duration)> {
    let started = Instant::now();
    loop {
        let took = started.elapsed();
        let mut differing = differences(grid, cluster).await?;
        if differing.is_empty() {
            sleep(STAYS).await;
            differing = differences(grid, cluster).await?;
        }
        if differing.is_empty() || took > EFFECTIVE_WITHIN {
            return Ok((differing, took));
        }
        sleep(PAUSE).await;
    }
}

/// How the cases went.
#[derive(Default)]
struct Tally {
    failed: Vec<String>,
    times: Vec<Duration>,
}

impl Tally {
    fn note(&mut self, cluster: &Cluster, name: &str, differing: &[Difference], took: Duration) {
        if differing.is_empty() {
            self.times.push(took);
            return;
        }
        say(&format!("  {name}: {} cells differ", differing.len()));
        for one in differing {
            say(&format!("    {}", Shown(cluster, one)));
        }
        self.failed.push(format!("{name}: {} cells", differing.len()));
    }

    /// Says what time policies took to be effective, or not to be any more.
    fn tell(&mut self, cases: usize) {
        self.times.sort();
        let of = |percent: usize| self.times.get(self.times.len() * percent / 100);
        let shown: Vec<_> = [50, 90, 99].into_iter().filter_map(of).collect();
        let last = self.times.last();
        say(&format!(
            "  {cases} cases; 50, 90, 99 of 100 changes are effective in {shown:?}, all in {last:?}"
        ));
    }
}
