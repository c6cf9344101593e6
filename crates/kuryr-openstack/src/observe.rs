//! Tells whoever counts (the metrics) about every finished HTTP request.

use crate::{Kind, Service};
use http::{Method, StatusCode};
use std::time::Duration;

/// Is told of every HTTP request, each try of a repeated call by itself.
pub trait Observer: Send + Sync {
    /// Called once for each request when its answer is complete or has failed; must not block.
    fn finished(&self, request: &Finished<'_>);
}

/// A request that is over.
#[derive(Debug)]
pub struct Finished<'a> {
    /// The service that was called.
    pub service: Service,
    /// The HTTP method.
    pub method: &'a Method,
    /// The path with placeholders for ids (`/ports/{id}`): few values, so fit for a metric's label.
    pub route: &'static str,
    /// The status of the answer, or why there is none.
    pub outcome: Result<StatusCode, Kind>,
    /// From sending the request to the last byte of the answer.
    pub took: Duration,
}

/// Counts nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn finished(&self, _: &Finished<'_>) {}
}
