//! Allowed address pairs: what a port may send from besides its own addresses, and what becomes of two who change that at a time.

use super::{Cloud, Mine};
use kuryr_openstack::{
    Class, Kind, Result,
    neutron::{AddressPair, NewPort, Port, PortFilter, PortUpdate},
};
use std::net::Ipv4Addr;

const FOREIGN: &str = "02:00:00:00:00:77";
/// More than the lab and the fake allow.
const TOO_MANY: u32 = 1001;

fn pair(address: &str, mac: Option<&str>) -> AddressPair {
    AddressPair { ip_address: address.to_string(), mac_address: mac.map(ToOwned::to_owned) }
}

fn pairs(all: Vec<AddressPair>) -> PortUpdate {
    PortUpdate { allowed_address_pairs: Some(all), ..PortUpdate::default() }
}

async fn put(mine: &Mine, port: &Port, all: Vec<AddressPair>) -> Result<Port> {
    mine.neutron.update_port_at(&port.id, &pairs(all), port.revision_number).await
}

fn shown(port: &Port) -> Vec<(&str, Option<&str>)> {
    let shown = port.allowed_address_pairs.iter();
    let mut shown: Vec<_> =
        shown.map(|pair| (pair.ip_address.as_str(), pair.mac_address.as_deref())).collect();
    shown.sort_unstable();
    shown
}

pub async fn address_pairs_are_changed_by_one_at_a_time(cloud: &Cloud) {
    let mine = Mine::new(cloud, 1);
    let bound = NewPort { host: Some(cloud.host.clone()), ..cloud.new_port(&mine.devices[0]) };
    let made = mine.neutron.create_port(&bound).await.unwrap();
    assert_eq!(shown(&made), []);
    let port = mine.neutron.port(&made.id).await.unwrap();
    let own = Some(port.mac_address.as_str());

    // Without a MAC address it is the port's, and a pair that is given back as it is shown stays as it is.
    let one = put(&mine, &port, vec![pair("192.0.2.7", None)]).await.unwrap();
    assert_eq!(shown(&one), [("192.0.2.7", own)]);
    assert!(one.revision_number > port.revision_number);
    let both =
        [one.allowed_address_pairs.clone(), vec![pair("2001:db8::7", None), pair("198.51.100.0/24", None)]];
    let three = put(&mine, &one, both.concat()).await.unwrap();
    assert_eq!(shown(&three), [("192.0.2.7", own), ("198.51.100.0/24", own), ("2001:db8::7", own)]);

    // Who has not seen that is told so, and changes nothing.
    let late = put(&mine, &one, vec![]).await.unwrap_err();
    assert_eq!((late.kind(), late.class()), (Kind::Stale, Class::Retry), "{}", late.chain());
    assert_eq!(shown(&mine.neutron.port(&port.id).await.unwrap()), shown(&three));
    let none = put(&mine, &three, vec![]).await.unwrap();
    assert_eq!(shown(&none), []);
    mine.remove().await;
}

/// The fake is asked as ML2/OVN answers.
pub async fn what_address_pairs_a_port_does_not_take(cloud: &Cloud) {
    let mine = Mine::new(cloud, 1);
    let bound = NewPort { host: Some(cloud.host.clone()), ..cloud.new_port(&mine.devices[0]) };
    let made = mine.neutron.create_port(&bound).await.unwrap();
    let many = (0..TOO_MANY).map(|number| pair(&Ipv4Addr::from(0xc612_0000 + number).to_string(), None));
    for (what, asked, kind) in [
        ("a foreign MAC address", vec![pair("192.0.2.7", Some(FOREIGN))], Kind::Invalid),
        ("one twice", vec![pair("192.0.2.7", None), pair("192.0.2.7", None)], Kind::Invalid),
        ("more than there may be", many.collect(), Kind::OverQuota),
    ] {
        let refused = mine.neutron.update_port(&made.id, &pairs(asked)).await.unwrap_err();
        assert_eq!(refused.kind(), kind, "{what}: {}", refused.chain());
    }
    assert_eq!(shown(&mine.neutron.port(&made.id).await.unwrap()), []);
    mine.remove().await;
}

/// Parents of pods are ports that are not ours.
pub async fn ports_are_found_by_what_they_lack(cloud: &Cloud) {
    let mine = Mine::new(cloud, 2);
    let tagged = NewPort { tags: vec!["one".into(), "two".into()], ..cloud.new_port(&mine.devices[0]) };
    let tagged = mine.neutron.create_port(&tagged).await.unwrap();
    let bare = mine.neutron.create_port(&cloud.new_port(&mine.devices[1])).await.unwrap();
    let found = async |not_tags: &[&str], subnet| {
        let filter = PortFilter {
            not_tags: not_tags.iter().map(ToString::to_string).collect(),
            subnets: Some(vec![subnet]),
            ..mine.filter()
        };
        let found = mine.neutron.ports(&filter).await.unwrap();
        found.into_iter().map(|port| port.id).collect::<Vec<_>>()
    };
    let mut both = vec![tagged.id.clone(), bare.id.clone()];
    both.sort();
    let mut all = found(&[], cloud.subnet_v4.clone()).await;
    all.sort();
    assert_eq!(all, both);
    assert_eq!(found(&["one"], cloud.subnet_v4.clone()).await, std::slice::from_ref(&bare.id));
    assert_eq!(found(&["one"], cloud.subnet_v6.clone()).await, []);
    mine.remove().await;
}
