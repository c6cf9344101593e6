//! `kuryrctl openstack init` before a real Neutron: what it makes, finds, and refuses. Needs the lab, and no Kuryr.

use std::env;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use kuryr_api::ids::{ProjectId, RouterId};
use kuryr_e2e::{Context, Error, Facts, Result, ensure};
use kuryr_openstack::neutron::{
    NetworkFilter, PortFilter, Router, SecurityGroup, SecurityGroupFilter, Subnet, SubnetFilter,
};
use kuryr_openstack::{Call, Neutron, Service};
use reqwest::Method;
use serde_json::json;

const PODS: [&str; 2] = ["10.201.0.0/16", "fd10:201::/64"];
const SERVICES: &str = "10.202.0.0/24";

/// A layout by names that nobody else has.
struct Site {
    facts: Facts,
    neutron: Neutron,
    prefix: String,
}

#[tokio::test]
async fn what_is_missing_is_made_once() -> Result<()> {
    let site = Site::new("once")?;
    let played = story(&site).await;
    let cleared = site.clear().await;
    played?;
    cleared.context("what the test made can't be removed")
}

async fn story(site: &Site) -> Result<()> {
    let dry = site.init(&PODS, &["--dry-run"])?;
    let told = news(&dry);
    ensure!(dry.status.success() && dry.stdout.is_empty(), "{told}");
    ensure!(told.matches("would make ").count() == 12, "{told}");
    ensure!(site.count().await? == 0, "a dry run made something");

    let first = site.init(&PODS, &[])?;
    ensure!(first.status.success(), "{}", news(&first));
    ensure!(news(&first).matches("made ").count() == 12, "{}", news(&first));
    let conf = site.is_complete(&text(&first.stdout)).await?;
    site.is_accepted(&conf)?;

    let again = site.init(&PODS, &[])?;
    ensure!(again.status.success() && again.stderr.is_empty(), "{}", news(&again));
    ensure!(text(&again.stdout) == conf, "the second run says something else: {}", text(&again.stdout));
    let dry = site.init(&PODS, &["--dry-run"])?;
    ensure!(news(&dry).contains("nothing is missing") && text(&dry.stdout) == conf, "{}", news(&dry));

    let before = site.count().await?;
    let other = site.name("other-net");
    let conflict = site.init(&["10.203.0.0/16"], &["--service-network", &other])?;
    let told = news(&conflict);
    ensure!(conflict.status.code() == Some(1) && conflict.stdout.is_empty(), "{told}");
    let named = told.contains("is 10.201.0.0/16, but 10.203.0.0/16 is wanted");
    ensure!(named && told.contains(&site.name("pod-subnet")), "{told}");
    ensure!(site.count().await? == before, "something was made in spite of a conflict");
    Ok(())
}

#[tokio::test]
async fn the_labs_own_layout_is_found() -> Result<()> {
    let site = Site::new("found")?;
    let cloud = &site.facts.openstack;
    let found = kuryrctl(&site.facts)?
        .args(["openstack", "init", "--dry-run", "--pod-range", "10.1.0.0/16", "--pod-range", "fd10:1::/64"])
        .args(["--service-range", "10.96.0.0/16", "--pod-network", &cloud.pod_network.name])
        .args(["--security-group", &cloud.security_group.name, "--pods", "10"])
        .output()?;
    let told = news(&found);
    ensure!(found.status.success() && told.contains("nothing is missing"), "{told}");
    ensure!(told.contains("the quota of ports is enough for 10 pods"), "{told}");
    let conf = text(&found.stdout);
    let ids: Vec<_> = cloud.pod_subnets.iter().map(|subnet| subnet.id.to_string()).collect();
    ensure!(conf.contains(&format!("pod_subnets = {}\n", ids.join(","))), "{conf}");
    ensure!(conf.contains(&format!("pod_security_groups = {}\n", cloud.security_group.id)), "{conf}");
    ensure!(conf.contains(&format!("project = {}\n", cloud.project_id)), "{conf}");
    let password = format!("= {}\n", cloud.kuryr.password);
    ensure!(!conf.contains(&password), "the password is printed");
    Ok(())
}

impl Site {
    fn new(name: &str) -> Result<Self> {
        // A process has one provider; the first test installs it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let facts = Facts::read()?;
        let stamp = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        Ok(Self { neutron: facts.neutron()?, facts, prefix: format!("e2e-init-{name}-{stamp:x}") })
    }

    fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.prefix)
    }

    fn init(&self, pods: &[&str], more: &[&str]) -> Result<Output> {
        let mut command = kuryrctl(&self.facts)?;
        command.args(["openstack", "init", "--service-range", SERVICES]);
        for (option, name) in
            [("--pod-network", "pod-net"), ("--router", "router"), ("--security-group", "pods")]
        {
            command.args([option, &self.name(name)]);
        }
        if !more.contains(&"--service-network") {
            command.args(["--service-network", &self.name("service-net")]);
        }
        command.args(pods.iter().flat_map(|range| ["--pod-range", range]));
        Ok(command.args(more).output()?)
    }

    /// What stands in Neutron is the layout, and the configuration names it.
    async fn is_complete(&self, conf: &str) -> Result<String> {
        let has = |option: &str, value: &str| {
            let line = format!("{option} = {value}\n");
            ensure!(conf.contains(&line), "there is no {line:?} in {conf}");
            Ok(())
        };
        let (pods, services) = (self.subnets("pod-net").await?, self.subnets("service-net").await?);
        let ids = PODS.map(|range| pods.iter().find(|subnet| subnet.cidr == range));
        let ids: Vec<_> = ids.iter().flatten().map(|subnet| subnet.id.to_string()).collect();
        ensure!(ids.len() == 2 && pods.len() == 2, "subnets of pods: {pods:?}");
        has("pod_subnets", &ids.join(","))?;
        let gateways: Vec<_> =
            pods.iter().filter_map(|subnet| subnet.gateway_ip).map(|ip| ip.to_string()).collect();
        ensure!(
            ["10.201.0.1", "fd10:201::1"].iter().all(|ip| gateways.iter().any(|it| it == ip)),
            "{gateways:?}"
        );
        let [services] = &services[..] else { return Err(Error::msg(format!("{services:?}"))) };
        has("service_subnet", services.id.as_str())?;
        let [pool] = &services.allocation_pools[..] else { return Err(Error::msg(format!("{services:?}"))) };
        let given = (services.cidr.as_str(), pool.start.to_string(), pool.end.to_string());
        ensure!(given == ("10.202.0.0/23", "10.202.1.1".into(), "10.202.1.253".into()), "{given:?}");
        let router = self.router().await?.context("there is no router")?;
        has("pod_router", router.id.as_str())?;
        let outside = router.external_gateway_info.context("the router leads nowhere")?;
        has("external_svc_net", outside.network_id.as_str())?;
        let inside = PortFilter { device_ids: Some(vec![router.id.to_string()]), ..PortFilter::default() };
        let inside = self.neutron.ports(&inside).await?;
        let inside = inside.iter().flat_map(|port| &port.fixed_ips).map(|ip| ip.subnet_id.clone());
        let joined: Vec<_> = inside.collect();
        let all = pods.iter().chain([services]).all(|subnet| joined.contains(&subnet.id));
        ensure!(all, "the router is in {joined:?} alone");
        let group = self.group().await?.context("there is no security group")?;
        ensure!(group.rules.iter().filter(|held| held.rule.is_open()).count() == 4, "{:?}", group.rules);
        has("pod_security_groups", group.id.as_str())?;
        Ok(conf.to_owned())
    }

    fn is_accepted(&self, conf: &str) -> Result<()> {
        let path = env::temp_dir().join(self.name("kuryr.conf"));
        std::fs::write(&path, conf)?;
        let checked = kuryrctl(&self.facts)?.args(["config", "check", "--config-file"]).arg(&path).output();
        std::fs::remove_file(&path)?;
        let checked = checked?;
        ensure!(checked.status.success(), "{}", text(&checked.stdout));
        Ok(())
    }

    /// How many things there are by our names.
    async fn count(&self) -> Result<usize> {
        let networks = self.neutron.networks(&NetworkFilter::default()).await?;
        let networks = networks.iter().filter(|network| network.name.starts_with(&self.prefix)).count();
        let subnets = self.neutron.subnets(&SubnetFilter::default()).await?;
        let subnets = subnets.iter().filter(|subnet| subnet.name.starts_with(&self.prefix)).count();
        let others = usize::from(self.router().await?.is_some()) + usize::from(self.group().await?.is_some());
        Ok(networks + subnets + others)
    }

    async fn subnets(&self, network: &str) -> Result<Vec<Subnet>> {
        let filter = NetworkFilter { name: Some(self.name(network)), ..NetworkFilter::default() };
        let mut subnets = Vec::new();
        for network in self.neutron.networks(&filter).await? {
            let filter = SubnetFilter { network: Some(network.id), ..SubnetFilter::default() };
            subnets.append(&mut self.neutron.subnets(&filter).await?);
        }
        Ok(subnets)
    }

    fn project(&self) -> &ProjectId {
        &self.facts.openstack.project_id
    }

    async fn router(&self) -> Result<Option<Router>> {
        let routers = self.neutron.routers(self.project()).await?;
        Ok(routers.into_iter().find(|router| router.name == self.name("router")))
    }

    async fn group(&self) -> Result<Option<SecurityGroup>> {
        let filter = SecurityGroupFilter { name: Some(self.name("pods")), ..SecurityGroupFilter::default() };
        Ok(self.neutron.security_groups(&filter).await?.pop())
    }

    async fn clear(&self) -> Result<()> {
        if let Some(router) = self.router().await? {
            for network in ["pod-net", "service-net"] {
                for subnet in self.subnets(network).await? {
                    self.leave(&router.id, &subnet).await?;
                }
            }
            self.delete(format!("/routers/{}", router.id)).await?;
        }
        for network in ["pod-net", "service-net", "other-net"] {
            let filter = NetworkFilter { name: Some(self.name(network)), ..NetworkFilter::default() };
            for network in self.neutron.networks(&filter).await? {
                self.delete(format!("/networks/{}", network.id)).await?;
            }
        }
        if let Some(group) = self.group().await? {
            self.delete(format!("/security-groups/{}", group.id)).await?;
        }
        ensure!(self.count().await? == 0, "something of {} is left", self.prefix);
        Ok(())
    }

    /// Takes the router out of a subnet, if it is there.
    async fn leave(&self, router: &RouterId, subnet: &Subnet) -> Result<()> {
        let path = format!("/routers/{router}/remove_router_interface");
        let call = Call::new(Service::Network, Method::PUT, "/routers/{id}/remove_router_interface", path);
        let left = self.neutron.session().call(&call.json(&json!({ "subnet_id": subnet.id }))?).await;
        match left {
            Err(error) if error.kind() != kuryr_openstack::Kind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn delete(&self, path: String) -> Result<()> {
        let call = Call::new(Service::Network, Method::DELETE, "/anything/{id}", path);
        self.neutron.session().call(&call).await.map(drop).map_err(Error::from)
    }
}

/// The program that cargo built beside this test, as Kuryr's user of the lab.
fn kuryrctl(facts: &Facts) -> Result<Command> {
    let here = env::current_exe()?;
    let path = here.parent().and_then(Path::parent).context("a test lies in a folder")?.join("kuryrctl");
    ensure!(path.exists(), "there is no {}: cargo build -p kuryrctl", path.display());
    let mut command = Command::new(path);
    command.env_clear().env("OS_CLIENT_CONFIG_FILE", facts.lab.join("etc/clouds.yaml"));
    command.env("OS_CLOUD", "kuryr");
    Ok(command)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn news(output: &Output) -> String {
    text(&output.stderr)
}
