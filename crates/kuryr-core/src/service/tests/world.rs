//! Kubernetes, our record and Octavia, as far as the planner sees them.

use super::super::*;
use kuryr_api::load_balancer::{KuryrLoadBalancerSpec, KuryrLoadBalancerStatus};
use kuryr_api::{LoadBalancerId, PoolId};
use proptest::sample::Index;
use std::collections::BTreeMap;

/// More looks than any change needs.
const LOOKS: usize = 60;

pub struct World {
    pub name: &'static str,
    pub service: Option<Service>,
    pub slices: Vec<Slice>,
    pub record: Option<(KuryrLoadBalancerSpec, KuryrLoadBalancerStatus)>,
    pub deleting: bool,
    pub balancers: BTreeMap<LoadBalancerId, Balancer>,
    pub addresses: BTreeMap<FloatingIpId, Address>,
    pub site: Site,
    pub guards: Guards,
    /// Calls of Octavia so far.
    pub calls: usize,
    /// Writes of the record so far.
    pub writes: usize,
}

impl Default for World {
    fn default() -> Self {
        Self {
            name: "ns/svc",
            service: None,
            slices: Vec::new(),
            record: None,
            deleting: false,
            balancers: BTreeMap::new(),
            addresses: BTreeMap::new(),
            site: site(),
            guards: Guards::new(),
            calls: 0,
            writes: 0,
        }
    }
}

pub fn site() -> Site {
    Site {
        service_subnets: vec![
            ("services".into(), "10.96.0.0/16".parse().unwrap()),
            ("services6".into(), "fd00:96::/64".parse().unwrap()),
        ],
        member_subnets: vec![("pods".into(), "10.1.0.0/16".parse().unwrap())],
        provider: Some("ovn".to_owned()),
        algorithm: "SOURCE_IP_PORT".to_owned(),
        member_mode: MemberMode::L3,
        project: "project".into(),
        tags: vec!["kuryr-cluster=1".to_owned()],
        timeouts: Timeouts::default(),
        security_groups: Vec::new(),
        without_class: WithoutClass::Ours,
        external: Some(External { network: "public".into(), subnet: None }),
    }
}

pub fn protocol(index: u8) -> Protocol {
    [Protocol::Tcp, Protocol::Udp, Protocol::Sctp][usize::from(index)]
}

pub fn port(name: &str, index: u8, number: u16) -> ServicePort {
    ServicePort {
        name: name.to_owned(),
        front: Front::new(protocol(index), number),
        target: "8080".to_owned(),
    }
}

pub fn endpoint(last: u8, is_v6: bool, state: EndpointState) -> Endpoint {
    let address = if is_v6 { format!("fd00:1::{last}") } else { format!("10.1.0.{last}") };
    Endpoint { address: address.parse().unwrap(), state, pod: Some(format!("pod-{last}").into()) }
}

pub fn slice(name: &str, index: u8, endpoints: Vec<Endpoint>) -> Slice {
    let ports = vec![SlicePort { name: name.to_owned(), protocol: protocol(index), port: Some(8080) }];
    Slice { ports, endpoints }
}

impl World {
    /// One TCP port, two ready endpoints.
    pub fn served() -> Self {
        let service = Service {
            cluster_ips: vec!["10.96.0.7".parse().unwrap()],
            ports: vec![port("", 0, 80)],
            ..Service::default()
        };
        let endpoints = [1, 2].map(|last| endpoint(last, false, EndpointState::Ready)).into();
        Self { service: Some(service), slices: vec![slice("", 0, endpoints)], ..Self::default() }
    }

    pub fn plan(&self) -> Vec<Action> {
        let balancers: Vec<_> = self.balancers.values().cloned().map(Arc::new).collect();
        let addresses: Vec<_> = self.addresses.values().cloned().collect();
        let record = self.record.as_ref();
        plan(&Observed {
            name: self.name,
            service: self.service.as_ref(),
            slices: &self.slices,
            record: record.map(|(spec, status)| Record {
                deleting: self.deleting,
                spec,
                status: Some(status),
            }),
            balancers: &balancers,
            addresses: &addresses,
            site: &self.site,
            guards: Some(&self.guards),
        })
    }

    /// The Service is another one now, or ends as Kubernetes lets it: once nobody holds it.
    pub fn replace(&mut self, new: Option<Service>) {
        let old = self.service.take();
        self.service = match (old, new) {
            (Some(old), Some(new)) => Some(Service { is_held: old.is_held, ingress: old.ingress, ..new }),
            (Some(old), None) => {
                self.service = Some(Service { deleting: true, ..old });
                self.settle();
                assert!(!self.service.take().unwrap().is_held);
                None
            }
            (None, new) => new,
        };
    }

    /// Applies plans until one is empty but for news.
    pub fn settle(&mut self) {
        for _ in 0..LOOKS {
            let actions: Vec<_> =
                self.plan().into_iter().filter(|action| !matches!(action, Action::Tell(_))).collect();
            if actions.is_empty() {
                return;
            }
            actions.into_iter().for_each(|action| self.apply(action));
        }
        panic!("the plan does not come to rest: {:?}", self.plan());
    }

    fn apply(&mut self, action: Action) {
        match action {
            Action::CreateRecord(content) | Action::UpdateRecord(content) => {
                self.writes += 1;
                self.record = Some((content.spec, content.status));
            }
            Action::DeleteRecord => self.deleting = true,
            Action::ReleaseRecord => {
                assert!(self.deleting, "a record is released that nobody deleted");
                (self.record, self.deleting) = (None, false);
            }
            Action::Call(call) => {
                self.calls += 1;
                self.call(call);
            }
            Action::Address(call) => {
                self.calls += 1;
                self.call_address(call);
            }
            Action::SetIngress(ingress) => {
                self.writes += 1;
                self.service.as_mut().unwrap().ingress = ingress;
            }
            Action::Await(ids) => self.wait(&ids),
            Action::HoldService => self.hold(true),
            Action::ReleaseService => self.hold(false),
            Action::Tell(_) => {}
        }
    }

    /// A floating IP leads nowhere once its port is gone with the load balancer.
    fn wait(&mut self, ids: &[LoadBalancerId]) {
        self.balancers.retain(|id, one| {
            let is_over = ids.contains(id) && one.state == State::Deleting;
            if ids.contains(id) && matches!(one.state, State::Pending | State::Overdue) {
                one.state = State::Active;
            }
            !is_over
        });
        let ports: Vec<_> = self.balancers.values().filter_map(|one| one.port.clone()).collect();
        for address in self.addresses.values_mut() {
            address.port.take_if(|port| port.as_str().starts_with("vip-of-") && !ports.contains(port));
        }
    }

    fn hold(&mut self, hold: bool) {
        let service = self.service.as_mut().unwrap();
        assert_ne!(service.is_held, hold);
        assert!(hold || (self.balancers.is_empty() && self.record.is_none()), "released too early");
        service.is_held = hold;
    }

    fn call_address(&mut self, call: AddressCall) {
        match call {
            AddressCall::Make(new) => {
                let id = FloatingIpId::from(format!("address-{}", self.calls));
                let made = u8::try_from(self.calls % 200).unwrap();
                let ip = new.wanted.unwrap_or_else(|| IpAddr::from([192, 0, 2, made]));
                assert!(
                    self.addresses.values().all(|one| one.port.as_ref() != Some(&new.port) && one.ip != ip)
                );
                let made =
                    Address { id: id.clone(), ip, port: Some(new.port), ownership: AddressOwnership::Ours };
                self.addresses.insert(id, made);
            }
            AddressCall::Lead(id, port) => {
                assert!(self.addresses.values().all(|one| one.port.as_ref() != Some(&port)));
                self.addresses.get_mut(&id).unwrap().port = Some(port);
            }
            AddressCall::Detach(id) => self.addresses.get_mut(&id).unwrap().port = None,
            AddressCall::Leave(id) => {
                let address = self.addresses.get_mut(&id).unwrap();
                (address.port, address.ownership) = (None, AddressOwnership::Others);
            }
            AddressCall::Delete(id) => drop(self.addresses.remove(&id).unwrap()),
        }
    }

    fn call(&mut self, call: Call) {
        let n = self.calls;
        match call {
            Call::CreateBalancer(new) => {
                let id = LoadBalancerId::from(format!("balancer-{n}"));
                assert!(self.balancers.values().all(|one| one.vip != new.vip), "{} is taken", new.vip);
                self.balancers.insert(id.clone(), balancer(id, new));
            }
            Call::TagBalancer(id) => self.usable(&id).ownership = Ownership::Ours,
            Call::DeleteBalancer(id) => self.balancers.get_mut(&id).unwrap().state = State::Deleting,
            Call::FailOver(id) => self.balancers.get_mut(&id).unwrap().state = State::Active,
            Call::CreateListener(id, new) => {
                let balancer = self.usable(&id);
                assert!(balancer.listeners.values().all(|one| one.front != Some(new.front)));
                balancer.listeners.insert(format!("listener-{n}").as_str().into(), listener(new, None));
            }
            Call::UpdateListener(id, listener_id, new) => {
                let is = self.usable(&id).listeners.get_mut(&listener_id).unwrap();
                *is = listener(new, is.pool.clone());
            }
            Call::DeleteListener(id, listener) => {
                self.usable(&id).listeners.remove(&listener).unwrap();
            }
            Call::CreatePool(id, listener, new) => {
                let balancer = self.usable(&id);
                let pool_id = PoolId::from(format!("pool-{n}"));
                let listener = balancer.listeners.get_mut(&listener).unwrap();
                assert!(listener.pool.replace(pool_id.clone()).is_none(), "a listener has one pool");
                balancer.pools.insert(pool_id, pool(new, BTreeMap::new()));
            }
            Call::UpdatePool(id, pool_id, new) => {
                assert_ne!(self.balancers[&id].provider, "ovn", "OVN makes nothing of it");
                let is = self.usable(&id).pools.get_mut(&pool_id).unwrap();
                let monitor = is.monitor.take();
                *is = Pool { monitor, ..pool(new, std::mem::take(&mut is.members)) };
            }
            Call::DeletePool(id, pool) => {
                let balancer = self.usable(&id);
                balancer.pools.remove(&pool).unwrap();
                balancer.listeners.values_mut().for_each(|one| {
                    one.pool.take_if(|its| *its == pool);
                });
            }
            Call::CreateMonitor(id, pool, new) => {
                let pool = self.usable(&id).pools.get_mut(&pool).unwrap();
                let monitor = (format!("monitor-{n}").as_str().into(), new.probing);
                assert!(pool.monitor.replace(monitor).is_none(), "a pool has one monitor");
            }
            Call::UpdateMonitor(id, pool, monitor, probing) => {
                self.usable(&id).pools.get_mut(&pool).unwrap().monitor = Some((monitor, probing));
            }
            Call::DeleteMonitor(id, pool, monitor) => {
                let was = self.usable(&id).pools.get_mut(&pool).unwrap().monitor.take();
                assert_eq!(was.unwrap().0, monitor);
            }
            Call::SetMembers(id, pool, members) => {
                self.usable(&id).pools.get_mut(&pool).unwrap().members = members;
            }
        }
    }

    /// Octavia takes changes of ACTIVE load balancers only, and is at work after each.
    fn usable(&mut self, id: &LoadBalancerId) -> &mut Balancer {
        let balancer = self.balancers.get_mut(id).unwrap();
        assert_eq!(balancer.state, State::Active, "{id} is immutable");
        balancer.state = State::Pending;
        balancer
    }

    /// What others do to our load balancers.
    pub fn damage(&mut self, kind: usize, which: Index) {
        if self.balancers.is_empty() {
            return;
        }
        let id = which.get(&self.balancers.keys().cloned().collect::<Vec<_>>()).clone();
        let balancer = self.balancers.get_mut(&id).unwrap();
        match kind {
            0 => drop(self.balancers.remove(&id)),
            1 => balancer.listeners.values_mut().for_each(|one| one.state = State::Error),
            2 => balancer.pools.values_mut().for_each(|one| one.state = State::Error),
            3 => balancer.pools.values_mut().for_each(|one| one.members.clear()),
            4 => balancer.listeners.clear(),
            _ => self.record = None,
        }
    }

    /// Octavia has what Kubernetes wants, and nothing else.
    pub fn check(&self) {
        let serves = |service: &&Service| {
            service.exposure != Exposure::ExternalName && !service.cluster_ips.is_empty()
        };
        let Some(service) = self.service.as_ref().filter(serves) else {
            assert!(self.balancers.is_empty() && self.record.is_none());
            let is_ours = |one: &Address| one.ownership == AddressOwnership::Ours;
            assert!(!self.addresses.values().any(is_ours), "{:?}", self.addresses);
            return;
        };
        self.check_outside(service);
        assert_eq!(self.balancers.len(), service.cluster_ips.len());
        for balancer in self.balancers.values() {
            assert_eq!(balancer.listeners.len(), service.ports.len());
            assert_eq!(balancer.pools.len(), service.ports.len());
            for port in &service.ports {
                let listener = balancer.listeners.values().find(|one| one.front == Some(port.front)).unwrap();
                let pool = &balancer.pools[listener.pool.as_ref().unwrap()];
                let wanted = service.wishes.balancing.monitor;
                assert_eq!(pool.monitor.as_ref().map(|(_, probing)| *probing), wanted);
                let is_sticky = pool.affinity.is_some() || pool.algorithm == "SOURCE_IP";
                assert_eq!(is_sticky, service.affinity.is_some());
                let timed = port.front.protocol == Protocol::Udp && balancer.provider == "amphora";
                assert_eq!(pool.affinity.and_then(|one| one.timeout), service.affinity.filter(|_| timed));
                let are: Vec<_> = pool.members.keys().map(|socket| socket.address).collect();
                assert_eq!(are, self.ready(port, balancer.vip));
            }
        }
        assert!(self.record.is_some());
    }

    /// Who asks for an address outside, and may have one, has one, and nobody else.
    fn check_outside(&self, service: &Service) {
        let is_ours = service.class.as_deref().is_none_or(|class| class == "openstack.org/kuryr");
        let v4 = self.balancers.values().find(|one| one.vip.is_ipv4());
        let is_guarded = service.source_ranges.is_empty() || v4.is_some_and(|one| one.provider == "amphora");
        let is_exposed = service.exposure == Exposure::LoadBalancer && is_ours && v4.is_some();
        let leads = |one: &&Address| one.port.is_some() && one.port == v4.and_then(|one| one.port.clone());
        let led: Vec<_> = self.addresses.values().filter(leads).map(|one| one.ip).collect();
        let wanted = is_exposed && !service.wishes.internal && is_guarded;
        assert_eq!(led.len(), usize::from(wanted), "{:?} {service:?}", self.addresses);
        let ours = self.addresses.values().filter(|one| one.ownership == AddressOwnership::Ours);
        assert!(ours.count() <= usize::from(wanted), "{:?}", self.addresses);
        assert!(!wanted || service.wanted_address.is_none_or(|asked| led == [asked]), "{led:?} {service:?}");
        let inside = || v4.map(|one| one.vip).into_iter().collect();
        let ingress = if is_exposed && service.wishes.internal { inside() } else { led };
        assert!(!is_ours || service.ingress == ingress, "{:?} is not {ingress:?}", service.ingress);
    }

    fn ready(&self, port: &ServicePort, vip: IpAddr) -> Vec<IpAddr> {
        let of = |state: EndpointState| {
            let slices = self.slices.iter().filter(|slice| {
                slice.ports.iter().any(|one| one.name == port.name && one.protocol == port.front.protocol)
            });
            let endpoints = slices.flat_map(|slice| &slice.endpoints).filter(|one| one.state == state);
            let addresses = endpoints.map(|one| one.address).filter(|one| one.is_ipv4() == vip.is_ipv4());
            addresses.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
        };
        let ready = of(EndpointState::Ready);
        if ready.is_empty() { of(EndpointState::Draining) } else { ready }
    }

    /// What is there, without ids.
    pub fn shape(&self) -> Vec<String> {
        let pool = |balancer: &Balancer, id: &Option<PoolId>| {
            let pool = id.as_ref().map(|id| &balancer.pools[id]);
            pool.map(|pool| (pool.affinity, pool.members.keys().copied().collect::<Vec<_>>()))
        };
        let mut shapes = Vec::new();
        for balancer in self.balancers.values() {
            shapes.extend(balancer.listeners.values().map(|one| {
                format!("{} {:?} {:?} {:?}", balancer.vip, one.front, one.allowed, pool(balancer, &one.pool))
            }));
        }
        shapes.sort();
        shapes
    }

    /// Members' addresses.
    pub fn addresses(&self) -> Vec<String> {
        let pools = self.balancers.values().flat_map(|balancer| balancer.pools.values());
        pools.flat_map(|pool| pool.members.keys()).map(|socket| socket.address.to_string()).collect()
    }
}

fn balancer(id: LoadBalancerId, new: NewBalancer) -> Balancer {
    Balancer {
        port: Some(PortId::from(format!("vip-of-{id}"))),
        id,
        name: new.name,
        vip: new.vip,
        subnet: Some(new.subnet),
        provider: new.provider.unwrap_or_default(),
        project: new.project,
        state: State::Pending,
        ownership: Ownership::Ours,
        listeners: BTreeMap::new(),
        pools: BTreeMap::new(),
    }
}

fn listener(new: NewListener, pool: Option<PoolId>) -> Listener {
    Listener {
        name: new.name,
        front: Some(new.front),
        pool,
        allowed: new.allowed.unwrap_or_default(),
        timeouts: new.timeouts,
        state: State::Active,
    }
}

fn pool(new: NewPool, members: BTreeMap<Socket, Member>) -> Pool {
    Pool {
        name: new.name,
        protocol: Some(new.protocol),
        algorithm: new.algorithm,
        affinity: new.affinity,
        members,
        monitor: None,
        state: State::Active,
    }
}
