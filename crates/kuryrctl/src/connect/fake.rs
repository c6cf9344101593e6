//! A way to a cloud in memory, for tests.

use std::time::Duration;

use kuryr_api::cloud::{Auth, Domain, Project, Scope, Secret, User};
use kuryr_openstack::{Retry, Session, Settings};
use kuryr_testkit::FakeCloud;

pub(crate) fn session(cloud: &FakeCloud) -> Session {
    // It fails only if a provider is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let domain = || Domain::Name(FakeCloud::DOMAIN.into());
    let auth = Auth::Password {
        user: User::Name(FakeCloud::USER.into(), domain()),
        password: Secret::new(FakeCloud::PASSWORD),
        scope: Scope::Project(Project::Name(FakeCloud::PROJECT.into(), domain())),
    };
    let retry = Retry { first: Duration::from_millis(1), ..Retry::default() };
    Session::open(Settings { retry, ..Settings::new(cloud.auth_url(), auth) }).unwrap()
}
