//! What is missing or wrong on the way to OpenStack, each with its place.

use std::{fmt, io, path::PathBuf};

use thiserror::Error;

/// Why there is no way to OpenStack.
#[derive(Debug, Error)]
pub enum CloudError {
    /// A cloud is named, and there is no `clouds.yaml`.
    #[error("there is no clouds.yaml for cloud {cloud:?}; looked for {}", Listed(looked))]
    FindFile {
        /// The cloud.
        cloud: String,
        /// Where we looked.
        looked: Vec<PathBuf>,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    ReadFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not YAML.
    #[error("{} is not YAML: {why}", path.display())]
    ParseFile {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The file has no such cloud.
    #[error("{} has no cloud {cloud:?}; it has {}", path.display(), known.join(", "))]
    FindCloud {
        /// The cloud.
        cloud: String,
        /// The file.
        path: PathBuf,
        /// What is in it.
        known: Vec<String>,
    },
    /// Something that is needed is not set.
    #[error("{place}: {option} is not set, and {what} needs it")]
    FindOption {
        /// Where it should be.
        place: Place,
        /// Its name.
        option: &'static str,
        /// What needs it.
        what: &'static str,
    },
    /// A value that is not one of those allowed.
    #[error("{place}: {option} = {value:?}: only {allowed} is allowed here")]
    ReadOption {
        /// Where it is.
        place: Place,
        /// Its name.
        option: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
}

/// Where credentials stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a group of `kuryr.conf`.
    Group(String),
    /// In an entry of a `clouds.yaml`.
    Cloud {
        /// Its name.
        cloud: String,
        /// The file.
        path: PathBuf,
    },
    /// In environment variables: `OS_` and the option's name in capitals.
    Environment,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(group) => write!(f, "[{group}]"),
            Self::Cloud { cloud, path } => write!(f, "cloud {cloud} of {}", path.display()),
            Self::Environment => f.write_str("the environment variables OS_*"),
        }
    }
}

/// Paths, separated by commas.
struct Listed<'a>(&'a [PathBuf]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<_> = self.0.iter().map(|path| path.display().to_string()).collect();
        f.write_str(&paths.join(", "))
    }
}
