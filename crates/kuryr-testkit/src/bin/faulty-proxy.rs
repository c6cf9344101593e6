//! Puts the fault-injecting proxy between a program and a real server.
#![allow(clippy::print_stdout)]

use anyhow::Result;
use clap::Parser;
use kuryr_testkit::proxy::{Faulty, Plan};
use std::{io, net::SocketAddr, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

/// Forwards HTTP requests, and spoils some of them.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// The server to forward to, such as `http://127.0.0.1:9696`.
    #[arg(long)]
    to: String,
    /// How many of a hundred requests meet a fault.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=100))]
    percent: u8,
    /// What chance depends on.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long a delayed request waits, in milliseconds.
    #[arg(long, default_value_t = 1000)]
    delay: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let delay = Duration::from_millis(arguments.delay);
    let plan = Plan { delay, ..Plan::evenly(arguments.percent, arguments.seed) };
    let proxy = Faulty::listen(arguments.listen, &arguments.to, plan).await?;
    println!("{} -> {}", proxy.url(), arguments.to);
    stopped().await?;
    println!("{} requests, faults: {:?}", proxy.requests(), proxy.done());
    Ok(())
}

async fn stopped() -> io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
