//! Kubernetes Events: what a user should know of an object, said once and not once a retry.

use crate::key::Key;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// The same news of the same object is said again after this time, so that it outlives the API server's
/// event retention (1 h by default) with room to spare.
const REPEAT_AFTER: Duration = Duration::from_mins(20);
/// Above this many objects with news the memory of what was said is thrown away: repeating is harmless.
const MEMORY: usize = 10_000;

/// Something that a user should know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct News {
    /// It needs attention.
    pub kind: Kind,
    /// `CamelCase`, for programs.
    pub reason: &'static str,
    /// What happened and what to do, for people.
    pub message: String,
}

/// How bad the news is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// For information.
    Normal,
    /// Something does not work.
    Warning,
}

/// What the news is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct About {
    /// `Pod`, `Service`: a kind of the core API.
    pub kind: &'static str,
    /// Object.
    pub key: Key,
    /// Its uid.
    pub uid: String,
}

/// Says news to the API server. One for a process.
pub struct Events {
    recorder: Option<Recorder>,
    said: Mutex<HashMap<About, (Vec<News>, Instant)>>,
}

/// Whether Events are written at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// Write them.
    On,
    /// `[kubernetes] use_events = False`.
    Mute,
}

impl Events {
    /// Events of component `component`, on node `instance` if it has one.
    pub fn new(client: kube::Client, component: &str, instance: Option<&str>, voice: Voice) -> Self {
        let reporter = Reporter { controller: component.into(), instance: instance.map(Into::into) };
        let recorder = (voice == Voice::On).then(|| Recorder::new(client, reporter));
        Self { recorder, said: Mutex::default() }
    }

    /// Says `news` of an object, unless it was the last thing said of it a short while ago.
    /// A failure is logged and no more: news must never hold up work.
    pub async fn tell(&self, about: About, news: News) {
        self.tell_all(about, vec![news]).await;
    }

    /// Says all that there is to know of an object now, but for what was so when it was told last, a short while ago.
    pub async fn tell_all(&self, about: About, news: Vec<News>) {
        for one in self.new_of(&about, news) {
            self.say(&about, &one).await;
        }
    }

    async fn say(&self, about: &About, news: &News) {
        tracing::info!(kind = about.kind, object = %about.key, reason = news.reason, message = news.message, "event");
        let Some(recorder) = &self.recorder else { return };
        let (event, object) = (event(news), reference(about));
        let request = recorder.publish(&event, &object);
        match tokio::time::timeout(crate::client::REQUEST_TIMEOUT, request).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(object = %about.key, %error, "failed to write an event"),
            Err(_) => tracing::warn!(object = %about.key, "no answer to an event in time"),
        }
    }

    /// What of `news` was not said last.
    fn new_of(&self, about: &About, news: Vec<News>) -> Vec<News> {
        let now = Instant::now();
        let mut said = self.said.lock();
        if said.len() > MEMORY {
            said.clear();
        }
        if news.is_empty() {
            said.remove(about);
            return news;
        }
        let last = said.get(about).filter(|(_, at)| now.duration_since(*at) < REPEAT_AFTER);
        let (old, at) = last.cloned().unwrap_or_else(|| (Vec::new(), now));
        let new: Vec<_> = news.iter().filter(|one| !old.contains(one)).cloned().collect();
        said.insert(about.clone(), (news, at));
        new
    }
}

fn event(news: &News) -> Event {
    Event {
        type_: match news.kind {
            Kind::Normal => EventType::Normal,
            Kind::Warning => EventType::Warning,
        },
        reason: news.reason.into(),
        note: Some(truncate(&news.message)),
        action: "Network".into(),
        secondary: None,
    }
}

/// The API server takes 1024 bytes of note.
fn truncate(message: &str) -> String {
    const MAX: usize = 1024;
    let end = message.floor_char_boundary(MAX.min(message.len()));
    message[..end].to_owned()
}

fn reference(about: &About) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some(about.kind.into()),
        name: Some(about.key.name().into()),
        namespace: Some(about.key.namespace().into()),
        uid: Some(about.uid.clone()),
        ..ObjectReference::default()
    }
}
