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
    /// Object.
    pub key: Key,
    /// Its uid.
    pub uid: String,
}

/// Says news to the API server. One for a process.
pub struct Events {
    recorder: Option<Recorder>,
    said: Mutex<HashMap<About, (News, Instant)>>,
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

    /// Says `news` of a pod, unless it was the last thing said of it a short while ago.
    /// A failure is logged and no more: news must never hold up work.
    pub async fn tell_pod(&self, about: About, news: News) {
        if !self.is_new(&about, &news) {
            return;
        }
        tracing::info!(pod = %about.key, reason = news.reason, message = news.message, "event");
        let Some(recorder) = &self.recorder else { return };
        let (event, pod) = (event(&news), pod_reference(&about));
        let request = recorder.publish(&event, &pod);
        match tokio::time::timeout(crate::client::REQUEST_TIMEOUT, request).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(pod = %about.key, %error, "failed to write an event"),
            Err(_) => tracing::warn!(pod = %about.key, "no answer to an event in time"),
        }
    }

    fn is_new(&self, about: &About, news: &News) -> bool {
        let now = Instant::now();
        let mut said = self.said.lock();
        if said.len() > MEMORY {
            said.clear();
        }
        let last = said.get(about);
        let again = last.is_some_and(|(old, at)| old == news && now.duration_since(*at) < REPEAT_AFTER);
        if !again {
            said.insert(about.clone(), (news.clone(), now));
        }
        !again
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

fn pod_reference(about: &About) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        name: Some(about.key.name().into()),
        namespace: Some(about.key.namespace().into()),
        uid: Some(about.uid.clone()),
        ..ObjectReference::default()
    }
}
