//! `contrib/regenerate_controller_pod.sh`, with an engine that has built already and a runtime that the nodes share.

use kuryr_e2e::{CONTROLLER_PODS, Ending, Image, Installation, Result, Stage, ensure, seconds, story_within};
use std::collections::BTreeSet;
use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the Deployment calls it, as every runtime understands it.
const IMAGE: &str = "docker.io/kuryr/controller";

#[tokio::test]
async fn a_developer_replaces_the_controller() -> Ending {
    story_within(seconds(180), "controller whose image a developer has built anew", async |stage| {
        let images = [Image::Controller, Image::Cni];
        stage.install(Installation { images: &images, words: &[], env: &[] }).await?;
        let before = controllers(stage).await?;
        let folder = programs(stage)?;
        let told = regenerate(stage, &folder).await?;
        let calls = fs::read_to_string(folder.join("calls"))?;
        let calls: Vec<_> = calls.lines().collect();
        let [build, save, import] = calls[..] else { kuryr_e2e::bail!("{calls:?}: {told}") };
        ensure!(build.starts_with(&format!("docker build -t {IMAGE}")), "{calls:?}");
        ensure!(save.starts_with("docker save -o") && save.contains(IMAGE), "{calls:?}");
        ensure!(import.starts_with("ctr --namespace k8s.io images import"), "{calls:?}");
        let after = controllers(stage).await?;
        ensure!(before.is_disjoint(&after) && after.len() == before.len(), "{before:?} became {after:?}");
        let pod = stage.pod("pod").serving().start().await?;
        stage.port_of(&pod).await.map(drop)
    })
    .await
}

async fn controllers(stage: &Stage) -> Result<BTreeSet<String>> {
    let pods = stage.kuryr_pods(CONTROLLER_PODS).await?;
    Ok(pods.into_iter().filter_map(|pod| pod.metadata.uid).collect())
}

/// What the script calls. The build is `make images`', and what is imported goes to all nodes, which have a runtime each.
fn programs(stage: &Stage) -> Result<PathBuf> {
    let folder = env::temp_dir().join(format!("{}-programs", stage.namespace));
    fs::create_dir_all(&folder)?;
    let gone = folder.clone();
    stage.put_back("the folder of programs", async move { Ok(fs::remove_dir_all(gone)?) });
    symlink(stage.facts.binary("kubectl")?, folder.join("kubectl"))?;
    let (archive, lab) = (Image::Controller.archive()?, stage.facts.command());
    let docker = format!("[ \"$1\" = build ] || cp '{}' \"$3\"", archive.display());
    let ctr = format!("shift 4; exec '{}' images import \"$@\"", lab.display());
    for (name, script) in [("docker", docker), ("ctr", ctr)] {
        let path = folder.join(name);
        let noted = folder.join("calls");
        fs::write(&path, format!("#!/bin/sh\necho {name} \"$*\" >> '{}'\n{script}\n", noted.display()))?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    }
    Ok(folder)
}

async fn regenerate(stage: &Stage, programs: &Path) -> Result<String> {
    let mut command = Command::new(stage.facts.repository.join("contrib/regenerate_controller_pod.sh"));
    command.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", programs.display()));
    command.env("KUBECONFIG", &stage.facts.kubernetes.kubeconfig);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success(), "{}: {told}", output.status);
    Ok(told)
}
