use super::*;
use futures::future::join_all;
use kuryr_api::cloud::{Auth, Domain, Project, Scope, Secret, User};
use kuryr_core::port::{Binding, Ownership, Vnic, Wiring};
use kuryr_openstack::neutron::{Neutron, NewPort};
use kuryr_openstack::{Session, Settings};
use kuryr_testkit::FakeCloud;

const ATTEMPTS: u32 = 50;

fn neutron(cloud: &FakeCloud) -> Neutron {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let domain = || Domain::Name("Default".into());
    let auth = Auth::Password {
        user: User::Name("kuryr".into(), domain()),
        password: Secret::new("secret"),
        scope: Scope::Project(Project::Name("k8s".into(), domain())),
    };
    Neutron::new(Session::open(Settings::new(cloud.auth_url(), auth)).unwrap())
}

/// A pod's port, which Neutron need not have.
fn port(number: u8) -> Port {
    Port {
        id: format!("port-{number}").as_str().into(),
        network: "net".into(),
        mac: format!("fa:16:3e:00:01:{number:02x}"),
        addresses: vec![("subnet".into(), IpAddr::from([10, 1, 9, number]))],
        pod_uid: String::new(),
        host: String::new(),
        security_groups: BTreeSet::new(),
        wiring: Wiring::Pending,
        vnic: Vnic::Normal,
        binding: Binding::Unbound,
        server: None,
        ownership: Ownership::Ours,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_controllers_at_a_time_lose_no_pair_of_each_other() {
    let cloud = FakeCloud::start().await.unwrap();
    let neutron = neutron(&cloud);
    let network = cloud.neutron().id_of("k8s-pod-net").unwrap();
    let made = neutron.create_port(&NewPort::on(network.as_str().into())).await.unwrap();
    let parent = Parent { port: made.id.clone(), mac: made.mac_address.clone(), sharing: Sharing::Ipvlan };
    let both = [(); 2].map(|()| Pairs::new(NonZeroU32::new(ATTEMPTS).unwrap()));
    let attached = |pairs: usize, numbers: std::ops::Range<u8>| {
        let (pairs, neutron, parent) = (&both[pairs], &neutron, &parent);
        join_all(numbers.map(|number| async move { pairs.attach(neutron, parent, &port(number)).await }))
    };
    let (one, other) = tokio::join!(attached(0, 0..20), attached(1, 20..40));
    assert!(one.into_iter().chain(other).all(|outcome| outcome.is_ok()));
    let shown = async || neutron.port(&made.id).await.unwrap().allowed_address_pairs.len();
    assert_eq!(shown().await, 40);

    // The one takes away what the other has given, of which it has not heard yet.
    let removed = |pairs: usize, numbers: std::ops::Range<u8>| {
        let (pairs, neutron, parent) = (&both[pairs], &neutron, &parent);
        join_all(numbers.map(|number| async move { pairs.detach(neutron, parent, &port(number)).await }))
    };
    both[0].learn(&neutron.port(&made.id).await.unwrap());
    let (one, other) = tokio::join!(removed(0, 10..30), removed(1, 30..40));
    assert!(one.into_iter().chain(other).all(|outcome| outcome.is_ok()));
    assert_eq!(shown().await, 10);
    assert!(both[0].place(&port(3)).is_some() && both[0].place(&port(13)).is_none());
}

#[test]
fn what_neutron_says_last_counts() {
    let pairs = Pairs::new(NonZeroU32::MIN);
    let shown = |addresses: &[&str]| {
        let shown = addresses.iter().map(|address| json(address));
        serde_json::from_value(serde_json::json!({
            "id": "parent", "mac_address": "fa:16:3e:00:00:99", "revision_number": 1,
            "allowed_address_pairs": shown.collect::<Vec<_>>(),
        }))
        .unwrap()
    };
    let extent = |number| match pairs.place(&port(number)) {
        Some(Place::Pairs(parent, extent)) => Some((parent.sharing, extent)),
        _ => None,
    };
    pairs.learn(&shown(&["10.1.9.1", "10.1.9.2/32", "10.1.0.0/16"]));
    let whole = Some((Sharing::Ipvlan, kuryr_core::carrier::Extent::Whole));
    assert_eq!([1, 2, 3].map(extent), [whole, whole, None]);
    assert_eq!(pairs.place(&Port { host: "node1".into(), ..port(1) }), None);
    pairs.learn(&shown(&["10.1.9.3"]));
    assert_eq!(([1, 2, 3].map(extent), pairs.len()), ([None, None, whole], 1));
    pairs.replace(&[]);
    assert_eq!((extent(3), pairs.len()), (None, 0));
}

fn json(address: &str) -> serde_json::Value {
    serde_json::json!({ "ip_address": address, "mac_address": "FA:16:3E:00:00:99" })
}
