//! `kuryr-cni`: the CNI plugin that a container runtime starts. See the library for what it does.

use std::process::ExitCode;

const ABOUT: &str = concat!(
    "kuryr-cni ",
    env!("CARGO_PKG_VERSION"),
    "\nkuryr-cni connects pods to OpenStack Neutron networks. It is a CNI plugin: a container runtime starts it with the variables \
     CNI_COMMAND, CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME and CNI_ARGS, and the network configuration on standard input. It speaks CNI \
     0.3.0, 0.3.1, 0.4.0, 1.0.0 and 1.1.0."
);

fn main() -> ExitCode {
    kuryr_cni::program::main(ABOUT, |variables, input| kuryr_cni::run(variables, input))
}
