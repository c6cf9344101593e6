//! Where the credentials for OpenStack come from, and what is said when they are not all there.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use kuryr_api::cloud::{Auth, CloudAccess, Credential, Domain, Interface, Project, Scope, User};
use kuryr_config::{Config, Secret, Sources, cloud, load};

const CLOUDS: &str = "
clouds:
  one:
    auth:
      auth_url: https://keystone/v3
      username: kuryr
      project-name: k8s
      user_domain_name: Default
      project_domain_id: default
    region_name: east
    interface: internalURL
    verify: false
    cacert: /ca.pem
    api_timeout: 2.5
    network_endpoint_override: http://neutron
    load_balancer_endpoint_override: http://octavia
  app:
    auth_type: v3applicationcredential
    auth: {auth_url: http://k, application_credential_id: id, application_credential_secret: 12345}
  odd:
    auth_type: v3multifactor
    auth: {auth_url: http://k, auth_methods: [v3password, v3totp]}
";

const SECURE: &str = "clouds: {one: {auth: {password: hunter2}}}";

fn config(text: &str) -> Config {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("kuryr.conf");
    fs::write(&path, text).expect("written");
    load(&Sources { files: vec![path], ..Sources::default() }).expect("a good configuration").config
}

/// The environment of a machine whose user has these files.
fn home(dir: &Path, files: &[(&str, &str)]) -> BTreeMap<String, String> {
    let folder = dir.join(".config/openstack");
    fs::create_dir_all(&folder).expect("made");
    for (name, text) in files {
        fs::write(folder.join(name), text).expect("written");
    }
    BTreeMap::from([("HOME".to_owned(), dir.display().to_string())])
}

fn from_clouds(conf: &str, extra: &[(&str, &str)]) -> Result<CloudAccess, String> {
    let dir = tempfile::tempdir().expect("a directory");
    let mut env = home(dir.path(), &[("clouds.yaml", CLOUDS), ("secure.yaml", SECURE)]);
    env.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let access = cloud::access(&config(conf), &env);
    access.map_err(|error| error.to_string().replace(&dir.path().display().to_string(), "~"))
}

fn fault(conf: &str) -> String {
    cloud::access(&config(conf), &BTreeMap::new()).expect_err("not enough").to_string()
}

#[test]
fn a_password_in_kuryr_conf() {
    let text = "[neutron]\nauth_type = v3password\nauth_url = http://k\nusername = u\npassword = p\nuser_domain_name = D\n\
                project_name = k8s\ndefault_domain_id = d\ninsecure = true\ncafile = /ca\ntimeout = 1.5\nendpoint_type = admin\n\
                endpoint_override = http://n\n[octavia_defaults]\nendpoint_override = http://o\n";
    let expected = CloudAccess {
        auth_url: "http://k".into(),
        auth: Auth::Password {
            user: User::Name("u".into(), Domain::Name("D".into())),
            password: Secret::new("p"),
            scope: Scope::Project(Project::Name("k8s".into(), Domain::Id("d".into()))),
        },
        region_name: None,
        interface: Interface::Admin,
        cafile: Some("/ca".into()),
        insecure: true,
        timeout: Some(Duration::from_millis(1500)),
        network_endpoint_override: Some("http://n".into()),
        load_balancer_endpoint_override: Some("http://o".into()),
    };
    assert_eq!(cloud::access(&config(text), &BTreeMap::new()).expect("enough"), expected);
}

#[test]
fn an_application_credential_and_a_token_in_kuryr_conf() {
    let text = "[neutron]\nauth_type = v3applicationcredential\nauth_url = http://k\napplication_credential_name = c\n\
                application_credential_secret = s\nuser_id = u\n";
    let credential = Credential::Name("c".into(), User::Id("u".into()));
    let auth = Auth::ApplicationCredential { credential, secret: Secret::new("s") };
    assert_eq!(cloud::access(&config(text), &BTreeMap::new()).expect("enough").auth, auth);
    let text = "[neutron]\nauth_section = elsewhere\n[elsewhere]\nauth_type = token\nauth_url = http://k\ntoken = t\nsystem_scope = all\n";
    let auth = Auth::Token { token: Secret::new("t"), scope: Scope::System };
    assert_eq!(cloud::access(&config(text), &BTreeMap::new()).expect("enough").auth, auth);
}

#[test]
fn a_cloud_with_its_secret_apart() {
    let access = from_clouds("[neutron]\ncloud = one\n", &[]).expect("enough");
    let expected = CloudAccess {
        auth_url: "https://keystone/v3".into(),
        auth: Auth::Password {
            user: User::Name("kuryr".into(), Domain::Name("Default".into())),
            password: Secret::new("hunter2"),
            scope: Scope::Project(Project::Name("k8s".into(), Domain::Id("default".into()))),
        },
        region_name: Some("east".into()),
        interface: Interface::Internal,
        cafile: Some("/ca.pem".into()),
        insecure: true,
        timeout: Some(Duration::from_millis(2500)),
        network_endpoint_override: Some("http://neutron".into()),
        load_balancer_endpoint_override: Some("http://octavia".into()),
    };
    assert_eq!(access, expected);
}

#[test]
fn kuryr_conf_goes_before_the_cloud() {
    let text = "[neutron]\ncloud = one\nregion_name = west\nendpoint_type = public\ncafile = /mine\n";
    let access = from_clouds(text, &[]).expect("enough");
    assert_eq!(access.region_name.as_deref(), Some("west"));
    assert_eq!(access.interface, Interface::Public);
    assert_eq!(access.cafile.as_deref(), Some(Path::new("/mine")));
}

#[test]
fn the_environment_names_a_cloud_unless_kuryr_conf_says_who_we_are() {
    let app = from_clouds("", &[("OS_CLOUD", "app")]).expect("enough").auth;
    let credential = Credential::Id("id".into());
    assert_eq!(app, Auth::ApplicationCredential { credential, secret: Secret::new("12345") });
    let text = "[neutron]\nauth_url = http://conf\nuser_id = u\npassword = p\n";
    assert_eq!(from_clouds(text, &[("OS_CLOUD", "app")]).expect("enough").auth_url, "http://conf");
}

#[test]
fn a_named_file_goes_before_the_usual_places() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("mine.json");
    fs::write(
        &path,
        r#"{"clouds": {"one": {"auth": {"auth_url": "http://json", "user_id": "u", "password": "p"}}}}"#,
    )
    .expect("written");
    let named = path.display().to_string();
    let access =
        from_clouds("[neutron]\ncloud = one\n", &[("OS_CLIENT_CONFIG_FILE", &named)]).expect("enough");
    assert_eq!(access.auth_url, "http://json");
}

#[test]
fn what_is_missing_is_named_with_its_place() {
    assert_eq!(fault(""), "[neutron]: auth_url is not set, and OpenStack needs it");
    let text = "[neutron]\nauth_url = http://k\nauth_section = a\n[a]\nauth_url = http://k\nusername = u\n";
    assert_eq!(fault(text), "[a]: user_domain_name is not set, and username needs it");
    let text = "[neutron]\nauth_url = http://k\nauth_type = v3kerberos\n";
    let expected = "[neutron]: auth_type = \"v3kerberos\": only password, v3password, v3applicationcredential, token or v3token is allowed here";
    assert_eq!(fault(text), expected);
}

#[test]
fn a_cloud_that_is_not_there_is_named_with_those_that_are() {
    let fault = from_clouds("[neutron]\ncloud = two\n", &[]).expect_err("no such cloud");
    assert_eq!(fault, "~/.config/openstack/clouds.yaml has no cloud \"two\"; it has app, odd, one");
    let fault = from_clouds("[neutron]\ncloud = odd\n", &[]).expect_err("an odd cloud");
    assert!(
        fault.starts_with("cloud odd of ~/.config/openstack/clouds.yaml: auth_type = \"v3multifactor\""),
        "{fault}"
    );
}

#[test]
fn without_a_file_the_places_are_named() {
    let error = cloud::access(
        &config("[neutron]\ncloud = x\n"),
        &BTreeMap::from([("HOME".into(), "/nobody".into())]),
    );
    let message = error.expect_err("no file").to_string();
    assert!(
        message.contains("for cloud \"x\"; looked for clouds.yaml, ")
            && message.contains("/nobody/.config/openstack/clouds.yaml"),
        "{message}"
    );
}

#[test]
fn a_broken_file_shows_no_secret() {
    let dir = tempfile::tempdir().expect("a directory");
    let env = home(dir.path(), &[("clouds.yaml", "clouds:\n  x: {password: hunter2\n  y: [")]);
    let error = cloud::access(&config("[neutron]\ncloud = x\n"), &env).expect_err("broken");
    let message = error.to_string();
    assert!(message.contains("is not YAML") && !message.contains("hunter2"), "{message}");
}

#[test]
fn an_openrc_file_is_enough() {
    let openrc = [
        ("OS_AUTH_URL", "http://rc"),
        ("OS_USERNAME", "u"),
        ("OS_PASSWORD", "p"),
        ("OS_PROJECT_NAME", "k8s"),
        ("OS_PROJECT_DOMAIN_ID", "default"),
        ("OS_USER_DOMAIN_NAME", "Default"),
        ("OS_REGION_NAME", "west"),
        ("OS_INTERFACE", "internal"),
        ("OS_CACERT", ""),
        ("OS_IDENTITY_API_VERSION", "3"),
    ];
    let access = from_clouds("", &openrc).expect("enough");
    let scope = Scope::Project(Project::Name("k8s".into(), Domain::Id("default".into())));
    let user = User::Name("u".into(), Domain::Name("Default".into()));
    assert_eq!(access.auth, Auth::Password { user, password: Secret::new("p"), scope });
    assert_eq!((&*access.auth_url, access.region_name.as_deref()), ("http://rc", Some("west")));
    assert_eq!((access.interface, access.cafile, access.insecure), (Interface::Internal, None, false));

    let configured =
        from_clouds("[neutron]\nauth_url = http://conf\nauth_type = token\ntoken = t\n", &openrc);
    assert_eq!(configured.expect("enough").auth_url, "http://conf");
    let insecure = |value| from_clouds("", &[&openrc[..], &[("OS_INSECURE", value)]].concat());
    assert!(insecure("true").expect("enough").insecure && !insecure("off").expect("enough").insecure);
    assert!(insecure("perhaps").unwrap_err().contains("only true or false"));
    let lacking = from_clouds("", &openrc[..2]).unwrap_err();
    assert!(lacking.contains("OS_*: user_domain_name is not set"), "{lacking}");
}
