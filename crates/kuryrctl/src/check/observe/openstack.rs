//! OpenStack: what the configured user sees and may do there.

use std::collections::BTreeSet;

use kuryr_api::{
    ids::{ProjectId, SecurityGroupId, ServerId, SubnetId},
    names::{DEVICE_OWNER, OWNERSHIP_TAG, SRIOV_OWNER, SUBPORT_OWNER},
};
use kuryr_config::{Sources, cloud};
use kuryr_controller::driver::Driver;
use kuryr_openstack::{
    Error, Kind, Nova, Octavia, OpenError, Retry, Session, Settings as SessionSettings,
    neutron::{Neutron, Port, PortFilter, SecurityGroupFilter, Subnet, SubnetFilter},
    nova::server_of,
};

use super::{chain, config::Read};
use crate::check::{
    facts::{Cloud, Cluster, Node, Parent, Settings, Way},
    finding::{Gap, Seen, known},
};

pub(super) async fn observe(read: &Read, sources: &Sources, cluster: &Cluster) -> Cloud {
    let (config, settings) = match (read.config(), read.settings()) {
        (Ok(config), Ok(settings)) => (config, settings),
        (Err(gap), _) | (_, Err(gap)) => return Cloud::unseen(Err(gap.clone()), &gap),
    };
    let session = match cloud::access(config, &sources.env) {
        Ok(access) => open(SessionSettings::from(&access)),
        Err(error) => Err(Way::Unsaid(chain(&error))),
    };
    let session = match session {
        Ok(session) => session,
        Err(way) => return closed(way),
    };
    match session.check().await {
        Ok(()) => inside(session, settings, cluster).await,
        Err(error) if error.kind() == Kind::Unauthorized => closed(Way::Refused(error.chain())),
        Err(error) => closed(Way::Closed(error.chain())),
    }
}

fn open(settings: SessionSettings) -> Result<Session, Way> {
    // A person waits: what does not work at the second try is told.
    let settings = SessionSettings { retry: Retry { times: 1, ..settings.retry }, ..settings };
    Session::open(settings).map_err(|error| match &error {
        OpenError::SetUpTls(_) => Way::Tls(chain(&error)),
        _ => Way::Unsaid(chain(&error)),
    })
}

fn closed(way: Way) -> Cloud {
    Cloud::unseen(Ok(way), &Gap::unknown("there is no sign-in to OpenStack"))
}

async fn inside(session: Session, settings: &Settings, cluster: &Cluster) -> Cloud {
    let neutron = Neutron::new(session.clone());
    let project = match &settings.project {
        Some(id) => Ok(ProjectId::from(id.as_str())),
        None => Err(Gap::unknown("[neutron_defaults] project is not set")),
    };
    let pod_subnets = subnets(&neutron, &settings.pod_subnets).await;
    let parents = parents(&neutron, settings, cluster).await;
    Cloud {
        way: Ok(Way::Open),
        extensions: extensions(&neutron).await,
        pod_network: network(&neutron, &pod_subnets).await,
        binding: binding(&neutron, &pod_subnets, project.as_ref().ok()).await,
        security_groups: groups(&neutron, &settings.security_groups).await,
        service_subnets: service_subnets(&neutron, &settings.service_subnets).await,
        has_external_network: external(&neutron, settings.external_network.as_deref()).await,
        quota: match &project {
            Ok(project) => neutron.quotas(project).await.map(|quotas| quotas.port).map_err(unseen),
            Err(gap) => Err(gap.clone()),
        },
        pod_ports: match &project {
            Ok(project) => pod_ports(&neutron, project).await,
            Err(gap) => Err(gap.clone()),
        },
        servers: servers(&Nova::new(session.clone()), settings, cluster, &parents).await,
        parents,
        providers: providers(&Octavia::new(session)).await,
        pod_subnets,
    }
}

async fn extensions(neutron: &Neutron) -> Seen<BTreeSet<String>> {
    Ok(neutron.extensions().await.map_err(unseen)?.iter().map(ToOwned::to_owned).collect())
}

async fn subnets(neutron: &Neutron, ids: &[String]) -> Seen<Vec<Subnet>> {
    if ids.is_empty() {
        return Err(Gap::unknown("[neutron_defaults] pod_subnets is not set"));
    }
    let ids: Vec<SubnetId> = ids.iter().map(|id| id.as_str().into()).collect();
    let filter = SubnetFilter { ids: Some(ids.clone()), ..SubnetFilter::default() };
    let mut found = neutron.subnets(&filter).await.map_err(unseen)?;
    found.sort_by_key(|subnet| ids.iter().position(|id| *id == subnet.id));
    Ok(found)
}

async fn service_subnets(neutron: &Neutron, ids: &[String]) -> Seen<Vec<Subnet>> {
    if ids.is_empty() {
        return Err(Gap::skipped("[neutron_defaults] service_subnets is not set"));
    }
    subnets(neutron, ids).await
}

async fn external(neutron: &Neutron, id: Option<&str>) -> Seen<bool> {
    let Some(id) = id else { return Err(Gap::skipped("[neutron_defaults] external_svc_net is not set")) };
    match neutron.network(&id.into()).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == Kind::NotFound => Ok(false),
        Err(error) => Err(unseen(error)),
    }
}

async fn network(neutron: &Neutron, subnets: &Seen<Vec<Subnet>>) -> Seen<kuryr_openstack::neutron::Network> {
    neutron.network(&first(subnets)?.network_id).await.map_err(unseen)
}

async fn binding(
    neutron: &Neutron,
    subnets: &Seen<Vec<Subnet>>,
    project: Option<&ProjectId>,
) -> Seen<kuryr_openstack::neutron::Right> {
    neutron.may_bind_ports(&first(subnets)?.network_id, project).await.map_err(unseen)
}

fn first(subnets: &Seen<Vec<Subnet>>) -> Result<&Subnet, Gap> {
    known(subnets)?.first().ok_or_else(|| Gap::unknown("there is no subnet of pods"))
}

async fn groups(neutron: &Neutron, ids: &[String]) -> Seen<BTreeSet<String>> {
    if ids.is_empty() {
        return Err(Gap::unknown("[neutron_defaults] pod_security_groups is not set"));
    }
    let ids: Vec<SecurityGroupId> = ids.iter().map(|id| id.as_str().into()).collect();
    let filter = SecurityGroupFilter { ids: Some(ids), ..SecurityGroupFilter::default() };
    let found = neutron.security_groups(&filter).await.map_err(unseen)?;
    Ok(found.into_iter().map(|group| group.id.to_string()).collect())
}

async fn pod_ports(neutron: &Neutron, project: &ProjectId) -> Seen<u64> {
    let fields = &["id", "device_owner", "tags"];
    let filter = PortFilter { project: Some(project.clone()), fields, ..PortFilter::default() };
    let ports = neutron.ports(&filter).await.map_err(unseen)?;
    let count = ports.iter().filter(|port| is_of_a_pod(port)).count();
    Ok(u64::try_from(count).unwrap_or(u64::MAX))
}

/// Neutron names another owner of what is on a trunk, Nova of what it attaches. The Python Kuryr's have no tag.
fn is_of_a_pod(port: &Port) -> bool {
    [DEVICE_OWNER, SRIOV_OWNER, SUBPORT_OWNER].contains(&port.device_owner.as_str())
        || port.tags.iter().any(|tag| tag.starts_with(OWNERSHIP_TAG))
}

/// The ports that have addresses of nodes that are virtual machines.
async fn parents(neutron: &Neutron, settings: &Settings, cluster: &Cluster) -> Seen<Vec<Parent>> {
    let is_nested = |node: &&Node| node.driver(settings).is_some_and(Driver::is_nested);
    let nodes = known(&cluster.nodes)?.iter().filter(is_nested);
    let addresses: Vec<_> = nodes.flat_map(|node| node.addresses.iter().copied()).collect();
    let filter = PortFilter { addresses: Some(addresses), ..PortFilter::default() };
    let parent = |port: Port| Parent {
        addresses: port.fixed_ips.iter().map(|ip| ip.ip_address).collect(),
        subnets: port.fixed_ips.iter().map(|ip| ip.subnet_id.to_string()).collect(),
        has_trunk: port.trunk_details.is_some(),
        server: server_of(&port),
        network: port.network_id.clone(),
        id: port.id.to_string(),
    };
    Ok(neutron.ports(&filter).await.map_err(unseen)?.into_iter().map(parent).collect())
}

/// Those of the servers that Nova is to attach ports to that it shows.
async fn servers(
    nova: &Nova,
    settings: &Settings,
    cluster: &Cluster,
    parents: &Seen<Vec<Parent>>,
) -> Seen<Option<BTreeSet<ServerId>>> {
    let (nodes, parents) = (known(&cluster.nodes)?, known(parents)?);
    let attaching = nodes.iter().filter(|node| node.driver(settings) == Some(Driver::NestedDpdk));
    let wanted: BTreeSet<_> = attaching
        .flat_map(|node| node.ports(parents, settings))
        .filter_map(|port| port.server.as_ref())
        .collect();
    let mut shown = BTreeSet::new();
    for server in wanted {
        match nova.has_server(server).await {
            Ok(true) => drop(shown.insert(server.clone())),
            Ok(false) => {}
            Err(error) if error.kind() == Kind::NoEndpoint => return Ok(None),
            Err(error) => return Err(unseen(error)),
        }
    }
    Ok(Some(shown))
}

async fn providers(octavia: &Octavia) -> Seen<Option<BTreeSet<String>>> {
    match octavia.providers().await {
        Ok(providers) => Ok(Some(providers.into_iter().map(|provider| provider.name).collect())),
        Err(error) if error.kind() == Kind::NoEndpoint => Ok(None),
        Err(error) => Err(unseen(error)),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unseen(error: Error) -> Gap {
    Gap::unknown(error.chain())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::fake::session;
    use kuryr_openstack::neutron::NewPort;
    use kuryr_testkit::FakeCloud;

    fn node(address: &str, driver: &str) -> Node {
        Node {
            addresses: vec![address.parse().unwrap()],
            pod_vif: Some(driver.to_owned()),
            ..Node::default()
        }
    }

    #[tokio::test]
    async fn nova_is_asked_for_the_servers_that_it_is_to_attach_ports_to() {
        let cloud = FakeCloud::start().await.unwrap();
        let (neutron, nova) = (Neutron::new(session(&cloud)), Nova::new(session(&cloud)));
        let (settings, mut cluster) = (Settings::default(), Cluster::unseen(&Gap::unknown("not looked at")));
        let mut made = Vec::new();
        for driver in ["nested-dpdk", "nested-vlan"] {
            let network = cloud.neutron().id_of("k8s-pod-net").unwrap();
            let port = neutron.create_port(&NewPort::on(network.as_str().into())).await.unwrap();
            let server = ServerId::from(cloud.nova().boot("compute1", port.id.as_str()));
            made.push((node(&port.fixed_ips[0].ip_address.to_string(), driver), server));
        }
        cluster.nodes = Ok(made.iter().map(|(node, _)| node.clone()).collect());
        let found = parents(&neutron, &settings, &cluster).await;
        assert_eq!(known(&found).unwrap().iter().filter(|port| port.server.is_some()).count(), 2);
        let shown = servers(&nova, &settings, &cluster, &found).await;
        assert_eq!(shown.unwrap(), Some([made[0].1.clone()].into()));
        cloud.keystone().set_endpoints(vec![("network", cloud.neutron_url())]);
        let without = Nova::new(session(&cloud));
        assert_eq!(servers(&without, &settings, &cluster, &found).await.unwrap(), None);
    }

    #[tokio::test]
    async fn ports_of_pods_are_counted_however_they_get_to_their_nodes() {
        let cloud = FakeCloud::start().await.unwrap();
        let neutron = Neutron::new(session(&cloud));
        let network = cloud.neutron().id_of("k8s-pod-net").unwrap();
        for (owner, tag, is_of_a_pod) in [
            ("compute:kuryr", "kuryr-cluster=1", true),
            ("compute:kuryr", "", true),
            ("compute:kuryr:sriov", "", true),
            ("trunk:subport", "", true),
            ("compute:az1", "kuryr-cluster=1", true),
            ("", "kuryr-cluster=1", true),
            ("compute:az1", "", false),
            ("network:dhcp", "somebody's", false),
        ] {
            let before = pod_ports(&neutron, &FakeCloud::PROJECT_ID.into()).await.unwrap();
            let tags = Some(tag.to_owned()).filter(|tag| !tag.is_empty()).into_iter().collect();
            let new = NewPort { device_owner: owner.into(), tags, ..NewPort::on(network.as_str().into()) };
            neutron.create_port(&new).await.unwrap();
            let after = pod_ports(&neutron, &FakeCloud::PROJECT_ID.into()).await.unwrap();
            assert_eq!(after - before, u64::from(is_of_a_pod), "{owner} {tag}");
        }
    }
}
