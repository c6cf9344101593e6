//! What is measured: whole calls, under the name that the Python Kuryr gave them, and their steps.

use std::{fmt, time::Duration};

use kuryr_cni::Command;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};
use tokio::time::Instant;

/// The Python Kuryr's buckets, in seconds.
const CALLS: [f64; 18] =
    [10., 20., 30., 40., 50., 60., 70., 80., 90., 100., 110., 120., 130., 140., 150., 160., 170., 180.];
/// Steps take between a millisecond and a minute.
const STEPS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1., 2.5, 5., 10., 60.];

/// The daemon's measurements.
#[derive(Debug, Clone)]
pub struct Metrics {
    calls: Family<CallLabels, Histogram>,
    steps: Family<StepLabels, Histogram>,
}

/// A part of ADD, or of DEL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Waiting for the controller's record.
    Record,
    /// Making the links.
    Link,
    /// Changing OVSDB.
    Ovsdb,
    /// Waiting until the backend has wired the port.
    Wired,
    /// Giving the links inside their addresses, beside waiting for the backend.
    Address,
    /// Setting them up, with their routes.
    Up,
    /// Removing a port from OVSDB.
    RemovePort,
    /// Removing its links.
    RemoveLink,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    command: String,
    error: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    step: Step,
}

impl EncodeLabelValue for Step {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let name = match self {
            Self::Record => "record",
            Self::Link => "link",
            Self::Ovsdb => "ovsdb",
            Self::Wired => "wired",
            Self::Address => "address",
            Self::Up => "up",
            Self::RemovePort => "remove_port",
            Self::RemoveLink => "remove_link",
        };
        name.encode(encoder)
    }
}

impl Metrics {
    /// Registers the measurements.
    pub fn new(registry: &mut Registry) -> Self {
        let calls = Family::new_with_constructor((|| Histogram::new(CALLS)) as fn() -> Histogram);
        let steps = Family::new_with_constructor((|| Histogram::new(STEPS)) as fn() -> Histogram);
        registry.register_with_unit(
            "kuryr_cni_request_duration",
            "Time of a CNI request",
            Unit::Seconds,
            calls.clone(),
        );
        registry.register_with_unit(
            "kuryr_cni_step_duration",
            "Time of a step of CNI ADD or DEL",
            Unit::Seconds,
            steps.clone(),
        );
        Self { calls, steps }
    }

    /// A call ended.
    pub fn called(&self, command: Command, failed: bool, took: Duration) {
        // `True` and `False`, as the Python Kuryr has it in dashboards.
        let error = if failed { "True" } else { "False" };
        let labels = CallLabels { command: command.to_string(), error: error.to_owned() };
        self.calls.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Does a step and measures it; the log says at `debug` which call it was for.
    pub async fn time<T>(&self, step: Step, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let done = work.await;
        let took = started.elapsed();
        self.steps.get_or_create(&StepLabels { step }).observe(took.as_secs_f64());
        tracing::debug!(?step, ms = took.as_millis(), "done with a step");
        done
    }
}
