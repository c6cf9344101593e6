//! Pools by hand: `kuryrctl pools`, its socket, and the words of the Python Kuryr's documentation.

use crate::{BATCH, NODES, READY, ids, target, until_ready, warm_ports};
use kuryr_api::pool::{ByHand, NodePool};
use kuryr_e2e::{
    Component, Context, Ending, Instead, Result, Stage, built, ensure, say, seconds, story_within, until,
};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use tokio::time::sleep;

#[tokio::test]
async fn an_operator_looks_after_pools() -> Ending {
    story_within(seconds(240), "kuryrctl pools", async |stage| {
        let socket = stage.facts.lab.join("run/pools.sock");
        stage.stop(&Component::CONTROLLER).await?;
        let instead = Instead { pools: Some(BATCH), socket: Some(socket.clone()), ..Instead::default() };
        let controller = stage.leading_controller(&instead).await?;
        until_ready(stage, &controller, &NODES.map(|node| (node, READY))).await?;
        until("it is ready", seconds(20), async || controller.is_ready().await).await?;
        let desk = Desk { stage, socket };

        let filled = desk.ask(&["fill", "node1", "-n", "4"])?;
        ensure!(filled == "node1: 4 ports made\n", "{filled}");
        until_ready(stage, &controller, &[("node1", READY + 4)]).await?;
        // The pool is looked at every twenty seconds.
        sleep(seconds(25)).await;
        let NodePool { free, by_hand, parts, .. } = desk.pool("node1")?;
        ensure!(free == count(READY + 4)? && by_hand == Some(ByHand::Filled), "{free} are left, {by_hand:?}");
        let shown: BTreeSet<_> =
            parts.iter().flatten().flat_map(|part| &part.ports).map(|port| port.id.to_string()).collect();
        let warm = ids(&warm_ports(stage).await?);
        ensure!(shown.len() == READY + 4 && shown.is_subset(&warm), "{shown:?} are not of {warm:?}");
        desk.by_hand_as_ever()?;

        let freed = desk.ask(&["free", "node1"])?;
        ensure!(freed == format!("node1: {} ports given back\n", READY + 4), "{freed}");
        sleep(seconds(25)).await;
        let pool = desk.pool("node1")?;
        ensure!((pool.free, pool.target) == (0, 0), "{pool:?}");
        // Without the socket KuryrNodes tell.
        until("the KuryrNodes say so", seconds(10), async || {
            let told = desk.by_nodes(&["show", "node1", "-o", "json"])?;
            let told: NodePool = serde_json::from_str(&told)?;
            ensure!((told.free, told.target) == (0, 0) && told.parts.is_none(), "{told:?}");
            Ok(())
        })
        .await?;
        say(&format!("{}\n{}", desk.ask(&["list"])?, desk.by_nodes(&["list"])?));
        stage.pod("first").on("node1").start().await?;
        until_ready(stage, &controller, &[("node1", target(1))]).await.map(drop)
    })
    .await
}

/// Whoever looks after pools.
struct Desk<'s> {
    stage: &'s Stage,
    socket: PathBuf,
}

impl Desk<'_> {
    /// `kuryrctl pools`, by the socket.
    fn ask(&self, words: &[&str]) -> Result<String> {
        done(Command::new(built("kuryrctl")?).arg("pools").args(words).arg("--socket").arg(&self.socket))
    }

    /// The same where there is no socket.
    fn by_nodes(&self, words: &[&str]) -> Result<String> {
        let kubeconfig = &self.stage.facts.kubernetes.kubeconfig;
        done(Command::new(built("kuryrctl")?).arg("pools").args(words).arg("--kubeconfig").arg(kubeconfig))
    }

    fn pool(&self, node: &str) -> Result<NodePool> {
        let told = self.ask(&["show", node, "-o", "json"])?;
        say(&self.ask(&["show", node])?);
        Ok(serde_json::from_str(&told)?)
    }

    /// The words of the Python Kuryr's documentation: curl, and the script.
    fn by_hand_as_ever(&self) -> Result<()> {
        let listed = done(
            Command::new("curl")
                .args(["--silent", "--show-error", "--fail", "--unix-socket"])
                .arg(&self.socket)
                .args([
                    "http://localhost/listPools",
                    "-H",
                    "Content-Type: application/json",
                    "-X",
                    "GET",
                    "-d",
                    "{}",
                ]),
        )?;
        let script = self.stage.facts.repository.join("contrib/pools-management/subports.sh");
        let by_script = |words: &[&str]| {
            let mut command = Command::new(&script);
            command.env("KURYRCTL", built("kuryrctl")?).env("KURYR_POOLS_SOCKET", &self.socket);
            done(command.args(words))
        };
        let (told, project) = (by_script(&["list"])?, &self.stage.facts.openstack.project_id);
        ensure!(told == listed && told.contains(&format!("[\"node1\",\"{project}\",")), "{told}, {listed}");
        let group = self.stage.facts.openstack.security_group.id.as_str();
        let shown = by_script(&["show", "--trunk", "node1", "-p", project.as_str(), "--sg", group])?;
        ensure!(shown.contains("FREE FOR"), "{shown}");
        say(&format!("{listed}\n{shown}"));
        Ok(())
    }
}

/// What a program that went well wrote.
fn done(command: &mut Command) -> Result<String> {
    let output = command.output().context("failed to start it")?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    Ok(text(&output.stdout))
}

fn count(number: usize) -> Result<u32> {
    Ok(u32::try_from(number)?)
}
