//! What installs Kuryr: the definitions that `kuryrctl generate` and the old script write, and the Helm chart.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod chart;
mod generate;
mod support;
