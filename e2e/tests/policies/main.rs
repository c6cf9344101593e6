//! NetworkPolicies, with real packets.

mod choice;
mod commands;
mod grid;
mod life;
mod matrix;
mod truth_table;
