//! The verbs of CNI, one file each.

mod add;
mod check;
mod del;
mod gc;
mod status;

pub use add::Added;
