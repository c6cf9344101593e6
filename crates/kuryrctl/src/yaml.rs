//! Kubernetes objects as YAML.

use anyhow::{Context, Result};
use serde::Serialize;

/// One document, without its separator.
pub(crate) fn document(object: &impl Serialize) -> Result<String> {
    // By way of JSON values: they hold no field that is not set, and their keys are sorted.
    let value = serde_json::to_value(object).context("cannot serialise a definition")?;
    serde_saphyr::to_string(&value).context("cannot write a definition as YAML")
}
