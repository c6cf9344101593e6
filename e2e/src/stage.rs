//! Where a test plays: the lab, a namespace of its own, and the promise that everything is put back.

use crate::census::Census;
use crate::facts::Facts;
use crate::wait::{PATIENCE, seconds, until};
use crate::{cloud, command};
use anyhow::{Context, Result, anyhow, ensure};
use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Event, Namespace, Pod, Service, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use kuryr_api::{KuryrLoadBalancer, names};
use kuryr_openstack::{Neutron, Octavia};
use serde_json::json;
use std::any::Any;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// What a story may take, unless it says otherwise.
const LONGEST: Duration = seconds(120);
/// After a story, this is how long the last trace of it may be seen.
const CLEAN_WITHIN: Duration = seconds(60);
/// Namespaces of stories carry this label, so that those of an interrupted run are found.
const LABEL: &str = "kuryr-e2e";

/// Where a test plays.
pub struct Stage {
    /// The lab.
    pub facts: Facts,
    /// Its cluster, as the administrator.
    pub kube: Client,
    /// Its Neutron, as Kuryr's user.
    pub neutron: Neutron,
    /// Its Octavia, as Kuryr's user.
    pub octavia: Octavia,
    /// The namespace of this story.
    pub namespace: String,
    /// The tag of this cluster's Kuryr.
    pub own_tag: String,
    /// To ask the lab's servers.
    pub http: reqwest::Client,
    pub(crate) before: Census,
    put_back: Mutex<Vec<PutBack>>,
    /// One story at a time, in all programs.
    _turn: File,
}

/// How a story ends.
pub type Ending = Result<(), Failed>;

/// Why a story failed, in one line, without the way through this program that found it.
pub struct Failed(String);

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

struct PutBack {
    what: &'static str,
    how: BoxFuture<'static, Result<()>>,
}

/// Plays a story, puts everything back, sees that nothing is left, and says how long it took.
pub async fn story(name: &str, body: impl AsyncFnOnce(&Stage) -> Result<()>) -> Ending {
    story_within(LONGEST, name, body).await
}

/// A [`story`] that may take longer.
pub async fn story_within(
    longest: Duration,
    name: &str,
    body: impl AsyncFnOnce(&Stage) -> Result<()>,
) -> Ending {
    play(longest, name, body).await.map_err(|error| Failed(format!("{error:#}")))
}

async fn play(longest: Duration, name: &str, body: impl AsyncFnOnce(&Stage) -> Result<()>) -> Result<()> {
    let stage = Stage::set(name).await.with_context(|| format!("no stage for {name}"))?;
    let started = Instant::now();
    let longest = longest * PATIENCE;
    let played = timeout(longest, AssertUnwindSafe(body(&stage)).catch_unwind()).await;
    let played = match played {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(anyhow!("{}", words_of(&*panic))),
        Err(_) => Err(anyhow!("the story is not over after {longest:?}")),
    };
    let took = started.elapsed().as_secs_f64();
    if let Err(error) = &played {
        say(&format!("  {name}: FAILED: {error:#}\n{}", stage.scene().await));
    }
    let cleared = stage.clear().await;
    let clearing = started.elapsed().as_secs_f64() - took;
    say(&format!("  {name}: {took:.1} s, and {clearing:.1} s to clear"));
    played.with_context(|| name.to_owned())?;
    cleared.with_context(|| format!("{name}: after it"))
}

impl Stage {
    async fn set(name: &str) -> Result<Self> {
        // A process has one provider; the first story installs it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let facts = Facts::read()?;
        let turn = take_turn(&facts).await?;
        let kube = connect(&facts).await?;
        let system = Api::<Namespace>::all(kube.clone()).get("kube-system").await?;
        let cluster = system.metadata.uid.context("kube-system has no uid")?;
        let mut stage = Self {
            neutron: cloud::neutron(&facts)?,
            octavia: cloud::octavia(&facts)?,
            http: reqwest::Client::builder().no_proxy().timeout(seconds(5)).build()?,
            namespace: format!(
                "e2e-{}-{}",
                name.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or("story").to_lowercase(),
                stamp()
            ),
            own_tag: names::ownership_tag(&cluster),
            before: Census::new(),
            put_back: Mutex::default(),
            _turn: turn,
            facts,
            kube,
        };
        until("Kuryr is ready (`lab/lab kuryr up`)", seconds(20), async || {
            let (status, text) = stage.controller_readiness().await?;
            ensure!(status == 200, "the controller is not: {text}");
            Ok(())
        })
        .await?;
        stage.serves_the_api_server().await?;
        stage.remove_namespaces().await?;
        stage.before = Box::pin(stage.census()).await?;
        stage.make_namespace(&stage.namespace, &BTreeMap::new()).await?;
        Ok(stage)
    }

    /// Remembers how to undo a change. It happens when the story ends, however it ends, the last change first.
    pub fn put_back(&self, what: &'static str, how: impl Future<Output = Result<()>> + Send + 'static) {
        if let Ok(mut list) = self.put_back.lock() {
            list.push(PutBack { what, how: how.boxed() });
        }
    }

    /// Objects of a kind in the story's namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.kube.clone(), &self.namespace)
    }

    /// Waits for an Event in the story's namespace, and returns what it says.
    pub async fn event(&self, reason: &str, within: Duration) -> Result<String> {
        let params = ListParams::default().fields(&format!("reason={reason}"));
        until(&format!("an Event {reason}"), within, async || {
            let found = self.api::<Event>().list(&params).await?.items.pop();
            Ok(found.context("there is none")?.message.unwrap_or_default())
        })
        .await
    }

    /// A Kuryr that has just been installed makes one load balancer by itself, which is no story's.
    async fn serves_the_api_server(&self) -> Result<()> {
        let records = Api::<KuryrLoadBalancer>::namespaced(self.kube.clone(), "default");
        until("the API server's Service is served", seconds(30), async || {
            let status = records.get("kubernetes").await?.status;
            status.and_then(|status| status.loadbalancer).map(drop).context("it has no load balancer")
        })
        .await
    }

    /// One more namespace for the story, with these labels. It goes when the story ends.
    pub async fn make_namespace(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<()> {
        let mut namespace = json!({ "metadata": { "name": name, "labels": labels } });
        namespace["metadata"]["labels"][LABEL] = "story".into();
        let namespaces = Api::<Namespace>::all(self.kube.clone());
        namespaces.create(&PostParams::default(), &serde_json::from_value(namespace)?).await?;
        let accounts = Api::<ServiceAccount>::namespaced(self.kube.clone(), name);
        until("the namespace has its service account", seconds(20), async || {
            Ok(accounts.get("default").await.map(drop)?)
        })
        .await
    }

    async fn remove_namespaces(&self) -> Result<()> {
        let namespaces = Api::<Namespace>::all(self.kube.clone());
        for namespace in namespaces.list(&ListParams::default().labels(LABEL)).await? {
            let name = namespace.metadata.name.unwrap_or_default();
            if namespace.metadata.deletion_timestamp.is_none() {
                namespaces.delete(&name, &DeleteParams::default()).await?;
            }
            let pods = Api::<Pod>::namespaced(self.kube.clone(), &name);
            let services = Api::<Service>::namespaced(self.kube.clone(), &name);
            // The namespace's own controller takes ten seconds to come to them.
            services.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
            pods.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
            until(&format!("namespace {name} is empty"), CLEAN_WITHIN, async || {
                let left = pods.list(&ListParams::default()).await?.items.len();
                ensure!(left == 0, "it has {left} pods");
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Everything that the story changed is undone; what is left then is a leak.
    async fn clear(&self) -> Result<()> {
        let mut failed = Ok(());
        while let Some(PutBack { what, how }) = self.put_back.lock().ok().and_then(|mut list| list.pop()) {
            if let Err(error) = how.await {
                say(&format!("  failed to put back: {what}: {error:#}"));
                failed = Err(error).with_context(|| format!("failed to put back: {what}"));
            }
        }
        until("the lab runs again", seconds(30), async || {
            let (status, text) = self.controller_readiness().await?;
            ensure!(status == 200, "the controller is not ready: {text}");
            Ok(())
        })
        .await?;
        self.remove_namespaces().await?;
        until("nothing is left", CLEAN_WITHIN, async || self.nothing_left().await).await?;
        failed
    }

    /// What a person looks at first when a story failed.
    async fn scene(&self) -> String {
        let namespace = self.namespace.as_str();
        let mut text = String::new();
        for words in [
            vec!["kubectl", "get", "pods,kuryrports,services,kuryrloadbalancers", "-o", "wide"],
            vec!["kubectl", "get", "events", "--sort-by=.lastTimestamp"],
        ] {
            let words = words.into_iter().skip(1).chain(["-n", namespace]).collect::<Vec<_>>();
            let told = self.kubectl(&words).await.unwrap_or_else(|error| format!("{error:#}"));
            text.push_str(&told);
            text.push('\n');
        }
        for words in [&["kuryr", "logs", "-n", "40"][..], &["report", namespace]] {
            let told = self.lab(words).await.unwrap_or_else(|error| format!("{error:#}"));
            text.push_str(&told);
            text.push('\n');
        }
        text
    }

    /// Runs kubectl as the administrator and returns what it printed.
    pub async fn kubectl(&self, words: &[&str]) -> Result<String> {
        command::run(self.kubectl_words(words)?).await
    }

    /// Runs it when the story ends.
    pub fn kubectl_at_end(&self, words: &[&str]) -> Result<()> {
        let words = self.kubectl_words(words)?;
        self.put_back("kubectl", async move { command::run(words).await.map(drop) });
        Ok(())
    }

    fn kubectl_words(&self, words: &[&str]) -> Result<Vec<OsString>> {
        let program = self.facts.binary("kubectl")?;
        let start = [program.into(), "--kubeconfig".into(), self.facts.kubernetes.kubeconfig.clone().into()];
        Ok(start.into_iter().chain(words.iter().map(Into::into)).collect())
    }
}

async fn connect(facts: &Facts) -> Result<Client> {
    let file = Kubeconfig::read_from(&facts.kubernetes.kubeconfig)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

async fn take_turn(facts: &Facts) -> Result<File> {
    let folder = facts.lab.join("run");
    fs::create_dir_all(&folder)?;
    let file = File::create(folder.join("e2e.lock"))?;
    tokio::task::spawn_blocking(move || file.lock().map(|()| file))
        .await?
        .context("failed to wait for our turn")
}

fn stamp() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}", now.as_millis() & 0xff_ffff)
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_else(|| "a panic".to_owned())
}

/// Past cargo's capture, so that a run that passes shows its times as well.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
