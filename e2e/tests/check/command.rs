//! The command as a test gives it, and what it tells.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kuryr_e2e::{Context, Result, Stage, built, ensure};
use kuryr_testkit::proxy::Faulty;
use serde_json::{Value, json};

/// The lab's configuration with lines of its own, and what the command is told besides.
pub struct Check {
    pub folder: PathBuf,
    lines: Vec<String>,
    words: Vec<String>,
    pub kubeconfig: PathBuf,
}

/// What came of it.
pub struct Told {
    pub code: Option<i32>,
    pub report: Value,
}

impl Check {
    pub fn new(stage: &Stage) -> Result<Self> {
        let folder = env::temp_dir().join(&stage.namespace);
        fs::create_dir_all(&folder)?;
        let gone = folder.clone();
        stage.put_back("the folder of the check", async move {
            if gone.exists() { Ok(fs::remove_dir_all(gone)?) } else { Ok(()) }
        });
        let conf = stage.facts.lab.join("kuryr/controller.conf");
        let words = ["--here", "controller", "--output", "json", "--config-file", text(&conf)?];
        Ok(Self {
            folder,
            lines: Vec::new(),
            words: words.map(ToOwned::to_owned).into(),
            kubeconfig: stage.facts.kubernetes.kubeconfig.clone(),
        })
    }

    /// With an option set otherwise than in the lab.
    pub fn with(mut self, group: &str, option: &str, value: &str) -> Self {
        self.lines.push(format!("[{group}]\n{option} = {value}\n"));
        self
    }

    pub fn saying(mut self, words: &[&str]) -> Self {
        self.words.extend(words.iter().map(|word| (*word).to_owned()));
        self
    }

    /// With the API server behind this proxy.
    pub fn in_cluster(mut self, proxy: &Faulty) -> Result<Self> {
        self.write_kubeconfig(&json!({ "server": proxy.url() }), &json!({}))?;
        Ok(self)
    }

    fn write_kubeconfig(&mut self, cluster: &Value, user: &Value) -> Result<()> {
        self.kubeconfig = self.folder.join("kubeconfig");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "lab",
            "clusters": [{ "name": "lab", "cluster": cluster }],
            "contexts": [{ "name": "lab", "context": { "cluster": "lab", "user": "lab" } }],
            "users": [{ "name": "lab", "user": user }],
        });
        Ok(serde_json::to_writer(File::create(&self.kubeconfig)?, &config)?)
    }

    /// As the user of this token.
    pub fn with_token(mut self, stage: &Stage, token: &str) -> Result<Self> {
        let lab = &stage.facts.kubernetes;
        let cluster = json!({ "server": lab.api_local, "certificate-authority": lab.ca });
        self.write_kubeconfig(&cluster, &json!({ "token": token }))?;
        Ok(self)
    }

    pub fn write(&self) -> Result<PathBuf> {
        let conf = self.folder.join("mistakes.conf");
        fs::write(&conf, self.lines.concat())?;
        Ok(conf)
    }

    pub async fn run(&self) -> Result<Told> {
        self.run_by(&[]).await
    }

    /// By another program, which is given the command.
    pub async fn run_by(&self, by: &[String]) -> Result<Told> {
        let program = built("kuryrctl")?;
        let conf = self.write()?;
        let own = [
            text(&program)?,
            "check",
            "--config-file",
            text(&conf)?,
            "--kubeconfig",
            text(&self.kubeconfig)?,
        ];
        // The lab's file stands before the one with the mistakes: the last one wins.
        let [program, check, file @ ..] = own;
        let words: Vec<String> = by
            .iter()
            .cloned()
            .chain([program, check].map(ToOwned::to_owned))
            .chain(self.words.iter().cloned())
            .chain(file.map(ToOwned::to_owned))
            .collect();
        // A proxy of this process may stand in between.
        let work = move || Command::new(&words[0]).args(&words[1..]).output();
        Told::read(&tokio::task::spawn_blocking(work).await??)
    }
}

impl Told {
    fn read(output: &Output) -> Result<Self> {
        let report = serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
        Ok(Self { code: output.status.code(), report })
    }

    pub fn checks(&self) -> &[Value] {
        self.report["checks"].as_array().map_or(&[], Vec::as_slice)
    }

    pub fn findings(&self) -> Vec<&Value> {
        self.checks().iter().filter_map(|check| check["findings"].as_array()).flatten().collect()
    }

    pub fn ids(&self) -> Vec<&str> {
        self.findings().into_iter().filter_map(|finding| finding["id"].as_str()).collect()
    }

    pub fn with_outcome(&self, outcome: &str) -> Vec<String> {
        let those = self.checks().iter().filter(|check| check["outcome"] == outcome);
        those.filter_map(|check| Some(check["check"].as_str()?.to_owned())).collect()
    }

    /// Sees that this is the one problem, and that it is told in these words.
    pub fn only(&self, id: &str, words: &[&str]) -> Result<()> {
        ensure!(self.code == Some(1), "exit code {:?}: {}", self.code, self.report);
        self.tells_only(id, words)
    }

    /// Sees that this is the one finding, which is no problem, and that it is told in these words.
    pub fn warns(&self, id: &str, words: &[&str]) -> Result<()> {
        ensure!(self.code == Some(0), "exit code {:?}: {}", self.code, self.report);
        self.tells_only(id, words)
    }

    fn tells_only(&self, id: &str, words: &[&str]) -> Result<()> {
        ensure!(self.ids() == [id], "{:?} instead of {id}: {}", self.ids(), self.report);
        let finding = self.findings()[0];
        ensure!(finding["why"].as_str().is_some_and(|why| !why.is_empty()), "{finding}");
        let told = format!("{} {}", finding["what"], finding["fix"]);
        for word in words {
            ensure!(told.contains(word), "{word:?} is not in {told}");
        }
        Ok(())
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not text", path.display()))
}
