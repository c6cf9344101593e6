//! A world small enough to try its corners: any pod, any record, any ports; then the planner until it rests.

use super::*;
use kuryr_api::vif::Vif;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// More rounds than any story needs: replace a record, wait for it to go, make a port, record it.
const ROUNDS: usize = 12;

#[derive(Clone, Debug)]
struct World {
    pod: Option<Pod<'static>>,
    record: Option<Record<'static>>,
    ports: Vec<Port>,
    pooled: BTreeMap<PortId, Plugging>,
    carrier: Carrier,
    carried: BTreeMap<PortId, Place>,
    security: Security,
    namespace: Namespace,
    next_port: usize,
}

impl World {
    fn plan(&self, network: &PodNetwork) -> Vec<Action> {
        plan(&Observed {
            name: "default/web".into(),
            pod: self.pod.clone(),
            record: self.record.clone(),
            ports: self.ports.clone(),
            pooled: self.pooled.clone(),
            carrier: self.carrier.clone(),
            carried: self.carried.clone(),
            network,
            security: self.security.clone(),
            namespace: self.namespace,
            failures: 0,
        })
    }

    fn apply(&mut self, action: &Action) {
        match action {
            Action::CreatePort(request) => self.create(request),
            Action::Secure(id, groups) => self.with_port(id, |port| port.security_groups.clone_from(groups)),
            Action::TagPort(id) => self.with_port(id, |port| port.ownership = Ownership::Ours),
            Action::Attach(id, bearer) => {
                self.with_port(id, |_| {});
                let place = match bearer {
                    Bearer::Trunk(trunk) => Place::Trunk(Attachment { trunk: trunk.clone(), vlan: 1 }),
                    Bearer::Pairs(parent) => Place::Pairs(parent.clone(), Extent::Whole),
                    Bearer::Server(server) => Place::Server(server.clone()),
                };
                let before = self.carried.insert(id.clone(), place.clone());
                let is_more = before.is_none_or(|before| before == part_of(&place));
                assert!(is_more, "carried already");
            }
            Action::Detach(id, bearer) => {
                self.with_port(id, |port| {
                    port.host.clear();
                    if let Binding::Bound(_) = port.binding {
                        port.binding = Binding::Unbound;
                    }
                });
                assert_eq!(self.carried.remove(id).map(|was| was.bearer()).as_ref(), Some(bearer));
            }
            Action::DeletePort(id) | Action::ReturnPort(id) => {
                assert!(
                    !self.carried.contains_key(id),
                    "Neutron deletes no port that a trunk carries, and no pairs with one"
                );
                self.with_port(id, |_| {});
                self.ports.retain(|port| port.id != *id);
            }
            Action::Record(new) => self.write(new),
            Action::Activate(_) => self.activate(),
            Action::DeleteRecord => self.record.as_mut().unwrap().deleting = true,
            Action::ReleaseRecord => self.record = self.record.take().filter(|record| !record.deleting),
            Action::TakeOldFinalizerOff => self.pod.as_mut().unwrap().has_old_finalizer = false,
            Action::AwaitWiring(ids) => {
                ids.iter().for_each(|id| self.with_port(id, |port| port.wiring = Wiring::Active));
            }
            Action::AwaitUnplugging(ids) => {
                self.pooled.extend(ids.iter().map(|id| (id.clone(), Plugging::Unplugged)));
            }
            Action::Tell(_) | Action::Retry(_) => {}
        }
    }

    fn create(&mut self, request: &PortRequest) {
        let uid = self.pod.as_ref().unwrap().uid;
        assert_eq!(request.pod_uid, uid);
        assert_eq!(request.host.is_some(), matches!(self.carrier, Carrier::Host | Carrier::Function));
        assert_eq!(request.vnic == Vnic::Direct, self.carrier == Carrier::Function);
        let made = port(&format!("new-{}", self.next_port), uid);
        let (host, vnic) = (request.host.clone().unwrap_or_default(), request.vnic);
        let binding = if vnic == Vnic::Direct { function() } else { made.binding.clone() };
        let security_groups = request.security_groups.clone();
        self.ports.push(Port { host, security_groups, vnic, binding, ..made });
        self.next_port += 1;
    }

    /// Wiring may be awaited for anybody's port; nothing else may be done to a foreign one.
    fn with_port(&mut self, id: &PortId, change: impl Fn(&mut Port)) {
        for port in self.ports.iter_mut().filter(|port| port.id == *id) {
            let before = port.clone();
            change(port);
            let touched = before.wiring == port.wiring;
            assert!(!touched || port.ownership != Ownership::Foreign, "touched a foreign port");
        }
    }

    fn write(&mut self, new: &NewRecord) {
        assert!(self.record.is_none(), "a record in the way");
        let vif = &new.vifs["eth0"].vif;
        let link = match vif {
            Vif::VlanNested(vif) => Link::Vlan(vif.vlan_id),
            Vif::MacvlanNested(_) => Link::Shared(Sharing::Macvlan),
            Vif::IpvlanNested(_) => Link::Shared(Sharing::Ipvlan),
            Vif::DpdkNested(_) => Link::Device,
            _ => Link::Own,
        };
        let base = vif.base();
        let interface =
            Interface { name: "eth0".into(), port: base.id.as_str().into(), active: base.active, link };
        let pod_uid = self.pod.as_ref().unwrap().uid;
        let content = Content::Interfaces(vec![interface]);
        self.record = Some(Record { pod_uid, node: NODE, deleting: false, content });
    }

    fn activate(&mut self) {
        if let Content::Interfaces(interfaces) = &mut self.record.as_mut().unwrap().content {
            interfaces.iter_mut().for_each(|interface| interface.active = true);
        }
    }

    /// Plans and applies until nothing but news is planned. In round `n`, only the first `crashes[n]` actions happen.
    fn settle(&mut self, network: &PodNetwork, crashes: &[usize]) -> Vec<Action> {
        for round in 0..ROUNDS {
            let actions = self.plan(network);
            if actions.iter().all(|action| matches!(action, Action::Tell(_) | Action::Retry(_))) {
                return actions;
            }
            let survive = crashes.get(round).copied().unwrap_or(usize::MAX);
            actions.iter().take(survive).for_each(|action| self.apply(action));
        }
        panic!("never rests: {self:?}, and plans {:?}", self.plan(network));
    }

    fn ours(&self) -> usize {
        self.ports.iter().filter(|port| port.ownership == Ownership::Ours).count()
    }
}

fn pods() -> impl Strategy<Value = Pod<'static>> {
    let wants = prop_oneof![4 => Just(Wants::Port), 1 => Just(Wants::Nothing)];
    let node = prop_oneof![6 => Just(Some(NODE)), 1 => Just(None)];
    let stage = prop_oneof![Just(Stage::Starting), Just(Stage::Running), Just(Stage::Finished)];
    let uid = prop_oneof![Just("a"), Just("b")];
    (uid, node, wants, stage, any::<bool>()).prop_map(|(uid, node, wants, stage, has_old_finalizer)| Pod {
        uid,
        node,
        wants,
        stage,
        is_static: false,
        has_old_finalizer,
    })
}

fn records() -> impl Strategy<Value = Record<'static>> {
    let link = prop_oneof![
        3 => Just(Link::Own),
        2 => Just(Link::Vlan(1)),
        1 => Just(Link::Vlan(2)),
        2 => Just(Link::Shared(Sharing::Ipvlan)),
        1 => Just(Link::Device),
    ];
    let interface = (0..5usize, any::<bool>(), link).prop_map(|(port, active, link)| Interface {
        name: "eth0".into(),
        port: port.to_string().into(),
        active,
        link,
    });
    let content = prop_oneof![
        5 => proptest::collection::vec(interface, 0..3).prop_map(Content::Interfaces),
        1 => Just(Content::Nonsense("broken".into())),
    ];
    let uid = prop_oneof![4 => Just("a"), 2 => Just("b"), 1 => Just("")];
    let node = prop_oneof![5 => Just(NODE), 1 => Just("node2")];
    (uid, node, any::<bool>(), content).prop_map(|(pod_uid, node, deleting, content)| Record {
        pod_uid,
        node,
        deleting,
        content,
    })
}

fn bindings() -> impl Strategy<Value = Binding> {
    let confirmation = prop_oneof![Just(Confirmation::Node), Just(Confirmation::Neutron)];
    let bound = confirmation.prop_map(|confirmation| {
        Binding::Bound(Bound { vif_type: "ovs".into(), confirmation, ..Bound::default() })
    });
    prop_oneof![6 => bound, 1 => Just(Binding::Failed), 1 => Just(Binding::Unbound)]
}

/// As a port is bound that is a virtual function.
fn function() -> Binding {
    Binding::Bound(Bound { vif_type: "hw_veb".into(), ..Bound::default() })
}

fn ports() -> impl Strategy<Value = Vec<Port>> {
    let ownership = prop_oneof![
        4 => Just(Ownership::Ours), 1 => Just(Ownership::Kuryr), 1 => Just(Ownership::Foreign)
    ];
    let uid = prop_oneof![4 => Just("a"), 2 => Just("b"), 1 => Just("")];
    let host = prop_oneof![5 => Just(NODE), 1 => Just("node2")];
    let plug = prop_oneof![
        4 => bindings().prop_map(|binding| (Vnic::Normal, binding)),
        1 => Just((Vnic::Direct, function())),
        1 => Just((Vnic::Direct, Binding::Failed)),
    ];
    let one = (uid, host, plug, ownership).prop_map(|(uid, host, (vnic, binding), ownership)| Port {
        host: host.into(),
        vnic,
        binding,
        ownership,
        ..port("", uid)
    });
    proptest::collection::vec(one, 0..5).prop_map(|mut ports| {
        for (id, port) in ports.iter_mut().enumerate() {
            port.id = id.to_string().into();
        }
        ports
    })
}

fn securities() -> impl Strategy<Value = Security> {
    let groups =
        || prop_oneof![Just(BTreeSet::from(["pods".into()])), Just(BTreeSet::from(["policy".into()]))];
    prop_oneof![
        2 => groups().prop_map(Security::Initial),
        2 => groups().prop_map(Security::Always),
        1 => (groups(), groups()).prop_map(|(more, kept)| Security::Growing { more, kept }),
        1 => Just(Security::Unknown),
    ]
}

/// As [`carried`] has them, without what is another's.
fn bearers() -> impl Strategy<Value = Bearer> {
    prop_oneof![
        2 => Just(Bearer::Trunk("trunk".into())),
        1 => Just(Bearer::Pairs(parent("parent"))),
        1 => Just(Bearer::Server("server".into())),
    ]
}

fn parent(port: &str) -> Parent {
    Parent { port: port.into(), mac: "fa:16:3e:00:00:99".into(), sharing: Sharing::Ipvlan }
}

/// What is there before all of it is.
fn part_of(place: &Place) -> Place {
    match place {
        Place::Trunk(at) => Place::Trunk(at.clone()),
        Place::Pairs(parent, _) => Place::Pairs(parent.clone(), Extent::Part),
        Place::Server(server) => Place::Server(server.clone()),
    }
}

/// The same on `bearer`.
fn moved(place: &Place, bearer: &Bearer) -> Place {
    match (place, bearer) {
        (_, Bearer::Trunk(trunk)) => Place::Trunk(Attachment { trunk: trunk.clone(), vlan: 1 }),
        (Place::Pairs(_, extent), Bearer::Pairs(parent)) => Place::Pairs(parent.clone(), *extent),
        (Place::Trunk(_) | Place::Server(_), Bearer::Pairs(parent)) => {
            Place::Pairs(parent.clone(), Extent::Whole)
        }
        (_, Bearer::Server(server)) => Place::Server(server.clone()),
    }
}

fn carriers() -> impl Strategy<Value = Carrier> {
    prop_oneof![
        3 => Just(Carrier::Host),
        2 => bearers().prop_map(Carrier::Machine),
        1 => prop_oneof![Just(Needs::Trunk), Just(Needs::Function)]
            .prop_map(|needs| Carrier::Missing(Lack { needs, why: "not there".into() })),
        2 => Just(Carrier::Function),
    ]
}

fn carried() -> impl Strategy<Value = BTreeMap<PortId, Place>> {
    let port = (0..5usize).prop_map(|id| id.to_string().into());
    let trunk = prop_oneof![3 => Just("trunk"), 1 => Just("other")];
    let extent = prop_oneof![2 => Just(Extent::Whole), 1 => Just(Extent::Part)];
    let pairs = (prop_oneof![3 => Just("parent"), 1 => Just("other")], extent);
    let place = prop_oneof![
        2 => trunk.prop_map(|trunk| Place::Trunk(Attachment { trunk: trunk.into(), vlan: 1 })),
        1 => pairs.prop_map(|(port, extent)| Place::Pairs(parent(port), extent)),
        1 => prop_oneof![3 => Just("server"), 1 => Just("other")].prop_map(|server| Place::Server(server.into())),
    ];
    proptest::collection::btree_map(port, place, 0..3)
}

fn worlds() -> impl Strategy<Value = World> {
    let namespace = prop_oneof![5 => Just(Namespace::Open), 1 => Just(Namespace::Terminating)];
    let plugging = prop_oneof![Just(Plugging::Plugged), Just(Plugging::Unplugged)];
    let pooled =
        proptest::collection::btree_map((0..5usize).prop_map(|id| id.to_string().into()), plugging, 0..3);
    let place = (carriers(), carried());
    let kubernetes = (proptest::option::of(pods()), proptest::option::of(records()), namespace);
    (kubernetes, ports(), pooled, place, securities()).prop_map(
        |((pod, record, namespace), ports, pooled, (carrier, carried), security)| World {
            pod,
            record,
            ports,
            // A port of a pool is bound to its host.
            pooled: pooled.into_iter().filter(|(id, _)| !carried.contains_key(id)).collect(),
            carrier,
            carried,
            security,
            namespace,
            next_port: 0,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn every_world_comes_to_rest_and_stays_there(mut world in worlds()) {
        let network = network();
        let rest = world.settle(&network, &[]);
        let before = format!("{world:?}");
        prop_assert_eq!(world.settle(&network, &[]), rest);
        prop_assert_eq!(format!("{world:?}"), before);
    }

    #[test]
    fn a_crash_after_any_action_leads_to_the_same_rest(
        world in worlds(),
        crashes in proptest::collection::vec(0..4usize, 0..4),
    ) {
        let network = network();
        let (mut calm, mut crashed) = (world.clone(), world);
        // One that has just left what carried it elsewhere may serve as well as a new one.
        for world in [&mut calm, &mut crashed] {
            let Carrier::Machine(bearer) = &world.carrier else { continue };
            world.carried.values_mut().for_each(|place| *place = moved(place, bearer));
        }
        calm.settle(&network, &[]);
        crashed.settle(&network, &crashes);
        prop_assert_eq!(calm.ours(), crashed.ours());
        prop_assert_eq!(calm.record.is_some(), crashed.record.is_some());
    }

    #[test]
    fn at_rest_a_pod_has_its_ports_and_a_record_or_nothing_of_ours_is_left(mut world in worlds()) {
        let network = network();
        let rest = world.settle(&network, &[]);
        let pod = world.pod.as_ref().filter(|pod| pod.node.is_some() && pod.wants == Wants::Port);
        match pod.map(|pod| pod.stage) {
            Some(Stage::Running) => {}
            Some(Stage::Starting) if world.namespace == Namespace::Terminating || !rest.is_empty() => {}
            Some(Stage::Starting) if matches!(world.security, Security::Growing { .. } | Security::Unknown) => {}
            Some(Stage::Starting) => {
                let record = world.record.as_ref().unwrap();
                prop_assert_eq!(record.pod_uid, pod.unwrap().uid);
                let Content::Interfaces(interfaces) = &record.content else { panic!("{record:?}") };
                let named: BTreeSet<_> = interfaces.iter().map(|one| &one.port).collect();
                let existing: BTreeSet<_> = world.ports.iter().map(|port| &port.id).collect();
                prop_assert!(named.is_subset(&existing));
                prop_assert_eq!(world.ours(), named.len());
                if let Security::Always(groups) = &world.security {
                    let carries = |port: &Port| !named.contains(&port.id) || port.security_groups == *groups;
                    prop_assert!(world.ports.iter().all(carries));
                }
            }
            _ => {
                prop_assert!(world.record.is_none(), "a record for nobody: {:?}", world);
                prop_assert_eq!(world.ours(), 0, "a port for nobody");
            }
        }
    }

    #[test]
    fn no_pool_gets_a_port_that_may_be_plugged_nor_loses_one(world in worlds()) {
        let network = network();
        for action in world.plan(&network) {
            match action {
                Action::ReturnPort(id) => prop_assert_eq!(world.pooled.get(&id), Some(&Plugging::Unplugged)),
                Action::DeletePort(id) if world.pod.is_none() => {
                    prop_assert!(!world.pooled.contains_key(&id), "deleted a port of a pool");
                }
                _ => {}
            }
        }
    }

    #[test]
    fn the_order_of_ports_does_not_matter(world in worlds(), at in any::<prop::sample::Index>()) {
        let network = network();
        let mut turned = world.clone();
        if !turned.ports.is_empty() {
            turned.ports.rotate_left(at.index(world.ports.len()));
        }
        let sorted = |world: &World| {
            world.plan(&network).iter().map(|action| format!("{action:?}")).collect::<BTreeSet<_>>()
        };
        prop_assert_eq!(sorted(&world), sorted(&turned));
    }

    #[test]
    fn no_port_is_made_where_one_serves(world in worlds()) {
        let network = network();
        if world.plan(&network).iter().any(|action| matches!(action, Action::CreatePort(_))) {
            let uid = world.pod.as_ref().unwrap().uid;
            let bearer = |port: &Port| world.carried.get(&port.id).map(Place::bearer);
            let is_in_reach = |port: &Port| match &world.carrier {
                Carrier::Host => bearer(port).is_none() && port.host == NODE && port.vnic == Vnic::Normal,
                Carrier::Function => port.host == NODE && port.vnic == Vnic::Direct,
                Carrier::Machine(own) => bearer(port).map_or(port.host.is_empty(), |bearer| bearer == *own),
                Carrier::Missing(_) => true,
            };
            let serves = |port: &Port| {
                port.pod_uid == uid && port.ownership == Ownership::Ours && port.binding != Binding::Failed
                    && is_in_reach(port)
            };
            prop_assert!(!world.ports.iter().any(serves));
        }
    }
}
