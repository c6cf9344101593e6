//! What we expect of Keystone, Neutron and Octavia, asked of any cloud: the fake must pass what the real one passes.
//!
//! Every function makes its own ports, tells them from others' by a `device_id` of its own, and removes them.
#![allow(clippy::unwrap_used)]

mod address_group;
mod floating_ip;
mod monitor;
mod octavia;
mod pairs;
mod refusals;
mod security_group;
mod trunk;

pub use address_group::{
    an_address_group_lives_and_dies, through_faults_an_address_group_has_what_it_should,
    what_stands_in_an_address_groups_way_is_told,
};
pub use floating_ip::{
    a_floating_ip_leads_where_it_is_told, through_faults_a_floating_ip_is_made_once,
    what_stands_in_a_floating_ips_way_is_told,
};
pub use monitor::a_pool_is_watched;
pub use octavia::a_load_balancer_lives_and_dies;
pub use pairs::{
    address_pairs_are_changed_by_one_at_a_time, ports_are_found_by_what_they_lack,
    what_address_pairs_a_port_does_not_take,
};
pub use refusals::{a_pool_survives_changes_of_its_affinity, what_stands_in_a_load_balancers_way_is_told};
pub use security_group::{
    a_port_changes_its_security_groups, a_rule_is_made_once, a_security_group_lives_and_dies,
    security_groups_have_quotas, through_faults_a_security_group_is_made_once,
    what_stands_in_a_security_groups_way_is_told,
};
pub use trunk::{
    a_parent_is_found_by_its_address, a_port_is_found_by_its_description,
    a_trunk_carries_ports_by_vlan_ids_and_gives_them_back, a_trunk_that_is_disabled_says_so,
    what_a_trunk_does_not_take,
};

use kuryr_api::cloud::{Auth, Credential, Domain, Project, Scope, Secret, User};
use kuryr_api::ids::{NetworkId, PortId, ProjectId, SecurityGroupId, SubnetId};
use kuryr_openstack::{
    Call, Class, Effect, Kind, Neutron, Octavia, Service, Session, Settings,
    neutron::{
        Bulk, Deleted, FixedIpRequest, Joining, NetworkFilter, NewPort, Port, PortFilter, PortStatus,
        PortUpdate, Right, SecurityGroupFilter, SubnetFilter,
    },
};
use kuryr_testkit::proxy::{Faulty, Plan};
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

/// Where a cloud is, and what is there.
pub struct Cloud {
    pub auth_url: String,
    pub user: String,
    pub password: String,
    pub project: String,
    pub project_id: ProjectId,
    pub domain: String,
    pub network: NetworkId,
    pub network_name: String,
    pub subnet_v4: SubnetId,
    pub subnet_v6: SubnetId,
    pub group: SecurityGroupId,
    pub group_name: String,
    /// A network of floating IPs, which a router connects the pod network to.
    pub external: NetworkId,
    pub external_subnet: SubnetId,
    /// Neutron's address, for a proxy to stand before.
    pub neutron_url: String,
    /// A host that ports can be bound to.
    pub host: String,
}

const OWNER: &str = "compute:kuryr";
const NOWHERE: &str = "11111111-1111-1111-1111-111111111111";

impl Cloud {
    pub fn scope(&self) -> Scope {
        Scope::Project(Project::Name(self.project.clone(), Domain::Name(self.domain.clone())))
    }

    pub fn auth(&self) -> Auth {
        let user = User::Name(self.user.clone(), Domain::Name(self.domain.clone()));
        Auth::Password { user, password: Secret::new(self.password.as_str()), scope: self.scope() }
    }

    pub fn session(&self, auth: Auth) -> Session {
        install_provider();
        Session::open(Settings::new(&self.auth_url, auth)).unwrap()
    }

    pub fn neutron(&self) -> Neutron {
        Neutron::new(self.session(self.auth()))
    }

    fn new_port(&self, device: &str) -> NewPort {
        NewPort {
            device_id: device.into(),
            device_owner: OWNER.into(),
            security_groups: Some(vec![self.group.clone()]),
            fixed_ips: vec![FixedIpRequest::any(self.subnet_v4.clone())],
            ..NewPort::on(self.network.clone())
        }
    }
}

/// The ports of one test: told by their devices, and removed at the end whatever happened.
struct Mine {
    neutron: Neutron,
    devices: Vec<String>,
}

impl Mine {
    fn new(cloud: &Cloud, devices: usize) -> Self {
        Self { neutron: cloud.neutron(), devices: (0..devices).map(|_| unique()).collect() }
    }

    fn filter(&self) -> PortFilter {
        PortFilter { device_ids: Some(self.devices.clone()), ..PortFilter::default() }
    }

    async fn list(&self) -> Vec<Port> {
        self.neutron.ports(&self.filter()).await.unwrap()
    }

    async fn remove(self) {
        for port in self.list().await {
            assert_eq!(self.neutron.delete_port(&port.id).await.unwrap(), Deleted::Now);
        }
        assert_eq!(self.list().await, []);
    }
}

/// A client whose every third request meets a fault.
async fn troubled(cloud: &Cloud, seed: u64) -> (Neutron, Faulty) {
    let plan = Plan { delay: Duration::from_millis(50), ..Plan::evenly(30, seed) };
    let proxy = Faulty::start(&cloud.neutron_url, plan).await.unwrap();
    let mut settings = Settings::new(&cloud.auth_url, cloud.auth());
    settings.endpoints.overrides.insert(Service::Network, proxy.url());
    install_provider();
    (Neutron::new(Session::open(settings).unwrap()), proxy)
}

/// A process has one provider; the first test installs it.
pub fn install_provider() {
    drop(rustls::crypto::ring::default_provider().install_default());
}

fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("contract-{time:x}-{number}")
}

pub async fn signs_in_with_a_password(cloud: &Cloud) {
    let session = cloud.session(cloud.auth());
    assert_eq!(session.project().await.unwrap().as_ref(), Some(&cloud.project_id));
    session.check().await.unwrap();
}

pub async fn refuses_a_wrong_password(cloud: &Cloud) {
    let user = User::Name(cloud.user.clone(), Domain::Name(cloud.domain.clone()));
    let auth = Auth::Password { user, password: Secret::new("not this one"), scope: cloud.scope() };
    let error = cloud.session(auth).check().await.unwrap_err();
    assert_eq!((error.kind(), error.class()), (Kind::Unauthorized, Class::Wait));
    assert_eq!(error.refusal().unwrap().message, "The request you have made requires authentication.");
}

pub async fn signs_in_with_an_application_credential(cloud: &Cloud) {
    let admin = cloud.session(cloud.auth());
    let users =
        Call::new(Service::Identity, Method::GET, "/users", "/users".into()).query("name", &cloud.user);
    let users: Value = admin.call(&users).await.unwrap().json().unwrap();
    let user = users["users"][0]["id"].as_str().unwrap();
    let path = format!("/users/{user}/application_credentials");
    let body = json!({ "application_credential": { "name": unique(), "secret": "s3cret" } });
    let create =
        Call::new(Service::Identity, Method::POST, "/users/{id}/application_credentials", path.clone());
    let made: Value = admin.call(&create.json(&body).unwrap()).await.unwrap().json().unwrap();
    let id = made["application_credential"]["id"].as_str().unwrap();

    let with = |id: &str, secret: &str| Auth::ApplicationCredential {
        credential: Credential::Id(id.into()),
        secret: Secret::new(secret),
    };
    let session = cloud.session(with(id, "s3cret"));
    assert_eq!(session.project().await.unwrap().as_ref(), Some(&cloud.project_id));
    Neutron::new(session).network(&cloud.network).await.unwrap();
    for (id, secret) in [(id, "wrong"), ("unknown", "s3cret")] {
        let error = cloud.session(with(id, secret)).check().await.unwrap_err();
        assert_eq!((error.kind(), error.class()), (Kind::Unauthorized, Class::Wait), "{}", error.chain());
    }

    let delete = Call::new(Service::Identity, Method::DELETE, "/users/{id}/…", format!("{path}/{id}"));
    admin.call(&delete).await.unwrap();
}

pub async fn signs_in_with_a_token(cloud: &Cloud) {
    let body = json!({ "auth": {
        "identity": { "methods": ["password"], "password": { "user": {
            "name": cloud.user, "domain": { "name": cloud.domain }, "password": cloud.password } } },
        "scope": { "project": { "name": cloud.project, "domain": { "name": cloud.domain } } } } });
    install_provider();
    let url = format!("{}/auth/tokens", cloud.auth_url);
    let answer = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
    let token = answer.headers()["x-subject-token"].to_str().unwrap().to_owned();
    let session = cloud.session(Auth::Token { token: Secret::new(token.as_str()), scope: cloud.scope() });
    assert_eq!(session.project().await.unwrap().as_ref(), Some(&cloud.project_id));
    Neutron::new(session).network(&cloud.network).await.unwrap();
}

pub async fn shows_networks_subnets_and_groups(cloud: &Cloud) {
    let neutron = cloud.neutron();
    let network = neutron.network(&cloud.network).await.unwrap();
    assert_eq!(network.name, cloud.network_name);
    assert!(network.subnets.contains(&cloud.subnet_v4) && network.subnets.contains(&cloud.subnet_v6));
    assert!(network.mtu >= 1280);
    let by_name = NetworkFilter { name: Some(cloud.network_name.clone()), ..NetworkFilter::default() };
    assert_eq!(neutron.networks(&by_name).await.unwrap(), [network]);

    let (v4, v6) =
        (neutron.subnet(&cloud.subnet_v4).await.unwrap(), neutron.subnet(&cloud.subnet_v6).await.unwrap());
    assert_eq!((v4.ip_version, v6.ip_version), (4, 6));
    assert!(v4.cidr.contains('/') && v4.gateway_ip.is_some_and(|gateway| gateway.is_ipv4()));
    let ids = vec![cloud.subnet_v4.clone(), cloud.subnet_v6.clone()];
    let both =
        SubnetFilter { ids: Some(ids), network: Some(cloud.network.clone()), ..SubnetFilter::default() };
    assert_eq!(neutron.subnets(&both).await.unwrap().len(), 2);

    let group = neutron.security_group(&cloud.group).await.unwrap();
    assert_eq!(group.name, cloud.group_name);
    let by_name = SecurityGroupFilter {
        name: Some(cloud.group_name.clone()),
        project: Some(cloud.project_id.clone()),
        ..SecurityGroupFilter::default()
    };
    assert_eq!(neutron.security_groups(&by_name).await.unwrap(), [group]);
}

/// Of both subnets together.
async fn used_addresses(cloud: &Cloud) -> f64 {
    let subnets = cloud.neutron().subnet_availability(&cloud.network).await.unwrap();
    assert_eq!(subnets.len(), 2, "{subnets:?}");
    for subnet in &subnets {
        assert!(!subnet.subnet_name.is_empty() && subnet.free() > 100.0, "{subnet:?}");
    }
    subnets.iter().map(|subnet| subnet.used_ips).sum()
}

pub async fn tells_what_does_not_exist(cloud: &Cloud) {
    let neutron = cloud.neutron();
    let errors = [
        (neutron.network(&NOWHERE.into()).await.unwrap_err(), "NetworkNotFound"),
        (neutron.subnet(&NOWHERE.into()).await.unwrap_err(), "SubnetNotFound"),
        (neutron.security_group(&NOWHERE.into()).await.unwrap_err(), "SecurityGroupNotFound"),
        (neutron.port(&NOWHERE.into()).await.unwrap_err(), "PortNotFound"),
    ];
    for (error, name) in errors {
        assert_eq!(
            (error.kind(), error.class(), error.effect()),
            (Kind::NotFound, Class::Permanent, Effect::None)
        );
        let refusal = error.refusal().unwrap();
        assert_eq!(refusal.neutron_type.as_deref(), Some(name));
        assert!(refusal.message.contains(NOWHERE), "{}", refusal.message);
        assert!(error.request_id().unwrap().starts_with("req-"));
    }
    assert_eq!(neutron.delete_port(&NOWHERE.into()).await.unwrap(), Deleted::Before);
}

pub async fn knows_its_extensions(cloud: &Cloud) {
    let neutron = cloud.neutron();
    let extensions = neutron.extensions().await.unwrap();
    assert!(extensions.has("standard-attr-tag") && extensions.has("binding"));
    assert!(extensions.tags_new_ports() && extensions.address_groups());
    assert!(!extensions.has("no-such-extension"));
}

pub async fn lists_providers_of_load_balancers(cloud: &Cloud) {
    let octavia = Octavia::new(cloud.session(cloud.auth()));
    let providers = octavia.providers().await.unwrap();
    assert!(providers.iter().any(|provider| provider.name == "ovn"), "{providers:?}");
}

pub async fn a_right_is_found_out_and_nothing_is_left(cloud: &Cloud) {
    let neutron = cloud.neutron();
    let right = neutron.may_bind_ports(&cloud.network, Some(&cloud.project_id)).await.unwrap();
    assert_eq!(right, Right::Granted);
    let asked = PortFilter { host: Some("kuryr-asks-for-rights".into()), ..PortFilter::default() };
    assert_eq!(neutron.ports(&asked).await.unwrap(), []);
    let nowhere = neutron.may_bind_ports(&NOWHERE.into(), None).await.unwrap_err();
    assert_eq!(nowhere.kind(), Kind::NotFound, "a network that is not there says nothing of rights");
}

pub async fn makes_changes_and_deletes_a_port(cloud: &Cloud) {
    let mine = Mine::new(cloud, 1);
    let (neutron, device) = (&mine.neutron, &mine.devices[0]);
    let wanted = NewPort {
        name: "contract".into(),
        project_id: Some(cloud.project_id.clone()),
        fixed_ips: vec![
            FixedIpRequest::any(cloud.subnet_v4.clone()),
            FixedIpRequest::any(cloud.subnet_v6.clone()),
        ],
        host: Some(cloud.host.clone()),
        tags: vec!["one".into(), "two".into()],
        ..cloud.new_port(device)
    };
    let before = used_addresses(cloud).await;
    let made = neutron.create_port(&wanted).await.unwrap();
    assert!(wanted.describes(&made), "{made:?}");
    assert!(used_addresses(cloud).await >= before + 2.0, "no address of the port is told to be in use");
    assert_eq!((made.name.as_str(), made.device_owner.as_str()), ("contract", OWNER));
    assert_eq!(made.project_id.as_ref(), Some(&cloud.project_id));
    assert_eq!(made.security_groups, std::slice::from_ref(&cloud.group));
    assert_eq!((made.status.clone(), made.admin_state_up), (PortStatus::Down, true));
    assert_eq!((made.host.as_str(), made.vif_type.as_str()), (cloud.host.as_str(), "ovs"));
    assert!(made.bound_by_ovn() && !made.binding_failed());
    assert_eq!(made.vif_details["bridge_name"], "br-int");
    assert_eq!(made.mac_address.len(), 17);
    assert!(made.created_at.is_some());
    let mut tags = made.tags.clone();
    tags.sort_unstable();
    assert_eq!(tags, ["one", "two"]);

    let seen = neutron.port(&made.id).await.unwrap();
    assert_eq!(
        (&seen.fixed_ips, &seen.mac_address, &seen.tags),
        (&made.fixed_ips, &made.mac_address, &made.tags)
    );

    let update = PortUpdate { name: Some("changed".into()), ..PortUpdate::default() };
    let stale = neutron.update_port_at(&made.id, &update, 0).await.unwrap_err();
    assert_eq!((stale.kind(), stale.class()), (Kind::Stale, Class::Retry));
    let changed = neutron.update_port_at(&made.id, &update, seen.revision_number).await.unwrap();
    assert_eq!(changed.name, "changed");
    assert!(changed.revision_number > seen.revision_number);
    let unbind = PortUpdate { host: Some(String::new()), ..PortUpdate::default() };
    assert_eq!(neutron.update_port(&made.id, &unbind).await.unwrap().vif_type, "unbound");

    neutron.set_port_tags(&made.id, &["three".into()]).await.unwrap();
    assert_eq!(neutron.port(&made.id).await.unwrap().tags, ["three"]);

    assert_eq!(neutron.delete_port(&made.id).await.unwrap(), Deleted::Now);
    assert_eq!(neutron.delete_port(&made.id).await.unwrap(), Deleted::Before);
    mine.remove().await;
}

pub async fn lists_ports_by_what_they_are(cloud: &Cloud) {
    let mine = Mine::new(cloud, 3);
    let tag = unique();
    let wanted: Vec<_> = mine
        .devices
        .iter()
        .map(|device| NewPort { tags: vec![tag.clone(), device.clone()], ..cloud.new_port(device) })
        .collect();
    let made = mine.neutron.create_ports(&wanted.iter().collect::<Vec<_>>()).await.unwrap();
    let id_of = |at: usize| made.iter().find(|port| port.device_id == mine.devices[at]).unwrap().id.clone();
    let find = async |filter: PortFilter| {
        let found = mine.neutron.ports(&filter).await.unwrap();
        let mut ids: Vec<PortId> = found.into_iter().map(|port| port.id).collect();
        ids.sort_unstable();
        ids
    };
    let mut all: Vec<_> = made.iter().map(|port| port.id.clone()).collect();
    all.sort_unstable();

    let none = PortFilter::default;
    assert_eq!(find(mine.filter()).await, all);
    assert_eq!(find(PortFilter { tags: vec![tag.clone()], ..none() }).await, all);
    assert_eq!(
        find(PortFilter { tags: vec![tag.clone(), mine.devices[1].clone()], ..none() }).await,
        [id_of(1)]
    );
    assert_eq!(find(PortFilter { ids: Some(vec![id_of(0), NOWHERE.into()]), ..none() }).await, [id_of(0)]);
    assert_eq!(find(PortFilter { ids: Some(vec![]), ..none() }).await, []);
    assert_eq!(find(PortFilter { network: Some(NOWHERE.into()), ..mine.filter() }).await, []);
    assert_eq!(find(PortFilter { project: Some(cloud.project_id.clone()), ..mine.filter() }).await, all);
    assert_eq!(find(PortFilter { device_owner: Some(OWNER.into()), ..mine.filter() }).await, all);
    assert_eq!(find(PortFilter { device_owner: Some("nova".into()), ..mine.filter() }).await, []);
    assert_eq!(find(PortFilter { status: Some(PortStatus::Down), ..mine.filter() }).await, all);
    assert_eq!(find(PortFilter { status: Some(PortStatus::Active), ..mine.filter() }).await, []);
    assert_eq!(find(PortFilter { host: Some("elsewhere".into()), ..mine.filter() }).await, []);

    let brief = PortFilter { fields: &["status", "device_id"], ..mine.filter() };
    for port in mine.neutron.ports(&brief).await.unwrap() {
        assert!(mine.devices.contains(&port.device_id));
        assert_eq!((port.mac_address.as_str(), port.fixed_ips.len()), ("", 0), "only what was asked for");
    }
    mine.remove().await;
}

pub async fn lists_page_by_page(cloud: &Cloud) {
    let mine = Mine::new(cloud, 4);
    let wanted: Vec<_> = mine.devices.iter().map(|device| cloud.new_port(device)).collect();
    mine.neutron.create_ports(&wanted.iter().collect::<Vec<_>>()).await.unwrap();
    let whole: Vec<_> = mine.list().await.into_iter().map(|port| port.id).collect();
    assert_eq!(whole.len(), 4);
    for size in [1, 2, 3, 4, 5] {
        let mut paged: Vec<_> = mine
            .neutron
            .clone()
            .with_page(size)
            .ports(&mine.filter())
            .await
            .unwrap()
            .into_iter()
            .map(|p| p.id)
            .collect();
        let mut whole = whole.clone();
        paged.sort_unstable();
        whole.sort_unstable();
        assert_eq!(paged, whole, "pages of {size}");
    }
    mine.remove().await;
}

pub async fn tells_when_a_host_is_unknown(cloud: &Cloud) {
    let mine = Mine::new(cloud, 1);
    let wanted = NewPort { host: Some("no-such-host".into()), ..cloud.new_port(&mine.devices[0]) };
    let made = mine.neutron.create_port(&wanted).await.unwrap();
    assert!(made.binding_failed() && !made.bound_by_ovn());
    mine.remove().await;
}

/// OVN binds no port as a virtual function, and neither the lab's hosts nor the fake's first have the agent that would.
pub async fn a_port_for_a_virtual_function_is_not_bound_without_its_agent(cloud: &Cloud) {
    let mine = Mine::new(cloud, 1);
    let wanted = NewPort {
        device_owner: "compute:kuryr:sriov".into(),
        host: Some(cloud.host.clone()),
        vnic_type: Some("direct"),
        ..cloud.new_port(&mine.devices[0])
    };
    let made = mine.neutron.create_port(&wanted).await.unwrap();
    assert!(made.binding_failed() && wanted.describes(&made), "{made:?}");
    assert_eq!((made.vnic_type.as_str(), made.host == cloud.host), ("direct", true));
    mine.remove().await;
}

pub async fn a_bulk_is_all_or_nothing(cloud: &Cloud) {
    let mine = Mine::new(cloud, 2);
    let good = cloud.new_port(&mine.devices[0]);
    let bad = NewPort { security_groups: Some(vec![NOWHERE.into()]), ..cloud.new_port(&mine.devices[1]) };
    let error = mine.neutron.create_ports(&[&good, &bad]).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (Kind::NotFound, Effect::None), "{}", error.chain());
    assert_eq!(mine.list().await, []);
    mine.remove().await;
}

pub async fn each_request_of_a_bulk_has_its_own_result(cloud: &Cloud) {
    let mine = Mine::new(cloud, 7);
    let port = |at: usize| cloud.new_port(&mine.devices[at]);
    let with_address = |at: usize, address: &str| {
        let fixed_ip =
            FixedIpRequest { subnet_id: cloud.subnet_v4.clone(), ip_address: Some(address.parse().unwrap()) };
        NewPort { fixed_ips: vec![fixed_ip], ..port(at) }
    };
    let free = mine.neutron.create_port(&port(0)).await.unwrap().fixed_ips[0].ip_address;
    let wanted = [
        port(1),
        with_address(2, &free.to_string()),
        NewPort { security_groups: Some(vec![NOWHERE.into()]), ..port(3) },
        port(4),
        with_address(5, "192.0.2.1"),
        NewPort { tags: vec!["tagged".into()], ..port(6) },
    ];
    let made = mine.neutron.make_ports(&wanted).await;
    let kinds: Vec<_> =
        made.iter().map(|made| made.as_ref().err().map(kuryr_openstack::Error::kind)).collect();
    assert_eq!(
        kinds,
        [None, Some(Kind::Conflict), Some(Kind::NotFound), None, Some(Kind::Invalid), None],
        "{made:?}"
    );
    for (wanted, made) in wanted.iter().zip(&made) {
        assert!(
            made.as_ref().map_or(true, |made| wanted.describes(made)),
            "everyone has the port that was asked for"
        );
    }
    assert_eq!(made[5].as_ref().unwrap().tags, ["tagged"]);
    assert_eq!(mine.list().await.len(), 4, "and there are no others");
    mine.remove().await;
}

pub async fn of_many_as_many_as_the_quota_allows_are_made(cloud: &Cloud) {
    let mine = Mine::new(cloud, 5);
    let project: ProjectId = floating_ip::nobody().into();
    let call = |method, body: Option<Value>| {
        let call = Call::new(Service::Network, method, "/quotas/{id}", format!("/quotas/{project}"));
        body.map_or_else(|| call.clone(), |body| call.clone().json(&body).unwrap())
    };
    let session = mine.neutron.session();
    session.call(&call(Method::PUT, Some(json!({ "quota": { "port": 3 } })))).await.unwrap();

    // In a group of nobody's, so that no default one has to be made.
    let port = |device: &String| NewPort { project_id: Some(project.clone()), ..cloud.new_port(device) };
    let wanted: Vec<_> = mine.devices.iter().map(port).collect();
    let made = mine.neutron.make_ports(&wanted).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 3, "{made:?}");
    for error in made.iter().filter_map(|made| made.as_ref().err()) {
        assert_eq!(
            (error.kind(), error.class(), error.effect()),
            (Kind::OverQuota, Class::Wait, Effect::None)
        );
    }
    let quotas = mine.neutron.quotas(&project).await.unwrap();
    assert_eq!((quotas.port.limit, quotas.port.used, quotas.port.free()), (3, 3, Some(0)));
    assert_eq!(quotas.network.free(), None);

    let neutron = mine.neutron.clone();
    mine.remove().await;
    neutron.session().call(&call(Method::DELETE, None)).await.unwrap();
    let of_project = SecurityGroupFilter { project: Some(project), ..SecurityGroupFilter::default() };
    for group in neutron.security_groups(&of_project).await.unwrap() {
        neutron.delete_security_group(&group.id).await.unwrap();
    }
}

pub async fn creates_of_one_moment_are_joined(cloud: &Cloud) {
    let mine = Mine::new(cloud, 6);
    let joining = Joining { window: Duration::from_millis(30), ..Joining::default() };
    let bulk = Bulk::start(mine.neutron.clone(), joining);
    let creates = mine.devices.iter().map(|device| bulk.create(cloud.new_port(device)));
    let made = futures::future::join_all(creates).await;
    for (device, made) in mine.devices.iter().zip(made) {
        assert_eq!(made.unwrap().device_id, *device);
    }
    assert_eq!(mine.list().await.len(), 6);
    mine.remove().await;
}

/// What a controller does with a create that fails: it looks, and asks again.
async fn until_made(neutron: &Neutron, bulk: &Bulk, wanted: NewPort) -> Port {
    let filter = PortFilter { device_ids: Some(vec![wanted.device_id.clone()]), ..PortFilter::default() };
    loop {
        match bulk.create(wanted.clone()).await {
            Ok(port) => return port,
            Err(error) => assert_eq!(error.class(), Class::Retry, "{}", error.chain()),
        }
        if let Some(port) = neutron.ports(&filter).await.ok().and_then(|mut found| found.pop()) {
            return port;
        }
    }
}

pub async fn through_faults_everyone_gets_one_port(cloud: &Cloud) {
    let mine = Mine::new(cloud, 12);
    let (neutron, proxy) = troubled(cloud, 11).await;
    let bulk = Bulk::start(neutron.clone(), Joining { most: 3, in_flight: 2, ..Joining::default() });

    let made = mine.devices.iter().map(|device| until_made(&neutron, &bulk, cloud.new_port(device)));
    let mut made: Vec<_> = futures::future::join_all(made).await.into_iter().map(|port| port.id).collect();
    let mut there: Vec<_> = mine.list().await.into_iter().map(|port| port.id).collect();
    made.sort_unstable();
    there.sort_unstable();
    assert_eq!(made, there);
    assert_eq!(made.len(), 12);

    for port in &made {
        while let Err(error) = neutron.delete_port(port).await {
            assert_eq!(error.class(), Class::Retry, "{}", error.chain());
        }
    }
    assert!(proxy.done().values().sum::<u64>() > 3, "{:?}", proxy.done());
    mine.remove().await;
}

/// One test for each part of the contract, on the cloud that `$cloud` gives.
#[macro_export]
macro_rules! contract {
    ($cloud:expr) => {
        $crate::contract!($cloud;
            signs_in_with_a_password,
            refuses_a_wrong_password,
            signs_in_with_an_application_credential,
            signs_in_with_a_token,
            shows_networks_subnets_and_groups,
            tells_what_does_not_exist,
            knows_its_extensions,
            lists_providers_of_load_balancers,
            a_load_balancer_lives_and_dies,
            a_pool_is_watched,
            a_pool_survives_changes_of_its_affinity,
            what_stands_in_a_load_balancers_way_is_told,
            a_floating_ip_leads_where_it_is_told,
            what_stands_in_a_floating_ips_way_is_told,
            through_faults_a_floating_ip_is_made_once,
            a_security_group_lives_and_dies,
            a_rule_is_made_once,
            what_stands_in_a_security_groups_way_is_told,
            a_port_changes_its_security_groups,
            security_groups_have_quotas,
            through_faults_a_security_group_is_made_once,
            an_address_group_lives_and_dies,
            what_stands_in_an_address_groups_way_is_told,
            through_faults_an_address_group_has_what_it_should,
            a_right_is_found_out_and_nothing_is_left,
            makes_changes_and_deletes_a_port,
            lists_ports_by_what_they_are,
            lists_page_by_page,
            tells_when_a_host_is_unknown,
            a_port_for_a_virtual_function_is_not_bound_without_its_agent,
            a_bulk_is_all_or_nothing,
            each_request_of_a_bulk_has_its_own_result,
            of_many_as_many_as_the_quota_allows_are_made,
            creates_of_one_moment_are_joined,
            a_trunk_carries_ports_by_vlan_ids_and_gives_them_back,
            what_a_trunk_does_not_take,
            a_trunk_that_is_disabled_says_so,
            a_parent_is_found_by_its_address,
            a_port_is_found_by_its_description,
            address_pairs_are_changed_by_one_at_a_time,
            what_address_pairs_a_port_does_not_take,
            ports_are_found_by_what_they_lack,
            through_faults_everyone_gets_one_port,
        );
    };
    ($cloud:expr; $($name:ident),+ $(,)?) => {$(
        #[tokio::test]
        async fn $name() {
            let (cloud, _running) = $cloud.await;
            contract::$name(&cloud).await;
        }
    )+};
}
