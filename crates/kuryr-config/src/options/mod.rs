//! The table of all options. From it come the [`Config`] struct, the sample file, the documentation and every warning.
//!
//! An option is one entry: documentation (its help), name, type, and what else is to say about it. Entries above `known` become
//! fields; entries below it are read, checked and documented, but no program has a use for their value in this version.

mod cni;
mod kubernetes;
mod legacy;
mod log;
mod neutron;
mod servers;
mod services;
mod vif;

pub(crate) use self::neutron::is_auth;
pub use self::{
    cni::{CniDaemon, VifPlugOvs},
    kubernetes::Kubernetes,
    log::Default as DefaultGroup,
    neutron::{Neutron, NeutronDefaults},
    servers::{CniHealthServer, HealthServer, PrometheusExporter},
    services::OctaviaDefaults,
    vif::{Binding, NestedDpdk, PodVifNested, PoolManager, Sriov, VhostUser, VifPool},
};
use crate::{layers::Layers, reader::Reader, schema::Schema};

/// Declares a `[group]`: its struct, how the struct is read, and the group's part of the table.
macro_rules! group {
    (
        $(#[doc = $about:literal])+
        $name:literal $struct:ident {
            $( $(#[doc = $help:literal])+ $field:ident: $type:ty $(= $($with:ident($($arg:expr),*))+)?; )+
        }
        known {
            $( $(#[doc = $known_help:literal])+ $known:ident: $known_type:ty $(= $($known_with:ident($($known_arg:expr),*))+)?; )*
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone)]
        pub struct $struct {
            $( $(#[doc = $help])+ pub $field: $type, )+
        }

        impl $struct {
            /// The group in the table of options.
            pub const GROUP: $crate::option::Group = $crate::option::Group {
                name: $name,
                help: &[$($about),+],
                options: &[
                    $( $crate::options::opt!($($help)+; $field: $type $(= $($with($($arg),*))+)?), )+
                    $( $crate::options::opt!($($known_help)+; $known: $known_type $(= $($known_with($($known_arg),*))+)?), )*
                ],
            };

            pub(crate) fn read(reader: &mut $crate::reader::Reader<'_>) -> Self {
                Self { $( $field: reader.field(&Self::GROUP, stringify!($field)), )+ }
            }
        }
    };
    (
        $(#[doc = $about:literal])+
        $name:literal const $const:ident known {
            $( $(#[doc = $help:literal])+ $field:ident: $type:ty $(= $($with:ident($($arg:expr),*))+)?; )+
        }
    ) => {
        $(#[doc = $about])+
        pub(crate) const $const: $crate::option::Group = $crate::option::Group {
            name: $name,
            help: &[$($about),+],
            options: &[ $( $crate::options::opt!($($help)+; $field: $type $(= $($with($($arg),*))+)?), )+ ],
        };
    };
}

/// One entry of the table.
macro_rules! opt {
    ($($help:literal)+; $name:ident: $type:ty $(= $($with:ident($($arg:expr),*))+)?) => {
        $crate::option::Opt::new(stringify!($name), <$type as $crate::field::Field>::KIND, &[$($help),+])
            $( $(.$with($($arg),*))+ )?
    };
}

use {group, opt};

/// Declares the configuration: the groups that have a struct, and the groups that are only known.
macro_rules! config {
    ($( $(#[doc = $help:literal])+ $field:ident: $struct:ident, )+ ; $($known:path),+ $(,)?) => {
        /// All options that the programs use, one field a group, named as in the file.
        #[derive(Debug, Clone)]
        pub struct Config {
            $( $(#[doc = $help])+ pub $field: $struct, )+
        }

        impl Config {
            pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
                Self { $( $field: $struct::read(reader), )+ }
            }
        }

        /// Every known option.
        pub fn schema() -> Schema {
            Schema::new(vec![ $( $struct::GROUP, )+ $( $known, )+ ])
        }
    };
}

config! {
    /// `[DEFAULT]`
    default: DefaultGroup,
    /// `[kubernetes]`
    kubernetes: Kubernetes,
    /// `[neutron]`
    neutron: Neutron,
    /// `[neutron_defaults]`
    neutron_defaults: NeutronDefaults,
    /// `[cni_daemon]`
    cni_daemon: CniDaemon,
    /// `[vif_plug_ovs]`
    vif_plug_ovs: VifPlugOvs,
    /// `[health_server]`
    health_server: HealthServer,
    /// `[cni_health_server]`
    cni_health_server: CniHealthServer,
    /// `[prometheus_exporter]`
    prometheus_exporter: PrometheusExporter,
    /// `[octavia_defaults]`
    octavia_defaults: OctaviaDefaults,
    /// `[vif_pool]`
    vif_pool: VifPool,
    /// `[pod_vif_nested]`
    pod_vif_nested: PodVifNested,
    /// `[binding]`
    binding: Binding,
    /// `[pool_manager]`
    pool_manager: PoolManager,
    /// `[vhostuser]`
    vhostuser: VhostUser,
    /// `[nested_dpdk]`
    nested_dpdk: NestedDpdk,
    /// `[sriov]`
    sriov: Sriov,
    ;
    vif::NAMESPACE_SUBNET,
    legacy::CACHE,
    legacy::CACHE_DEFAULTS,
    legacy::SUBNET_CACHING,
    legacy::NODES_CACHING,
    legacy::NODE_DRIVER_CACHING,
    legacy::OSLO_CONCURRENCY,
    legacy::VIF_PLUG_OVS_PRIVILEGED,
    legacy::VIF_PLUG_LINUX_BRIDGE_PRIVILEGED,
}

/// What an empty file gives, whatever the environment holds.
impl std::default::Default for Config {
    fn default() -> Self {
        Self::read(&mut Reader::new(&schema(), &Layers::default()))
    }
}
