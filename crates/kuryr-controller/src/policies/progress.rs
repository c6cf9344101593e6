//! How far each policy is: whether pods can take its groups, and what it waits for.

use super::{Policies, Subject, key};
use crate::context::Context;
use kuryr_api::SecurityGroupId;
use kuryr_core::policy::Index;
use std::collections::{BTreeSet, HashMap, HashSet};

/// How far each is.
#[derive(Default)]
pub(super) struct Progress {
    /// Those whose groups grant what they should, and these groups: pods have to take those that are made anew.
    complete: HashMap<Subject, BTreeSet<SecurityGroupId>>,
    /// Those of which more is wanted than when they were last looked at.
    changed: HashSet<Subject>,
    /// Those whose groups can't be brought into being now.
    stuck: HashSet<Subject>,
    /// Those that wait until ports carry what they should.
    waiting: BTreeSet<Subject>,
}

impl Progress {
    /// More is wanted of it than it was looked at for.
    pub(super) fn outdate(&mut self, subject: &Subject) {
        self.complete.remove(subject);
        self.changed.insert(subject.clone());
    }

    /// Whether pods can take this group of `subject`, or do without it where there is none.
    pub(super) fn is_ready(&self, subject: &Subject, group: Option<&SecurityGroupId>) -> bool {
        let is_complete = |group| self.complete.get(subject).is_some_and(|groups| groups.contains(group));
        group.is_some_and(is_complete) || self.stuck.contains(subject)
    }
}

impl Policies {
    /// What is wanted of `subject` is asked for now.
    pub fn looked_at(&self, subject: &Subject) {
        self.progress.lock().changed.remove(subject);
    }

    /// These groups of `subject` grant what they should: its pods can take them.
    pub fn completed(&self, context: &Context, subject: &Subject, groups: BTreeSet<SecurityGroupId>) {
        let is_news = {
            let mut progress = self.progress.lock();
            progress.stuck.remove(subject);
            !progress.changed.contains(subject)
                && progress.complete.insert(subject.clone(), groups.clone()) != Some(groups)
        };
        if is_news {
            self.wake_pods(context, subject);
        }
    }

    /// A group of `subject` is not there: when it is there again, be it the same one, that is news.
    pub fn lost(&self, subject: &Subject) {
        self.progress.lock().complete.remove(subject);
    }

    /// The groups of `subject` can't be brought into being now. Its pods get what is there.
    pub fn stuck(&self, context: &Context, subject: &Subject) {
        if self.progress.lock().stuck.insert(subject.clone()) {
            self.wake_pods(context, subject);
        }
    }

    /// `subject` has no groups and needs none: maybe it is gone.
    pub fn forget(&self, subject: &Subject) {
        let mut progress = self.progress.lock();
        progress.complete.remove(subject);
        progress.stuck.remove(subject);
        progress.waiting.remove(subject);
    }

    /// Looks at the pods that wait for the groups of `subject`.
    fn wake_pods(&self, context: &Context, subject: &Subject) {
        let pods = match subject {
            Subject::Policy(policy) => self.ask(|index| index.subjects(policy)).unwrap_or_default(),
            Subject::Shared => self.ask(Index::isolated_pods).unwrap_or_default(),
        };
        pods.iter().for_each(|pod| context.queue.add(key(pod)));
    }

    /// `subject` waits until ports carry what they should. Tells whether it only begins to: what changed before is not told.
    pub fn wait_for_pods(&self, subject: &Subject) -> bool {
        self.progress.lock().waiting.insert(subject.clone())
    }

    /// A port carries others than it did, or is gone.
    pub fn port_changed(&self) {
        for subject in std::mem::take(&mut self.progress.lock().waiting) {
            self.queue.add(subject);
        }
    }
}
