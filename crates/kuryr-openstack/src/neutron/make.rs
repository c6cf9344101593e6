//! Makes many ports at once, so that each request has its own result.
//!
//! Two things can go wrong with a bulk request. It is refused because of some of its members: they are told, and the
//! others are asked for again ([`blame`](super::blame)). Or its answer is lost: then nobody knows whether the ports exist,
//! so they are looked for by their `device_id` or description and taken if they are there; only what is not there is asked for again.

use super::{
    Neutron, NewPort, Port, PortFilter,
    blame::{Scarce, Verdict, halves, judge, scarce},
    lost::pauses_after,
};
use crate::{Effect, Error, Kind, Result, Service, Target};
use futures::future::join_all;
use http::Method;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

/// Requests that go into one call.
#[derive(Debug, Clone)]
struct Group {
    members: Vec<usize>,
    /// Calls for them whose answer was lost.
    lost: usize,
}

/// The state of one [`Neutron::make_ports`].
struct Making<'a> {
    neutron: &'a Neutron,
    wanted: &'a [NewPort],
    made: Vec<Option<Result<Port>>>,
    groups: Vec<Group>,
    used_up: HashMap<Scarce, Error>,
    faults_in_a_row: usize,
}

/// How often an answer may get lost before the caller is told.
const MOST_LOST: usize = 3;

/// A server that fails on so many requests one after another, each by itself, does not fail because of them.
const MOST_FAULTS: usize = 2;

impl Neutron {
    /// Makes every port of `wanted` that can be made, in as few calls as possible. The results are in the order of `wanted`.
    ///
    /// A request with a `device_id` or a description survives a lost answer: a port that [`NewPort::describes`] says is the wanted one is
    /// taken up, wherever it came from. So a device must not want two ports that differ in nothing else, unless in one call.
    pub async fn make_ports(&self, wanted: &[NewPort]) -> Vec<Result<Port>> {
        let tags = match self.extensions().await {
            Ok(extensions) if extensions.tags_new_ports() => Tags::InCreate,
            Ok(_) => Tags::After,
            Err(error) => return wanted.iter().map(|_| Err(error.clone())).collect(),
        };
        let made = Making::new(self, wanted).run(tags).await;
        let tagged = wanted.iter().zip(made).map(|(wanted, made)| self.tagged(wanted, made));
        join_all(tagged).await
    }

    /// Sees to it that a port has the tags that were asked for. One that cannot be tagged could not be found again as
    /// ours, so it is not kept.
    async fn tagged(&self, wanted: &NewPort, made: Result<Port>) -> Result<Port> {
        let mut port = made?;
        if wanted.tags.iter().all(|tag| port.tags.contains(tag)) {
            return Ok(port);
        }
        let Err(error) = self.set_port_tags(&port.id, &wanted.tags).await else {
            port.tags.clone_from(&wanted.tags);
            return Ok(port);
        };
        if let Err(error) = self.delete_port(&port.id).await {
            tracing::warn!(port = %port.id, error = error.chain(), "cannot delete a port that could not be tagged");
        }
        Err(error)
    }
}

/// When ports get their tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tags {
    InCreate,
    After,
}

impl<'a> Making<'a> {
    fn new(neutron: &'a Neutron, wanted: &'a [NewPort]) -> Self {
        let groups = vec![Group { members: (0..wanted.len()).collect(), lost: 0 }];
        Self {
            neutron,
            wanted,
            made: vec![None; wanted.len()],
            groups,
            used_up: HashMap::new(),
            faults_in_a_row: 0,
        }
    }

    async fn run(mut self, tags: Tags) -> Vec<Result<Port>> {
        while let Some(group) = self.groups.pop() {
            let group = self.without_hopeless(group);
            if group.members.is_empty() {
                continue;
            }
            match self.create(&group, tags).await {
                Ok(ports) => self.hand_out(&group, ports).await,
                Err(error) if self.faults_in_a_row >= MOST_FAULTS => self.fail(&group.members, &error),
                Err(error) if error.effect() == Effect::Unknown => self.recover(group, error).await,
                Err(error) => self.blame(&group, &error),
            }
        }
        self.made.into_iter().map(|result| result.unwrap_or_else(|| Err(unanswered()))).collect()
    }

    /// Fails the members who want what is used up.
    fn without_hopeless(&mut self, mut group: Group) -> Group {
        let (used_up, wanted, made) = (&self.used_up, self.wanted, &mut self.made);
        group.members.retain(|&member| {
            let reason =
                used_up.iter().find(|(what, error)| scarce(error, &wanted[member]).as_ref() == Some(*what));
            if let Some((_, error)) = reason {
                made[member] = Some(Err(error.clone()));
            }
            reason.is_none()
        });
        group
    }

    async fn create(&self, group: &Group, tags: Tags) -> Result<Vec<Port>> {
        let ports = group.members.iter().map(|&member| &self.wanted[member]);
        match tags {
            Tags::InCreate => self.neutron.create_ports(&ports.collect::<Vec<_>>()).await,
            Tags::After => {
                let bare: Vec<_> = ports.map(|port| NewPort { tags: Vec::new(), ..port.clone() }).collect();
                self.neutron.create_ports(&bare.iter().collect::<Vec<_>>()).await
            }
        }
    }

    /// Gives each member its port of a good answer.
    async fn hand_out(&mut self, group: &Group, ports: Vec<Port>) {
        self.faults_in_a_row = 0;
        let (unserved, unclaimed) = self.assign(&group.members, ports);
        // All are of our making, so a port that a server describes otherwise than it was asked to is still the next one's.
        let mut unclaimed = unclaimed.into_iter();
        for member in unserved {
            self.made[member] = Some(unclaimed.next().ok_or_else(unanswered));
        }
        if group.lost > 0 {
            self.remove_doubles(&group.members).await;
        }
    }

    /// Gives members the ports that are theirs. Returns the members and the ports that are left.
    fn assign(&mut self, members: &[usize], mut ports: Vec<Port>) -> (Vec<usize>, Vec<Port>) {
        let mut unserved = Vec::new();
        for &member in members {
            match ports.iter().position(|port| self.wanted[member].describes(port)) {
                Some(at) => self.made[member] = Some(Ok(ports.remove(at))),
                None => unserved.push(member),
            }
        }
        (unserved, ports)
    }

    fn blame(&mut self, group: &Group, error: &Error) {
        match judge(error, &group.members, self.wanted) {
            Verdict::Nobody => self.fail(&group.members, error),
            Verdict::Guilty { guilty, others } => {
                self.used_up.extend(guilty.iter().filter_map(|&member| {
                    scarce(error, &self.wanted[member]).map(|what| (what, error.clone()))
                }));
                self.fail(&guilty, error);
                self.groups.push(Group { members: others, lost: group.lost });
            }
            Verdict::Split(first, second) => self.split(first, second, group.lost),
        }
    }

    /// Asks for two parts by themselves, the first part first.
    fn split(&mut self, first: Vec<usize>, second: Vec<usize>, lost: usize) {
        self.groups.push(Group { members: second, lost });
        self.groups.push(Group { members: first, lost });
    }

    fn fail(&mut self, members: &[usize], error: &Error) {
        for &member in members {
            self.made[member] = Some(Err(error.clone()));
        }
    }

    /// Takes up what exists after a lost answer, and asks again for what does not.
    async fn recover(&mut self, group: Group, error: Error) {
        let (traceable, others) =
            group.members.iter().partition::<Vec<_>, _>(|&&member| self.wanted[member].is_traceable());
        self.fail(&others, &error);
        let missing = match self.look_for(traceable.clone(), pauses_after(&error)).await {
            Ok(missing) => missing,
            Err(unseen) => {
                tracing::warn!(error = unseen.chain(), "cannot tell which ports a lost request has made");
                return self.fail(&traceable, &error);
            }
        };
        tracing::info!(
            error = error.chain(),
            asked = traceable.len(),
            missing = missing.len(),
            "looked for the ports of a lost request"
        );
        self.ask_again(missing, group.lost + 1, &error);
    }

    fn ask_again(&mut self, missing: Vec<usize>, lost: usize, error: &Error) {
        match (error.kind(), missing.len()) {
            // A server that fails on one of them fails on all: find out on which.
            (Kind::Fault, 2..) => {
                let (first, second) = halves(&missing);
                self.split(first, second, lost);
            }
            (kind, _) if lost >= MOST_LOST => {
                self.faults_in_a_row += usize::from(kind == Kind::Fault);
                self.fail(&missing, error);
            }
            _ => self.groups.push(Group { members: missing, lost }),
        }
    }

    /// Looks for the members' ports until all are found or no pause is left. Tells whose were not found.
    async fn look_for(&mut self, mut missing: Vec<usize>, pauses: &[Duration]) -> Result<Vec<usize>> {
        let mut pauses = pauses.iter();
        while !missing.is_empty() {
            let found = self.made_for(&missing).await?;
            missing = self.assign(&missing, found).0;
            match pauses.next() {
                Some(pause) if !missing.is_empty() => tokio::time::sleep(*pause).await,
                _ => break,
            }
        }
        Ok(missing)
    }

    /// A request that was thought lost can still arrive after its repetition. What nobody has been given goes.
    async fn remove_doubles(&self, members: &[usize]) {
        let Ok(found) = self.made_for(members).await else { return };
        let ours = |port: &Port| members.iter().any(|&member| self.wanted[member].describes(port));
        let given: HashSet<_> = self.made.iter().flatten().flatten().map(|port| &port.id).collect();
        for port in found.iter().filter(|port| ours(port) && !given.contains(&port.id)) {
            match self.neutron.delete_port(&port.id).await {
                Ok(_) => tracing::info!(port = %port.id, "deleted a port made twice"),
                Err(error) => {
                    tracing::warn!(port = %port.id, error = error.chain(), "cannot delete a port made twice");
                }
            }
        }
    }

    /// The ports that were made for any of these, and others that can't be told from them.
    async fn made_for(&self, members: &[usize]) -> Result<Vec<Port>> {
        let all = |of: fn(&NewPort) -> &str| {
            let texts = members.iter().map(|&member| of(&self.wanted[member]));
            texts.filter(|text| !text.is_empty()).map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let devices = all(|port| &port.device_id);
        let descriptions = all(|port| if port.device_id.is_empty() { &port.description } else { "" });
        let filters = [
            PortFilter { device_ids: Some(devices.into_iter().collect()), ..PortFilter::default() },
            PortFilter { descriptions: Some(descriptions.into_iter().collect()), ..PortFilter::default() },
        ];
        let mut found = Vec::new();
        for filter in &filters {
            found.append(&mut self.neutron.ports(filter).await?);
        }
        Ok(found)
    }
}

fn unanswered() -> Error {
    Error::MatchAnswer {
        call: Target { service: Service::Network, method: Method::POST, path: "/ports".into() },
    }
}
