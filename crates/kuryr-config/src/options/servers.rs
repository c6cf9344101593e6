//! `[health_server]`, `[cni_health_server]`, `[prometheus_exporter]`: what a cluster asks our programs over HTTP.

use super::group;

group! {
    /// The controller's health.
    "health_server" HealthServer {
        /// Port of /alive and /ready of the controller.
        port: u16 = preset("8082");
    }
    known {}
}

group! {
    /// The daemon's health.
    "cni_health_server" CniHealthServer {
        /// Port of /alive and /ready of the daemon.
        port: u16 = preset("8090");
    }
    known {
        /// Above how many MiB of memory the daemon calls itself unhealthy.
        max_memory_usage: i64 = preset("-1") obsolete("the limit of the container does it better");
        /// Path of the daemon's control group.
        cg_path: String = preset("/sys/fs/cgroup/memory/system.slice/kuryr-cni.service")
            obsolete("the limit of the container does it better");
    }
}

group! {
    /// Metrics for Prometheus.
    "prometheus_exporter" PrometheusExporter {
        /// Port of /metrics of the controller.
        controller_exporter_port: u16 = preset("9654");
        /// Port of /metrics of the daemon.
        cni_exporter_port: u16 = preset("9655");
    }
    known {}
}
