//! What the checks say, as a table and as JSON.

use std::io::Write;

use anyhow::Result;
use serde::Serialize;

use super::{
    finding::{Area, Finding, Gap, Severity, Verdict},
    rules::Check,
};

/// Everything that was checked.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) summary: Summary,
    pub(crate) checks: Vec<Checked>,
}

/// How many of each there are.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    pub(crate) problems: usize,
    pub(crate) warnings: usize,
    /// Checks that could not be made.
    pub(crate) unknown: usize,
}

/// One check and what came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Checked {
    pub(crate) area: Area,
    pub(crate) check: &'static str,
    pub(crate) outcome: Outcome,
    /// Why it was not made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) findings: Vec<Finding>,
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Ok,
    Warning,
    Problem,
    /// It could not be made.
    Unknown,
    /// It does not matter here.
    Skipped,
}

impl Checked {
    pub(crate) fn new(check: &Check, verdict: Verdict) -> Self {
        let (outcome, reason, findings) = match verdict {
            Ok(findings) => (worst(&findings), None, findings),
            Err(Gap::Unknown(why)) => (Outcome::Unknown, Some(why), Vec::new()),
            Err(Gap::Skipped(why)) => (Outcome::Skipped, Some(why), Vec::new()),
        };
        Self { area: check.area, check: check.name, outcome, reason, findings }
    }
}

fn worst(findings: &[Finding]) -> Outcome {
    let has = |severity| findings.iter().any(|finding| finding.severity == severity);
    match (has(Severity::Problem), findings.is_empty()) {
        (true, _) => Outcome::Problem,
        (false, false) => Outcome::Warning,
        (false, true) => Outcome::Ok,
    }
}

impl Report {
    pub(crate) fn new(checks: Vec<Checked>) -> Self {
        let findings = || checks.iter().flat_map(|checked| &checked.findings);
        let count = |severity| findings().filter(|finding| finding.severity == severity).count();
        let summary = Summary {
            problems: count(Severity::Problem),
            warnings: count(Severity::Warning),
            unknown: checks.iter().filter(|checked| checked.outcome == Outcome::Unknown).count(),
        };
        Self { summary, checks }
    }

    pub(crate) fn json(&self, out: &mut impl Write) -> Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        Ok(writeln!(out)?)
    }

    pub(crate) fn text(&self, out: &mut impl Write) -> Result<()> {
        let mut area = None;
        for checked in &self.checks {
            if area != Some(checked.area) {
                let space = if area.is_some() { "\n" } else { "" };
                writeln!(out, "{space}{}", title(checked.area))?;
                area = Some(checked.area);
            }
            checked.text(out)?;
        }
        Ok(writeln!(out, "\n{}", self.summary.text())?)
    }
}

impl Checked {
    fn text(&self, out: &mut impl Write) -> Result<()> {
        let line = |what: &str| {
            format!("  {:<8} {:<20} {what}", self.outcome.word(), self.check).trim_end().to_owned()
        };
        if self.findings.is_empty() {
            writeln!(out, "{}", line(self.reason.as_deref().unwrap_or_default()))?;
        }
        for finding in &self.findings {
            writeln!(out, "{}", line(&format!("{} [{}]", finding.what, finding.id)))?;
            writeln!(out, "{:<32}why: {}", "", finding.why)?;
            writeln!(out, "{:<32}do:  {}", "", finding.fix)?;
        }
        Ok(())
    }
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "PROBLEM",
            Self::Unknown => "unknown",
            Self::Skipped => "skipped",
        }
    }
}

impl Summary {
    fn text(&self) -> String {
        let Self { problems, warnings, unknown } = *self;
        let counted = |count: usize, what: &str| match count {
            0 => format!("no {what}s"),
            1 => format!("1 {what}"),
            many => format!("{many} {what}s"),
        };
        let checks = match unknown {
            0 => String::new(),
            1 => "; 1 check could not be made".to_owned(),
            many => format!("; {many} checks could not be made"),
        };
        format!("{}, {}{checks}", counted(problems, "problem"), counted(warnings, "warning"))
    }
}

fn title(area: Area) -> &'static str {
    match area {
        Area::Configuration => "Configuration",
        Area::Openstack => "OpenStack",
        Area::Kubernetes => "Kubernetes",
        Area::Host => "This host",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{
        judge,
        rules::{CHECKS, sample::good},
    };

    fn report() -> Report {
        let mut facts = good();
        facts.cluster.controller_lacks = Err(Gap::unknown("forbidden"));
        facts.host.taken = Err(Gap::skipped("no node"));
        facts.cloud.extensions.as_mut().unwrap().remove("binding");
        facts.cloud.pod_network.as_mut().unwrap().mtu = 0;
        judge(&facts, CHECKS.iter())
    }

    #[test]
    fn one_gap_hides_nothing_else() {
        let report = report();
        assert_eq!(report.checks.len(), CHECKS.len());
        assert_eq!(report.summary, Summary { problems: 1, warnings: 1, unknown: 1 });
    }

    #[test]
    fn the_table_says_what_why_and_what_to_do() {
        let mut out = Vec::new();
        report().text(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for line in [
            "OpenStack\n  ok       sign-in\n  PROBLEM  Neutron extensions   Neutron has no extension binding: ports can't be bound \
             to nodes [extension-missing]\n",
            "why: Kuryr does not work on a Neutron without it\n",
            "do:  load the plugin that offers binding",
            "\n  unknown  controller's rights  forbidden\n",
            "\n  skipped  free ports           no node\n",
            "\n\n1 problem, 1 warning; 1 check could not be made\n",
        ] {
            assert!(text.contains(line), "{line:?} is not in\n{text}");
        }
    }

    #[test]
    fn json_holds_the_same() {
        let mut out = Vec::new();
        report().json(&mut out).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(read["summary"]["problems"], 1);
        let checks = read["checks"].as_array().unwrap();
        let extensions = checks.iter().find(|checked| checked["check"] == "Neutron extensions").unwrap();
        assert_eq!((&extensions["outcome"], &extensions["area"]), (&"problem".into(), &"openstack".into()));
        assert_eq!(extensions["findings"][0]["id"], "extension-missing");
        assert_eq!(extensions["findings"][0]["severity"], "problem");
    }
}
