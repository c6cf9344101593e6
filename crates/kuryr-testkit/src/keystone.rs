//! A fake Keystone: tokens that expire when a test says so, and the three ways to get one.

use crate::reply::{Counts, Reply, segments};
use axum::{
    body::Bytes,
    http::{HeaderMap, Method, Uri},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, SystemTime},
};

/// A fake Keystone's state. Clones share it.
#[derive(Debug, Clone)]
pub struct FakeKeystone {
    state: Arc<Mutex<State>>,
    counts: Counts,
}

#[derive(Debug)]
struct State {
    user: String,
    password: String,
    project_id: String,
    project: String,
    life: Duration,
    tokens: HashMap<String, SystemTime>,
    credentials: BTreeMap<String, Credential>,
    endpoints: Vec<(&'static str, String)>,
    next: u64,
}

#[derive(Debug)]
struct Credential {
    name: String,
    secret: String,
}

/// The one user's id.
const USER_ID: &str = "7c2451c945304303bc96830b420b3769";

/// How many of Keystone's hexadecimal digits an id has.
const ID_DIGITS: usize = 32;

impl FakeKeystone {
    pub(crate) fn new(user: &str, password: &str, project: &str, project_id: &str) -> Self {
        let state = State {
            user: user.into(),
            password: password.into(),
            project: project.into(),
            project_id: project_id.into(),
            life: Duration::from_hours(1),
            tokens: HashMap::new(),
            credentials: BTreeMap::new(),
            endpoints: Vec::new(),
            next: 0,
        };
        Self { state: Arc::new(Mutex::new(state)), counts: Counts::default() }
    }

    /// How long tokens last that are given from now on.
    pub fn set_token_life(&self, life: Duration) {
        self.state.lock().life = life;
    }

    /// Forgets all tokens, as a Keystone does that has lost its keys.
    pub fn revoke_all(&self) {
        self.state.lock().tokens.clear();
    }

    /// Changes the user's password.
    pub fn set_password(&self, password: &str) {
        self.state.lock().password = password.into();
    }

    /// The requests that have been served, by method and route.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What tokens list from now on: types of services, and where those are.
    pub fn set_endpoints(&self, endpoints: Vec<(&'static str, String)>) {
        self.state.lock().endpoints = endpoints;
    }

    pub(crate) fn accepts(&self, headers: &HeaderMap) -> bool {
        let token = headers.get("x-auth-token").and_then(|token| token.to_str().ok());
        token.is_some_and(|token| self.state.lock().is_good(token))
    }

    pub(crate) fn serve(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Reply {
        let path = segments(uri.path());
        let path: Vec<_> = path.iter().map(String::as_str).collect();
        let body = serde_json::from_slice(body).unwrap_or(Value::Null);
        match (method.as_str(), path.as_slice()) {
            ("POST", ["v3", "auth", "tokens"]) => {
                self.counts.add("POST /auth/tokens");
                self.state.lock().sign_in(&body)
            }
            _ if !self.accepts(headers) => unauthorized(),
            ("GET", ["v3", "users"]) => {
                let user = self.state.lock().user.clone();
                Reply::ok(json!({ "users": [{ "id": USER_ID, "name": user }] }))
            }
            ("POST", ["v3", "users", _, "application_credentials"]) => {
                self.state.lock().add_credential(&body)
            }
            ("DELETE", ["v3", "users", _, "application_credentials", id]) => {
                match self.state.lock().credentials.remove(*id) {
                    Some(_) => Reply::no_content(),
                    None => not_found(&format!("Could not find Application Credential: {id}.")),
                }
            }
            _ => not_found("The resource could not be found."),
        }
    }
}

impl State {
    fn is_good(&self, token: &str) -> bool {
        self.tokens.get(token).is_some_and(|expires| SystemTime::now() < *expires)
    }

    fn sign_in(&mut self, body: &Value) -> Reply {
        let identity = &body["auth"]["identity"];
        match identity["methods"][0].as_str() {
            Some("password") => self.by_password(&identity["password"]["user"], &body["auth"]["scope"]),
            Some("application_credential") => self.by_credential(&identity["application_credential"]),
            Some("token") => self.by_token(identity["token"]["id"].as_str().unwrap_or_default()),
            _ => Reply::new(400, keystone_error(400, "Bad Request", "Expecting to find identity in auth.")),
        }
    }

    fn by_password(&mut self, user: &Value, scope: &Value) -> Reply {
        let known = user["name"] == *self.user || user["id"] == USER_ID;
        let project = &scope["project"];
        let scoped = scope.is_null() || project["name"] == *self.project || project["id"] == *self.project_id;
        if known && user["password"] == *self.password && scoped {
            self.give_token(SystemTime::now() + self.life)
        } else {
            unauthorized()
        }
    }

    fn by_credential(&mut self, asked: &Value) -> Reply {
        let id = asked["id"].as_str();
        let found = self.credentials.iter().find(|(known, credential)| {
            id.map_or(asked["name"] == *credential.name, |id| id == known.as_str())
        });
        match found {
            None => not_found(&format!("Could not find Application Credential: {}.", id.unwrap_or_default())),
            Some((_, credential)) if asked["secret"] != *credential.secret => unauthorized(),
            Some(_) => self.give_token(SystemTime::now() + self.life),
        }
    }

    /// A token that is got with a token ends with it.
    fn by_token(&mut self, token: &str) -> Reply {
        match self.tokens.get(token).copied() {
            Some(expires) if self.is_good(token) => self.give_token(expires),
            _ => unauthorized(),
        }
    }

    fn give_token(&mut self, expires: SystemTime) -> Reply {
        self.next += 1;
        let token = format!("fake-token-{}", self.next);
        self.tokens.insert(token.clone(), expires);
        let endpoint = |url: &str, interface| json!({ "interface": interface, "region": "RegionOne", "region_id": "RegionOne", "url": url });
        let entry = |(kind, url): &(&str, String)| {
            let endpoints = ["public", "internal", "admin"].map(|interface| endpoint(url, interface));
            json!({ "type": kind, "name": kind, "endpoints": endpoints })
        };
        let catalog: Vec<_> = self.endpoints.iter().map(entry).collect();
        let body = json!({ "token": {
            "methods": ["password"],
            "issued_at": timestamp(SystemTime::now()),
            "expires_at": timestamp(expires),
            "project": { "id": self.project_id, "name": self.project, "domain": { "id": "default", "name": "Default" } },
            "user": { "id": USER_ID, "name": self.user, "domain": { "id": "default", "name": "Default" } },
            "catalog": catalog,
        }});
        Reply::new(201, body).with_header("x-subject-token", &token)
    }

    fn add_credential(&mut self, body: &Value) -> Reply {
        self.next += 1;
        let id = format!("{:0ID_DIGITS$x}", self.next);
        let text =
            |field: &str| body["application_credential"][field].as_str().unwrap_or_default().to_owned();
        let credential = Credential { name: text("name"), secret: text("secret") };
        let reply = json!({ "application_credential": { "id": id, "name": credential.name, "secret": credential.secret } });
        self.credentials.insert(id, credential);
        Reply::new(201, reply)
    }
}

pub(crate) fn unauthorized() -> Reply {
    Reply::new(401, keystone_error(401, "Unauthorized", "The request you have made requires authentication."))
}

fn not_found(message: &str) -> Reply {
    Reply::new(404, keystone_error(404, "Not Found", message))
}

fn keystone_error(code: u16, title: &str, message: &str) -> Value {
    json!({ "error": { "code": code, "title": title, "message": message } })
}

fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let time = jiff::Timestamp::from_microsecond(i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
    time.unwrap_or(jiff::Timestamp::UNIX_EPOCH).strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}
