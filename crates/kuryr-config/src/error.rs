//! What is wrong with a configuration, all of it at once.

use std::{fmt, io, path::PathBuf};

use thiserror::Error;

use crate::{ini::SyntaxError, kind::Refused};

/// Everything that is wrong with a configuration. A program that gets it says so and exits with code 2.
#[derive(Debug, Error)]
pub struct ConfigError {
    /// Each fault, in reading order.
    pub problems: Vec<Problem>,
}

/// One fault.
#[derive(Debug, Error)]
pub enum Problem {
    /// A file or directory that was asked for cannot be read.
    #[error("cannot read {}: {why}", path.display())]
    ReadFile {
        /// Which.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// A file is not in oslo.config's dialect.
    #[error("{}: {why}", path.display())]
    ParseFile {
        /// Which.
        path: PathBuf,
        /// Where and why.
        why: SyntaxError,
    },
    /// An option's text is not of its type.
    #[error("{origin}: [{group}] {option} = {value}: {why}")]
    ReadValue {
        /// Where the text stands.
        origin: Origin,
        /// The option's group.
        group: String,
        /// The option's name.
        option: &'static str,
        /// The text, unless it is a secret.
        value: Shown,
        /// What is allowed.
        why: Refused,
    },
    /// An option's text refers to something that is not there, or to itself.
    #[error("{origin}: [{group}] {option}: {why}")]
    FollowReference {
        /// Where the text stands.
        origin: Origin,
        /// The option's group.
        group: String,
        /// The option's name.
        option: &'static str,
        /// Which reference, and why not.
        why: ReferenceError,
    },
}

/// Why a `$reference` cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReferenceError {
    /// No such option.
    #[error("${{{0}}} names no option; write $$ for a plain dollar sign")]
    Unknown(String),
    /// A group alone, or an option of no known group.
    #[error("${{{0}}} names no option of a known group; write $$ for a plain dollar sign")]
    UnknownGroup(String),
    /// The way back to where it began.
    #[error("${{{0}}} leads back to this option")]
    Loop(String),
    /// The option there has a fault itself.
    #[error("${{{0}}} has a fault itself")]
    Faulty(String),
}

/// Where a text stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of a file.
    File {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// The command line.
    CommandLine,
    /// Nobody set it: the option's default.
    Default,
}

/// A text as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// The text.
    Text(String),
    /// A secret.
    Hidden,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.problems.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::CommandLine => f.write_str("command line"),
            Self::Default => f.write_str("default"),
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Hidden => f.write_str("***"),
        }
    }
}
