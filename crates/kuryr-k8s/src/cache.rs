//! The current state of one kind, kept up to date by a LIST and a WATCH that resumes where it broke off.
//!
//! Level-triggered: a change only says which key to look at again. A lost or doubled notification does no
//! harm, and after a re-list (the API server answered 410, say) every key that changed or went is told.

use crate::key::Key;
use crate::slim::Slim;
use futures::StreamExt;
use http::Request;
use kube::client::Body;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Whether a cache can be trusted to be current.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sync {
    /// The first LIST is not complete: a missing key means nothing yet.
    Starting,
    /// Complete and following.
    Following,
    /// Complete, but the API server can't be reached; the text says why.
    Behind(String),
    /// Never complete so far, and the API server can't be reached; the text says why.
    Failing(String),
}

impl Sync {
    /// The first LIST was complete: a missing key is an object that does not exist, or did not a moment ago.
    pub fn is_complete(&self) -> bool {
        matches!(self, Self::Following | Self::Behind(_))
    }
}

/// All objects of one kind that match the watch's selectors. Clones share it; the last one that drops ends the watch.
pub struct Cache<T> {
    shared: Arc<Shared<T>>,
    watch: Arc<AbortOnDropHandle<()>>,
}

struct Shared<T> {
    objects: RwLock<HashMap<Key, Arc<T>>>,
    /// Objects that our own writes made go, by their uids, until the watch says so too and everybody is told.
    buried: Mutex<HashMap<Box<str>, Option<Arc<T>>>>,
    generation: watch::Sender<u64>,
    sync: watch::Sender<Sync>,
}

/// The cache knows a newer copy already: the watch is behind our own writes.
struct Behind;

/// Told of each key that changed or went. Called from the watch's task: must not block.
pub type OnChange<T> = Box<dyn Fn(&Change<T>) + Send + std::marker::Sync>;

/// What happened to a key.
#[derive(Debug)]
pub enum Change<T> {
    /// It is new, or other than before.
    Set {
        /// What it was.
        old: Option<Arc<T>>,
        /// What it is.
        new: Arc<T>,
    },
    /// It went.
    Gone(Arc<T>),
}

impl<T: Slim> Change<T> {
    /// The key.
    pub fn key(&self) -> &Key {
        match self {
            Self::Set { new, .. } => new.key(),
            Self::Gone(old) => old.key(),
        }
    }
}

impl<T> Clone for Cache<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), watch: self.watch.clone() }
    }
}

impl<T: Slim> Cache<T> {
    /// Starts to follow what `scope` makes of the client: all namespaces, or one. Returns at once: see [`Cache::complete`].
    pub fn start(
        client: &Client,
        scope: impl FnOnce(Client) -> Api<T::Wire>,
        selectors: watcher::Config,
        on_change: OnChange<T>,
    ) -> Self {
        let shared = Arc::new(Shared {
            objects: RwLock::default(),
            buried: Mutex::default(),
            generation: watch::Sender::new(0),
            sync: watch::Sender::new(Sync::Starting),
        });
        let api = scope(shared.clone().hears_of_watches(client));
        let task = tokio::spawn(follow(api, selectors, shared.clone(), on_change));
        Self { shared, watch: Arc::new(AbortOnDropHandle::new(task)) }
    }

    /// The object of a key.
    pub fn get(&self, key: &Key) -> Option<Arc<T>> {
        self.shared.objects.read().get(key).cloned()
    }

    /// All objects, in no order.
    pub fn all(&self) -> Vec<Arc<T>> {
        self.shared.objects.read().values().cloned().collect()
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        self.shared.objects.read().len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the cache is current, and news of it.
    pub fn sync(&self) -> watch::Receiver<Sync> {
        self.shared.sync.subscribe()
    }

    /// Shows an object as one of our own writes left it, before the watch does, so that nobody decides from what we
    /// know to be outdated. Tells nobody.
    pub fn note(&self, object: T) {
        // Where the watch was faster, there is nothing to add.
        let _ = self.shared.replace(Arc::new(object));
    }

    /// Shows that one of our own writes made an object go, before the watch does. It is told when the watch says so.
    pub fn note_gone(&self, object: &T) {
        let mut objects = self.shared.objects.write();
        let is_there = objects.get(object.key()).is_some_and(|current| current.uid() == object.uid());
        let gone = if is_there { objects.remove(object.key()) } else { None };
        let mut buried = self.shared.buried.lock();
        let grave = buried.entry(object.uid().into()).or_default();
        if gone.is_some() {
            *grave = gone;
        }
    }

    /// Waits until the first LIST is complete.
    pub async fn complete(&self) {
        let mut sync = self.sync();
        // The sender lives as long as `self`, so that waiting can't fail.
        let _ = sync.wait_for(Sync::is_complete).await;
    }

    /// Waits until `look` finds what it looks for, asking again after each change. No polling.
    pub async fn wait_for<R>(&self, mut look: impl FnMut(&Self) -> Option<R>) -> R {
        let mut generation = self.shared.generation.subscribe();
        loop {
            generation.borrow_and_update();
            if let Some(found) = look(self) {
                return found;
            }
            // The sender lives as long as `self`, so that waiting can't fail.
            let _ = generation.changed().await;
        }
    }
}

async fn follow<T: Slim>(
    api: Api<T::Wire>,
    selectors: watcher::Config,
    shared: Arc<Shared<T>>,
    on_change: OnChange<T>,
) {
    let mut listed = None;
    let mut events = watcher(api, selectors).default_backoff().boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => shared.take(event, &mut listed, &on_change),
            Err(error) => shared.broken(&error),
        }
    }
}

impl<T: Slim> Shared<T> {
    /// A client that tells when the API server has opened a watch. The watcher tells of an error, but of its end only with the
    /// next event, and there are kinds that nobody changes for weeks.
    fn hears_of_watches(self: Arc<Self>, client: &Client) -> Client {
        let inner = client.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (shared, inner) = (self.clone(), inner.clone());
            async move {
                let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
                let answer = inner.send(request).await?;
                if is_watch && answer.status().is_success() {
                    shared.resumed();
                }
                Ok::<_, kube::Error>(answer)
            }
        });
        Client::new(service, client.default_namespace())
    }

    /// `listed` holds the keys of a LIST under way.
    fn take(
        &self,
        event: watcher::Event<T::Wire>,
        listed: &mut Option<HashSet<Key>>,
        on_change: &OnChange<T>,
    ) {
        match event {
            watcher::Event::Init => *listed = Some(HashSet::new()),
            watcher::Event::InitApply(wire) => {
                let object = T::trim(wire);
                listed.get_or_insert_default().insert(object.key().clone());
                self.set(object, on_change);
            }
            watcher::Event::InitDone => {
                self.drop_unlisted(&listed.take().unwrap_or_default(), on_change);
                self.following();
            }
            watcher::Event::Apply(wire) => {
                self.set(T::trim(wire), on_change);
                self.following();
            }
            watcher::Event::Delete(wire) => {
                self.remove(&T::trim(wire), on_change);
                self.following();
            }
        }
    }

    fn set(&self, object: T, on_change: &OnChange<T>) {
        let new = Arc::new(object);
        let Ok(old) = self.replace(new.clone()) else { return };
        self.generation.send_modify(|generation| *generation += 1);
        on_change(&Change::Set { old, new });
    }

    /// Puts `new` in its place, and returns what was there.
    fn replace(&self, new: Arc<T>) -> Result<Option<Arc<T>>, Behind> {
        let mut objects = self.objects.write();
        let current = objects.get(new.key());
        if self.buried.lock().contains_key(new.uid())
            || current.is_some_and(|current| !is_newer(new.as_ref(), current.as_ref()))
        {
            return Err(Behind);
        }
        Ok(objects.insert(new.key().clone(), new))
    }

    /// `object` is as the server saw it last.
    fn remove(&self, object: &T, on_change: &OnChange<T>) {
        let gone = {
            let mut objects = self.objects.write();
            let buried = self.buried.lock().remove(object.uid()).flatten();
            let stale = objects.get(object.key()).is_some_and(|current| is_newer(current.as_ref(), object));
            if stale { buried } else { objects.remove(object.key()).or(buried) }
        };
        self.generation.send_modify(|generation| *generation += 1);
        if let Some(old) = gone {
            on_change(&Change::Gone(old));
        }
    }

    fn drop_unlisted(&self, listed: &HashSet<Key>, on_change: &OnChange<T>) {
        let objects = self.objects.read();
        let gone: Vec<Arc<T>> = objects
            .iter()
            .filter(|(key, _)| !listed.contains(*key))
            .map(|(_, object)| object.clone())
            .collect();
        drop(objects);
        for object in gone {
            self.remove(&object, on_change);
        }
        // Whatever went before this list is not in it, and the watch will not tell of it again.
        let buried: Vec<_> = self.buried.lock().drain().filter_map(|(_, object)| object).collect();
        buried.into_iter().for_each(|object| on_change(&Change::Gone(object)));
    }

    fn following(&self) {
        self.sync.send_if_modified(|sync| {
            let news = *sync != Sync::Following;
            *sync = Sync::Following;
            news
        });
        self.generation.send_modify(|generation| *generation += 1);
    }

    /// What was complete is current again; whatever happened meanwhile comes next.
    fn resumed(&self) {
        self.sync.send_if_modified(|sync| {
            let was_behind = matches!(sync, Sync::Behind(_));
            if was_behind {
                *sync = Sync::Following;
            }
            was_behind
        });
    }

    fn broken(&self, error: &watcher::Error) {
        let why = chain(error);
        tracing::debug!(kind = std::any::type_name::<T>(), why, "the watch broke off");
        self.sync.send_modify(|sync| {
            *sync = if sync.is_complete() { Sync::Behind(why) } else { Sync::Failing(why) };
        });
    }
}

/// Resource versions of one kind can be compared as numbers, which Kubernetes promises since 1.35 and etcd always kept.
fn is_newer<T: Slim>(one: &T, other: &T) -> bool {
    let number = |object: &T| object.resource_version().parse::<u64>().ok();
    match (number(one), number(other)) {
        (Some(one), Some(other)) => one > other,
        _ => one.resource_version() != other.resource_version(),
    }
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
