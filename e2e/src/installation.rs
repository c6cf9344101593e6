//! Kuryr as a cluster's users have it: images, generated definitions, pods.

use crate::command::built;
use crate::stage::Stage;
use crate::wait::{seconds, until};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ListParams, ResourceExt};
use serde_json::{Value, json};
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

/// What the generator writes, in the order in which the installation guide applies it.
pub const FILES: [&str; 6] = [
    "config_map.yml",
    "certificates_secret.yml",
    "controller_service_account.yml",
    "cni_service_account.yml",
    "controller_deployment.yml",
    "cni_ds.yml",
];
/// The controller's pods.
pub const CONTROLLER_PODS: &str = "name=kuryr-controller";
/// The daemons' pods.
pub const DAEMON_PODS: &str = "app=kuryr-cni";
const NAMESPACE: &str = "kube-system";

/// How Kuryr is installed.
#[derive(Debug, Clone, Copy)]
pub struct Installation<'i> {
    /// What the nodes have to have.
    pub images: &'i [Image],
    /// More arguments of the generator.
    pub words: &'i [&'i str],
    /// More variables of the generator.
    pub env: &'i [(&'i str, &'i str)],
}

/// Archives of images that `make images` wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// `kuryr/controller:latest`.
    Controller,
    /// `kuryr/cni:latest`.
    Cni,
    /// `kuryr/cni:daemonless`.
    Daemonless,
}

impl Image {
    /// Its archive.
    pub fn archive(self) -> Result<PathBuf> {
        let name = match self {
            Self::Controller => "controller.tar",
            Self::Cni => "cni.tar",
            Self::Daemonless => "cni-daemonless.tar",
        };
        let path = cached("images")?.join(name);
        ensure!(path.exists(), "there is no {}: `make images`", path.display());
        Ok(path)
    }
}

impl Stage {
    /// Writes the definitions with the script of the installation guide, into a folder of this story.
    pub fn generate(&self, name: &str, words: &[&str], env: &[(&str, &str)]) -> Result<PathBuf> {
        let parent = env::temp_dir().join(&self.namespace);
        let folder = parent.join(name);
        let script = self.facts.repository.join("tools/generate_k8s_resource_definitions.sh");
        run(Command::new(script)
            .arg(&folder)
            .args(words)
            .env("KURYRCTL", built("kuryrctl")?)
            .envs(env.iter().copied()))?;
        self.put_back("the folder of definitions", async move {
            if parent.exists() { Ok(std::fs::remove_dir_all(parent)?) } else { Ok(()) }
        });
        Ok(folder)
    }

    /// Lets labelled pods, and those of labelled namespaces, ask the scheduler for ports, until the story ends.
    pub async fn schedule_by_ports(&self) -> Result<()> {
        let folder = self.generate("counted", &["--schedule-by-ports"], &[])?;
        let all = std::fs::read_to_string(folder.join("controller_service_account.yml"))?;
        // The accounts beside it, and the kinds of records, are the lab's own.
        let policy =
            all.split("\n---\n").filter(|document| document.contains("kind: MutatingAdmissionPolicy"));
        let file = folder.join("scheduling.yml");
        std::fs::write(&file, policy.collect::<Vec<_>>().join("\n---\n"))?;
        let file = file.display().to_string();
        self.kubectl_at_end(&["delete", "--ignore-not-found", "-f", &file])?;
        self.kubectl(&["apply", "--validate=strict", "-f", &file]).await.map(drop)
    }

    /// Installs Kuryr as pods, in the place of the lab's loose programs, until the story ends: the guide's own command lines.
    pub async fn install(&self, Installation { images, words, env }: Installation<'_>) -> Result<()> {
        self.make_room(images).await?;
        let settings = self.settings();
        let settings: Vec<_> =
            settings.iter().map(|(name, value)| (*name, value.as_str())).chain(env.iter().copied()).collect();
        let folder = self.generate("definitions", words, &settings)?;
        for file in FILES {
            let path = folder.join(file).display().to_string();
            self.kubectl(&["apply", "-f", &path, "-n", NAMESPACE]).await.context(file)?;
        }
        self.installed().await
    }

    /// Takes the lab's loose programs away until the story ends, and gives the nodes these images.
    async fn make_room(&self, images: &[Image]) -> Result<()> {
        let programs = self.facts.lab.join("kuryr/bin").into_os_string();
        self.lab_at_end(["kuryr", "up", "--bin"].map(OsString::from).into_iter().chain([programs]).collect());
        self.lab(["kuryr", "down"]).await?;
        let archives = images.iter().map(|image| Ok(image.archive()?.into_os_string()));
        let archives = archives.collect::<Result<Vec<_>>>()?;
        self.lab(["images", "import"].map(OsString::from).into_iter().chain(archives)).await?;
        Ok(())
    }

    /// Installs Kuryr as pods with the Helm chart, in the place of the lab's loose programs, until the story ends.
    pub async fn install_chart(&self, images: &[Image], words: &[&str]) -> Result<()> {
        self.make_room(images).await?;
        self.upgrade_chart(words).await
    }

    /// Upgrades, or installs, Kuryr with the Helm chart and the lab's values.
    pub async fn upgrade_chart(&self, words: &[&str]) -> Result<()> {
        let values = env::temp_dir().join(format!("{}.json", self.namespace));
        std::fs::write(&values, self.chart_values().to_string())?;
        let chart = self.facts.repository.join("deploy/helm/kuryr");
        let (chart, values) = (chart.display().to_string(), values.display().to_string());
        let told = self.helm(&[&["upgrade", "--install", "kuryr", &chart, "-f", &values], words].concat());
        std::fs::remove_file(&values)?;
        told?;
        self.installed().await
    }

    /// Runs Helm in the namespace that Kuryr is installed in.
    pub fn helm(&self, words: &[&str]) -> Result<()> {
        let program = cached("tools/bin/helm")?;
        ensure!(program.exists(), "there is no {}: `make tools`", program.display());
        let kubeconfig = &self.facts.kubernetes.kubeconfig;
        run(Command::new(program).args(words).args(["-n", NAMESPACE, "--kubeconfig"]).arg(kubeconfig))
    }

    fn pod_subnets(&self) -> String {
        let ids = self.facts.openstack.pod_subnets.iter().map(|subnet| subnet.id.as_str());
        ids.collect::<Vec<_>>().join(",")
    }

    /// The values of the chart, as they are right for the lab.
    fn chart_values(&self) -> Value {
        let cloud = &self.facts.openstack;
        json!({
            "config": {
                "kubernetes": {
                    "api_root": self.facts.kubernetes.api_from_nodes,
                    "endpoints_driver_octavia_provider": "ovn",
                },
                "octavia_defaults": { "lb_algorithm": "SOURCE_IP_PORT", "enforce_sg_rules": false },
                "neutron": { "auth_url": cloud.keystone, "project_id": cloud.project_id },
                "neutron_defaults": {
                    "project": cloud.project_id,
                    "pod_subnets": self.pod_subnets(),
                    "pod_security_groups": cloud.security_group.id,
                    "service_subnet": cloud.service_subnet.id,
                },
            },
            "credentials": { "neutron": { "username": cloud.kuryr.user, "password": cloud.kuryr.password } },
        })
    }

    /// Waits until the controllers and a daemon on each node are ready, and with them the nodes.
    pub async fn installed(&self) -> Result<()> {
        for workload in ["deployment/kuryr-controller", "daemonset/kuryr-cni-ds"] {
            self.kubectl(&["rollout", "status", workload, "-n", NAMESPACE, "--timeout=120s"]).await?;
        }
        let nodes = Api::<Node>::all(self.kube.clone());
        until("all nodes are ready", seconds(20), async || {
            for node in nodes.list(&ListParams::default()).await? {
                let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
                let ready = conditions.any(|one| one.type_ == "Ready" && one.status == "True");
                ensure!(ready, "{} is not", node.name_any());
            }
            Ok(())
        })
        .await
    }

    /// Kuryr's own pods with that label.
    pub async fn kuryr_pods(&self, label: &str) -> Result<Vec<Pod>> {
        let pods = Api::<Pod>::namespaced(self.kube.clone(), NAMESPACE);
        Ok(pods.list(&ListParams::default().labels(label)).await?.items)
    }

    /// The variables of the guide, as they are right for the lab.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let cloud = &self.facts.openstack;
        vec![
            (
                "KURYR_K8S_API_ROOT",
                self.facts.kubernetes.api_from_nodes.trim_start_matches("https://").to_owned(),
            ),
            ("KURYR_K8S_AUTH_URL", cloud.keystone.clone()),
            ("KURYR_K8S_USERNAME", cloud.kuryr.user.clone()),
            ("KURYR_K8S_PASSWORD", cloud.kuryr.password.clone()),
            ("KURYR_K8S_KURYR_PROJECT_ID", cloud.project_id.to_string()),
            ("KURYR_K8S_PROJECT_ID", cloud.project_id.to_string()),
            ("KURYR_K8S_POD_SUBNET_ID", self.pod_subnets()),
            ("KURYR_K8S_POD_SG", cloud.security_group.id.to_string()),
            ("KURYR_K8S_SERVICE_SUBNET_ID", cloud.service_subnet.id.to_string()),
        ]
    }
}

/// What `make` keeps from run to run.
fn cached(path: &str) -> Result<PathBuf> {
    let home = env::var_os("HOME").context("HOME is not set")?;
    Ok(PathBuf::from(home).join(".cache/kuryr").join(path))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
