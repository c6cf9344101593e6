//! Groups of libraries that the original used and this project does not.

use super::group;

const NO_CACHE: &str = "what is known is kept up to date by watching, and needs no cache that goes stale";
const NO_HELPER: &str = "the daemon does privileged work itself; nothing is started as another user";

group! {
    /// oslo.cache.
    "cache" const CACHE known {
        /// Whether answers of OpenStack are kept.
        enabled: bool = preset("false") obsolete(NO_CACHE);
        /// Where they are kept.
        backend: String = preset("dogpile.cache.null") obsolete(NO_CACHE);
        /// For how many seconds they are kept.
        expiration_time: u32 = preset("600") obsolete(NO_CACHE);
        /// How keys of the cache begin.
        config_prefix: String = preset("cache.oslo") obsolete(NO_CACHE);
        /// Arguments of the backend.
        backend_argument: String = obsolete(NO_CACHE);
        /// Proxies of the backend.
        proxies: Vec<String> = preset("") obsolete(NO_CACHE);
        /// Whether the cache is logged.
        debug_cache_backend: bool = preset("false") obsolete(NO_CACHE);
        /// Where memcached runs.
        memcache_servers: Vec<String> = preset("localhost:11211") obsolete(NO_CACHE);
    }
}

group! {
    /// Defaults of the caches below.
    "cache_defaults" const CACHE_DEFAULTS known {
        /// Whether answers of OpenStack are kept.
        enabled: bool = preset("true") obsolete(NO_CACHE);
        /// Where they are kept.
        backend: String = preset("dogpile.cache.memory") obsolete(NO_CACHE);
    }
}

group! {
    /// The cache of subnets.
    "subnet_caching" const SUBNET_CACHING known {
        /// Whether it is used.
        caching: bool = preset("true") obsolete(NO_CACHE);
        /// For how many seconds.
        cache_time: u32 = preset("3600") obsolete(NO_CACHE);
    }
}

group! {
    /// The cache of the nodes' addresses.
    "nodes_caching" const NODES_CACHING known {
        /// Whether it is used.
        caching: bool = preset("true") obsolete(NO_CACHE);
        /// For how many seconds.
        cache_time: u32 = preset("3600") obsolete(NO_CACHE);
    }
}

group! {
    /// The cache of the nodes' drivers.
    "node_driver_caching" const NODE_DRIVER_CACHING known {
        /// Whether it is used.
        caching: bool = preset("true") obsolete(NO_CACHE);
        /// For how many seconds.
        cache_time: u32 = preset("3600") obsolete(NO_CACHE);
    }
}

group! {
    /// Locks between processes.
    "oslo_concurrency" const OSLO_CONCURRENCY known {
        /// Where lock files are.
        lock_path: String = env("OSLO_LOCK_PATH", "") obsolete("the daemon is one process and needs no lock files");
        /// Whether locks between processes are off.
        disable_process_locking: bool = preset("false")
            obsolete("the daemon is one process and needs no lock files");
    }
}

group! {
    /// The privileged helper of os-vif's Open vSwitch plugin.
    "vif_plug_ovs_privileged" const VIF_PLUG_OVS_PRIVILEGED known {
        /// Its user.
        user: String = obsolete(NO_HELPER);
        /// Its group.
        group: String = obsolete(NO_HELPER);
        /// Its capabilities.
        capabilities: Vec<String> = preset("") obsolete(NO_HELPER);
        /// Its number of threads.
        thread_pool_size: u32 = obsolete(NO_HELPER);
        /// How it is started.
        helper_command: String = obsolete(NO_HELPER);
        /// The name of its log.
        logger_name: String = obsolete(NO_HELPER);
    }
}

group! {
    /// The privileged helper of os-vif's Linux bridge plugin.
    "vif_plug_linux_bridge_privileged" const VIF_PLUG_LINUX_BRIDGE_PRIVILEGED known {
        /// Its user.
        user: String = obsolete(NO_HELPER);
        /// Its group.
        group: String = obsolete(NO_HELPER);
        /// Its capabilities.
        capabilities: Vec<String> = preset("") obsolete(NO_HELPER);
        /// Its number of threads.
        thread_pool_size: u32 = obsolete(NO_HELPER);
        /// How it is started.
        helper_command: String = obsolete(NO_HELPER);
        /// The name of its log.
        logger_name: String = obsolete(NO_HELPER);
    }
}
