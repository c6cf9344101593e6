//! The options that a file may hold, and how to find one.

use crate::option::{Group, Opt};

/// The group whose options have no group in Python's eyes.
pub const DEFAULT: &str = "DEFAULT";

/// Every known group of options.
#[derive(Debug, Clone)]
pub struct Schema {
    groups: Vec<Group>,
}

impl Schema {
    /// A schema of these groups.
    pub fn new(groups: Vec<Group>) -> Self {
        Self { groups }
    }

    /// The groups, in documentation order.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Every option with the name of its group.
    pub fn options(&self) -> impl Iterator<Item = (&'static str, &'static Opt)> {
        self.groups.iter().flat_map(|group| group.options.iter().map(|opt| (group.name, opt)))
    }

    /// The group of that exact name.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// The option of that exact group and name.
    pub fn option(&self, group: &str, name: &str) -> Option<&'static Opt> {
        self.group(group)?.options.iter().find(|opt| opt.name == name)
    }

    /// Whether an option may stand at this place, be it its own or an older one.
    pub(crate) fn knows(&self, group: &str, name: &str) -> bool {
        self.options().any(|(own, opt)| places(own, opt).any(|place| place == (group, name)))
    }

    /// Whether a group of that name holds anything, be it under its own name or an older one.
    pub(crate) fn knows_group(&self, name: &str) -> bool {
        self.group(name).is_some()
            || self.options().any(|(own, opt)| places(own, opt).any(|place| place.0 == name))
    }
}

/// Where an option is looked for: its own place, then its older ones.
pub(crate) fn places<'a>(group: &'a str, opt: &'a Opt) -> impl Iterator<Item = (&'a str, &'a str)> {
    let or_own = move |older: &'a str| if older.is_empty() { group } else { older };
    let older = opt.deprecated.iter().map(move |&(older, name)| (or_own(older), name));
    std::iter::once((group, opt.name)).chain(older)
}

/// A group's name as oslo.config compares it: in lower case, but for `DEFAULT`.
pub(crate) fn normalized(group: &str) -> String {
    if group == DEFAULT { group.to_owned() } else { group.to_lowercase() }
}
