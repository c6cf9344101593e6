//! The machine that this runs on, if it is to run Kuryr.

use std::{
    fs, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    path::Path,
    time::Duration,
};

use kuryr_net::{NetError, NetNs, Sysctl};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::config::Read;
use crate::check::{
    Options, Role,
    facts::{Cluster, Host, Settings, Taken},
    finding::{Gap, Seen},
};

/// What runs on this very machine answers within this time.
const PATIENCE: Duration = Duration::from_secs(3);
/// The beginning of an answer tells who gives it.
const ENOUGH: u64 = 64 * 1024;

pub(super) async fn observe(options: &Options, read: &Read, cluster: &Cluster) -> Host {
    match roles(options, cluster) {
        Ok(roles) => look(read.settings(), &roles).await,
        Err(gap) => Host::unseen(&gap),
    }
}

/// What this host is to run: what was said, or both if it is a node of the cluster.
fn roles(options: &Options, cluster: &Cluster) -> Result<Vec<Role>, Gap> {
    if !options.here.is_empty() {
        return Ok(options.here.clone());
    }
    let name = own_name();
    match &cluster.nodes {
        Ok(nodes) if nodes.iter().any(|node| node.name == name) => Ok(vec![Role::Controller, Role::Node]),
        Ok(_) => Err(Gap::skipped(format!(
            "this host ({name}) is no node of the cluster; if it is to run Kuryr, say --here"
        ))),
        Err(_) => Err(Gap::unknown(format!(
            "can't tell whether this host ({name}) is a node of the cluster: say by --here what it is to run"
        ))),
    }
}

fn own_name() -> String {
    let named = std::env::var("KUBERNETES_NODE_NAME").ok().filter(|name| !name.is_empty());
    let host = || fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    named.unwrap_or_else(|| host().trim().to_lowercase())
}

/// The kernel is looked at without a configuration, too.
async fn look(settings: Result<&Settings, Gap>, roles: &[Role]) -> Host {
    let taken = match &settings {
        Ok(settings) => Ok(taken(settings, roles).await),
        Err(gap) => Err(gap.clone()),
    };
    if !roles.contains(&Role::Node) {
        return Host { taken, ..Host::unseen(&Gap::skipped("this host is to run the controller only")) };
    }
    let plumbing = plumbing().await;
    match settings {
        Ok(settings) => Host {
            taken,
            plumbing,
            ovsdb: Ok(ovsdb(&settings.ovsdb).await.map_err(|error| error.to_string())),
            bridge: Ok(Path::new("/sys/class/net").join(&settings.bridge).exists()),
        },
        Err(gap) => Host { plumbing, ..Host::unseen(&gap) },
    }
}

async fn taken(settings: &Settings, roles: &[Role]) -> Vec<Taken> {
    let ports = settings.ports;
    let all = [
        (Role::Controller, ports.controller_health, "[health_server] port"),
        (Role::Controller, ports.controller_metrics, "[prometheus_exporter] controller_exporter_port"),
        (Role::Node, ports.daemon_health, "[cni_health_server] port"),
        (Role::Node, ports.daemon_metrics, "[prometheus_exporter] cni_exporter_port"),
    ];
    let mut taken = Vec::new();
    for (role, port, option) in all.into_iter().filter(|(role, _, _)| roles.contains(role)) {
        if !is_free(port) && !is_kuryr(port).await {
            taken.push(Taken { port, option, program: role.program() });
        }
    }
    taken
}

/// Binds as the programs do: IPv6 and IPv4, or IPv4 alone.
fn is_free(port: u16) -> bool {
    let bind = |address: SocketAddr| TcpListener::bind(address).err().map(|error| error.kind());
    let both = bind((Ipv6Addr::UNSPECIFIED, port).into());
    let failure = match both {
        None | Some(io::ErrorKind::AddrInUse) => both,
        Some(_) => bind((Ipv4Addr::UNSPECIFIED, port).into()),
    };
    failure != Some(io::ErrorKind::AddrInUse)
}

/// Whether the program at this port answers as Kuryr does, ours or the Python one.
async fn is_kuryr(port: u16) -> bool {
    let health = ask(port, "/ready").await.unwrap_or_default();
    if health.starts_with("ok") || health.starts_with("not ok") {
        return true;
    }
    ask(port, "/metrics").await.is_ok_and(|metrics| metrics.contains("kuryr_"))
}

/// The body of an answer over HTTP.
async fn ask(port: u16, path: &str) -> io::Result<String> {
    let asking = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(ENOUGH).read_to_end(&mut answer).await?;
        let text = String::from_utf8_lossy(&answer).into_owned();
        Ok(text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    };
    timeout(PATIENCE, asking).await?
}

/// A namespace that nobody else sees, and that goes with its links when it is looked at no more.
async fn plumbing() -> Seen<Result<(), String>> {
    match plumb().await {
        Ok(()) => Ok(Ok(())),
        Err(error) if lacks_rights(&error) => {
            Err(Gap::unknown(format!("only root can tell ({})", super::chain(&error))))
        }
        Err(error) => Ok(Err(super::chain(&error))),
    }
}

async fn plumb() -> Result<(), NetError> {
    let namespace = NetNs::fresh().await?;
    namespace.netlink().await?.add_patch("kuryr0", "kuryr1", 1400).await?;
    let link = || "kuryr0".to_owned();
    let settings = vec![(Sysctl::DisableIpv6(link()), 0), (Sysctl::ArpNotify(link()), 1)];
    namespace.set_sysctls(settings).await
}

fn lacks_rights(error: &NetError) -> bool {
    const EPERM: i32 = 1;
    matches!(error, NetError::MakeNamespace(_)) && error.errno() == Some(EPERM)
}

async fn ovsdb(endpoint: &str) -> io::Result<()> {
    let connecting = async {
        match endpoint.split_once(':') {
            Some(("unix", path)) => UnixStream::connect(path).await.map(drop),
            Some(("tcp", address)) => TcpStream::connect(address).await.map(drop),
            _ => {
                Err(io::Error::new(io::ErrorKind::InvalidInput, "it is neither unix:PATH nor tcp:HOST:PORT"))
            }
        }
    };
    timeout(PATIENCE, connecting).await?
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn serve(answer: &'static str) -> u16 {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{answer}").as_bytes()).await;
            }
        });
        port
    }

    #[tokio::test]
    async fn a_port_is_taken_unless_kuryr_has_it() {
        let other = serve("<html>ok</html>").await;
        assert!(!is_free(other) && !is_kuryr(other).await);
        for answer in ["ok\nleader: ok\n", "not ok\nnetwork: starting\n", "# TYPE kuryr_pods gauge\n"] {
            let ours = serve(answer).await;
            assert!(is_kuryr(ours).await, "{answer}");
        }
    }

    #[tokio::test]
    async fn only_the_ports_of_a_role_are_looked_at() {
        let port = serve("else").await;
        let mut settings = Settings::default();
        settings.ports.controller_health = port;
        let taken = taken(&settings, &[Role::Controller]).await;
        assert_eq!(taken.iter().map(|taken| taken.port).collect::<Vec<_>>(), [port]);
        assert!(super::taken(&settings, &[Role::Node]).await.is_empty());
    }

    #[tokio::test]
    async fn without_a_configuration_the_kernel_is_looked_at_all_the_same() {
        let unread = Gap::unknown("the configuration can't be read");
        let host = look(Err(unread.clone()), &[Role::Controller, Role::Node]).await;
        assert_eq!((host.taken.unwrap_err(), host.bridge.unwrap_err()), (unread.clone(), unread.clone()));
        assert_ne!(host.plumbing.err(), Some(unread), "it is seen, or only root can tell");
    }

    #[tokio::test]
    async fn a_database_that_is_not_there_is_named() {
        assert!(ovsdb("unix:/nowhere/db.sock").await.is_err());
        assert!(ovsdb("ssl:host:6640").await.unwrap_err().to_string().contains("neither"));
    }
}
