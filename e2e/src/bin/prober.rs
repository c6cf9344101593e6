//! Stands in the network of a pod: says its name to whoever asks, and asks others for theirs when it is told to.
//!
//! It serves TCP and UDP. On standard input it reads rounds, each a line with a JSON list of probes, makes all of them at once, and
//! prints a JSON line for each outcome as it comes. It ends with its input. [`kuryr_e2e::Prober`] is who talks to it.
#![allow(clippy::print_stdout)]

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kuryr_e2e::{Context, Outcome, PROBED_PORTS, PROBED_WITHIN, Probe, Protocol, Result};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

/// A datagram is sent again when half of the time is over.
const DATAGRAMS: u32 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let name = std::env::args().nth(1).context("usage: prober NAME")?;
    let name = Arc::<str>::from(name);
    for port in PROBED_PORTS {
        let here = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        tokio::spawn(serve_connections(TcpListener::bind(here).await?, name.clone()));
        tokio::spawn(serve_datagrams(UdpSocket::bind(here).await?, name.clone()));
    }
    println!("ready");
    let mut rounds = BufReader::new(tokio::io::stdin()).lines();
    while let Some(round) = rounds.next_line().await? {
        let probes: Vec<Probe> = serde_json::from_str(&round)?;
        let mut outcomes: FuturesUnordered<_> = probes.into_iter().enumerate().map(outcome).collect();
        while let Some(outcome) = outcomes.next().await {
            println!("{}", serde_json::to_string(&outcome)?);
        }
    }
    Ok(())
}

async fn serve_connections(listener: TcpListener, name: Arc<str>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let name = name.clone();
        tokio::spawn(async move {
            // Who has gone away is not answered.
            let _ = stream.write_all(name.as_bytes()).await;
        });
    }
}

async fn serve_datagrams(socket: UdpSocket, name: Arc<str>) {
    let mut question = [0; 64];
    loop {
        // An error here is another socket's, told by ICMP.
        if let Ok((_, from)) = socket.recv_from(&mut question).await {
            let _ = socket.send_to(name.as_bytes(), from).await;
        }
    }
}

async fn outcome((probe, asked): (usize, Probe)) -> Outcome {
    let answer = async {
        match asked.protocol {
            Protocol::Tcp => timeout(PROBED_WITHIN, by_connection(asked.at)).await?,
            Protocol::Udp => by_datagram(asked.at).await,
        }
    };
    Outcome { probe, answer: answer.await.map_err(|error: kuryr_e2e::Error| format!("{error:#}")) }
}

async fn by_connection(at: SocketAddr) -> Result<String> {
    let mut name = String::new();
    TcpStream::connect(at).await?.read_to_string(&mut name).await?;
    Ok(name)
}

async fn by_datagram(at: SocketAddr) -> Result<String> {
    let here: SocketAddr =
        if at.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(here).await?;
    socket.connect(at).await?;
    let mut name = [0; 256];
    let mut last = None;
    for _ in 0..DATAGRAMS {
        socket.send(b"who").await?;
        match timeout(PROBED_WITHIN / DATAGRAMS, socket.recv(&mut name)).await {
            Ok(length) => return Ok(String::from_utf8_lossy(&name[..length?]).into_owned()),
            Err(late) => last = Some(late),
        }
    }
    last.map_or_else(|| Ok(String::new()), |late| Err(late.into()))
}
