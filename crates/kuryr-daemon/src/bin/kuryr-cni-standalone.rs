//! `kuryr-cni-standalone`: the CNI plugin of a node without daemon, where it is installed as `kuryr-cni`. See [`standalone`].

use std::process::ExitCode;

use kuryr_daemon::standalone;

const ABOUT: &str = concat!(
    "kuryr-cni ",
    env!("CARGO_PKG_VERSION"),
    " without daemon: a CNI plugin, which a container runtime starts"
);

fn main() -> ExitCode {
    kuryr_cni::program::main(ABOUT, |variables, input| standalone::run(variables, input))
}
