//! The fake cloud keeps the contract.
#![allow(clippy::unwrap_used)]

mod contract;

use contract::Cloud;
use kuryr_testkit::FakeCloud;

async fn fake() -> (Cloud, FakeCloud) {
    let fake = FakeCloud::start().await.unwrap();
    let id_of = |name: &str| fake.neutron().id_of(name).unwrap();
    let cloud = Cloud {
        auth_url: fake.auth_url(),
        user: FakeCloud::USER.into(),
        password: FakeCloud::PASSWORD.into(),
        project: FakeCloud::PROJECT.into(),
        project_id: FakeCloud::PROJECT_ID.into(),
        domain: FakeCloud::DOMAIN.into(),
        network: id_of("k8s-pod-net").into(),
        network_name: "k8s-pod-net".into(),
        subnet_v4: id_of("k8s-pod-subnet").into(),
        subnet_v6: id_of("k8s-pod-subnet-v6").into(),
        group: id_of("k8s-pods").into(),
        group_name: "k8s-pods".into(),
        external: id_of("public").into(),
        external_subnet: id_of("public-subnet").into(),
        neutron_url: fake.neutron_url(),
        host: "node1".into(),
    };
    (cloud, fake)
}

contract!(fake());
