//! A client of the fake cloud.

use kuryr_api::cloud::{Auth, Domain, Project, Scope, Secret, User};
use kuryr_openstack::{Limits, Neutron, Retry, Service, Session, Settings};
use kuryr_testkit::FakeCloud;
use std::time::Duration;

pub fn auth() -> Auth {
    let domain = || Domain::Name(FakeCloud::DOMAIN.into());
    Auth::Password {
        user: User::Name(FakeCloud::USER.into(), domain()),
        password: Secret::new(FakeCloud::PASSWORD),
        scope: Scope::Project(Project::Name(FakeCloud::PROJECT.into(), domain())),
    }
}

/// Settings for `cloud`, whose Neutron is called at `neutron`; impatient, so that tests are quick.
pub fn settings(cloud: &FakeCloud, neutron: &str) -> Settings {
    // A process has one provider; the first test installs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut settings = Settings::new(cloud.auth_url(), auth());
    settings.endpoints.overrides.insert(Service::Network, neutron.into());
    settings.retry =
        Retry { first: Duration::from_millis(10), longest: Duration::from_millis(200), ..settings.retry };
    settings.limits = Limits { concurrency: 32, rate: 1000.0, floor: 100.0, burst: 100 };
    settings
}

pub fn client(cloud: &FakeCloud, neutron: &str) -> Neutron {
    Neutron::new(Session::open(settings(cloud, neutron)).expect("these settings are good"))
}
