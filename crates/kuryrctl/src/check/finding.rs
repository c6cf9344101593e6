//! What a check finds, or why it finds nothing.

use std::fmt::Display;

use serde::Serialize;

/// What checks are about, in the order in which they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Area {
    /// kuryr.conf
    Configuration,
    /// Credentials, rights, networks, quotas, load balancers
    Openstack,
    /// Custom resource definitions, rights
    Kubernetes,
    /// Kernel, Open vSwitch, ports of this host
    Host,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Pods work, but something is not as it should be.
    Warning,
    /// Some pods, or all, will not work.
    Problem,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// Its name, for programs and for docs/troubleshooting.md.
    pub(crate) id: &'static str,
    pub(crate) severity: Severity,
    /// What was found.
    pub(crate) what: String,
    /// Why it matters.
    pub(crate) why: &'static str,
    /// What to do.
    pub(crate) fix: String,
}

/// Why something is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gap {
    /// It could not be found out.
    Unknown(String),
    /// It does not matter here.
    Skipped(String),
}

/// Something that was looked for.
pub(crate) type Seen<T> = Result<T, Gap>;

/// What a check says.
pub(crate) type Verdict = Result<Vec<Finding>, Gap>;

impl Finding {
    pub(crate) fn problem(
        id: &'static str,
        what: impl Into<String>,
        why: &'static str,
        fix: impl Into<String>,
    ) -> Self {
        Self { id, severity: Severity::Problem, what: what.into(), why, fix: fix.into() }
    }

    pub(crate) fn warning(
        id: &'static str,
        what: impl Into<String>,
        why: &'static str,
        fix: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::problem(id, what, why, fix) }
    }
}

impl Gap {
    pub(crate) fn unknown(why: impl Display) -> Self {
        Self::Unknown(why.to_string())
    }

    pub(crate) fn skipped(why: impl Display) -> Self {
        Self::Skipped(why.to_string())
    }
}

/// What was seen, for a check that can't do without it.
pub(crate) fn known<T>(seen: &Seen<T>) -> Result<&T, Gap> {
    seen.as_ref().map_err(Clone::clone)
}
