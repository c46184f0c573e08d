//! `probity probe`: what runs in the pods of the network probe. It listens, or connects once.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use clap::{Args, Subcommand};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
};

use super::Failure;

/// Arguments of `probity probe`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Accept connections and close them, until told to stop.
    Listen {
        /// TCP port, on every address.
        #[arg(long)]
        port: u16,
    },
    /// Connect once; fails where that is not possible.
    Dial {
        /// Where to, such as `10.0.0.1:8080`.
        address: SocketAddr,
        /// Seconds to wait for an answer.
        #[arg(long, default_value_t = 2)]
        deadline: u64,
    },
}

/// Plays one part.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.part {
        Part::Listen { port } => listen(port).await,
        Part::Dial { address, deadline } => dial(address, Duration::from_secs(deadline)).await,
    }
}

async fn listen(port: u16) -> Result<(), Failure> {
    // Where IPv6 is switched off, its socket can't be bound.
    let every = [
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
    ];
    let listener = TcpListener::bind(&every[..])
        .await
        .map_err(|error| format!("can't listen on port {port}: {error}"))?;
    // The first process of a container is not ended by a signal that it does not handle.
    let mut stop = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    loop {
        tokio::select! {
            _ = listener.accept() => {} // that it is accepted is the answer
            _ = stop.recv() => return Ok(()),
        }
    }
}

async fn dial(address: SocketAddr, deadline: Duration) -> Result<(), Failure> {
    let connected = tokio::time::timeout(deadline, TcpStream::connect(address)).await;
    match connected {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("can't connect to {address}: {error}")),
        Err(_) => Err(format!("{address} does not answer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_listens_is_reached_and_nothing_else() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let wait = Duration::from_millis(200);
        assert!(dial(address, wait).await.is_err());
        let listening = tokio::spawn(listen(address.port()));
        let mut tries = 0;
        while dial(address, wait).await.is_err() {
            tries += 1;
            assert!(tries < 100, "nothing listens");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        listening.abort();
    }
}
