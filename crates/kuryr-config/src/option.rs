//! What is known about an option: its name, type, default, help, and what this version does with it.

use crate::kind::Kind;

/// One option of `kuryr.conf`.
#[derive(Debug, Clone, Copy)]
pub struct Opt {
    /// Name as written in the file.
    pub name: &'static str,
    /// What its text may be.
    pub kind: Kind,
    /// What it is when nobody sets it.
    pub default: Preset,
    /// What it is for, one line of documentation an item.
    pub help: &'static [&'static str],
    /// What this version does with it.
    pub state: State,
    /// Who may see its value.
    pub privacy: Privacy,
    /// Where the option came from.
    pub origin: Origin,
    /// Older places of the option, `(group, name)`; an empty group means the option's own.
    pub deprecated: &'static [(&'static str, &'static str)],
    /// The only texts allowed, when there are such.
    pub choices: &'static [Choice],
}

/// A `[group]` of options.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// Name as written between the brackets.
    pub name: &'static str,
    /// What its options are about.
    pub help: &'static [&'static str],
    /// Its options.
    pub options: &'static [Opt],
}

/// The value of an option that nobody sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// None.
    Unset,
    /// This text, read as if it stood in the file.
    Text(&'static str),
    /// The environment variable, else the text.
    Env(&'static str, &'static str),
}

/// What this version does with an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is honoured.
    Active,
    /// It belongs to the named feature, which is not there yet.
    Later(&'static str),
    /// It has no meaning any more, for this reason.
    Obsolete(&'static str),
}

/// Who may see an option's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// Anyone.
    Public,
    /// Nobody: it is never printed.
    Secret,
}

/// Where an option came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Kuryr-Kubernetes, or a library of it.
    Kuryr,
    /// This project.
    New,
}

/// A text that an option may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Does what it says.
    Works(&'static str),
    /// Accepted with a warning: it needs the named feature, which is not there yet, and nothing goes wrong without it.
    Ignored(&'static str, &'static str),
}

impl Opt {
    /// An option that is honoured, without a default.
    pub const fn new(name: &'static str, kind: Kind, help: &'static [&'static str]) -> Self {
        Self {
            name,
            kind,
            default: Preset::Unset,
            help,
            state: State::Active,
            privacy: Privacy::Public,
            origin: Origin::Kuryr,
            deprecated: &[],
            choices: &[],
        }
    }

    /// With this default.
    #[must_use]
    pub const fn preset(mut self, text: &'static str) -> Self {
        self.default = Preset::Text(text);
        self
    }

    /// With a default from the environment.
    #[must_use]
    pub const fn env(mut self, variable: &'static str, otherwise: &'static str) -> Self {
        self.default = Preset::Env(variable, otherwise);
        self
    }

    /// Of another type than its field's usual one.
    #[must_use]
    pub const fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Of a feature to come.
    #[must_use]
    pub const fn later(mut self, feature: &'static str) -> Self {
        self.state = State::Later(feature);
        self
    }

    /// Without a meaning any more.
    #[must_use]
    pub const fn obsolete(mut self, why: &'static str) -> Self {
        self.state = State::Obsolete(why);
        self
    }

    /// Never to be printed.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.privacy = Privacy::Secret;
        self
    }

    /// Not known to the original.
    #[must_use]
    pub const fn added(mut self) -> Self {
        self.origin = Origin::New;
        self
    }

    /// Also found at these older places.
    #[must_use]
    pub const fn deprecated(mut self, places: &'static [(&'static str, &'static str)]) -> Self {
        self.deprecated = places;
        self
    }

    /// With only these texts allowed.
    #[must_use]
    pub const fn choices(mut self, choices: &'static [Choice]) -> Self {
        self.choices = choices;
        self
    }
}

impl Choice {
    /// The text itself.
    pub const fn text(&self) -> &'static str {
        match self {
            Self::Works(text) | Self::Ignored(text, _) => text,
        }
    }
}
