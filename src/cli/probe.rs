//! `probity probe`: what runs in short-lived pods. It listens or connects once, for the network probe; or it asks whether
//! the operator is ready, for `helm test`.

use std::{
    net::{Ipv6Addr, SocketAddr},
    time::Duration,
};

use clap::{Args, Subcommand};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
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
    /// Ask whether the operator is ready, until it is; fails where it doesn't become so in time.
    Ready {
        /// Where its metrics are, such as `probity.probity-system.svc:8080`.
        address: String,
        /// Seconds in which it must be ready.
        #[arg(long, default_value_t = 60)]
        deadline: u64,
    },
}

/// Plays one part.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.part {
        Part::Listen { port } => listen(port).await,
        Part::Dial { address, deadline } => dial(address, Duration::from_secs(deadline)).await,
        Part::Ready { address, deadline } => ready(&address, Duration::from_secs(deadline)).await,
    }
}

async fn listen(port: u16) -> Result<(), Failure> {
    let every = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let listener = crate::server::listen(every)
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

async fn ready(address: &str, deadline: Duration) -> Result<(), Failure> {
    const PAUSE: Duration = Duration::from_millis(500);
    let mut last = "no answer".to_owned();
    let asking = async {
        loop {
            match ask(address).await {
                Ok(answer) if answer.starts_with("HTTP/1.0 200") => return,
                Ok(answer) => answer
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .clone_into(&mut last),
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let answered = tokio::time::timeout(deadline, asking).await;
    answered.map_err(|_| format!("{address} is not ready: {last}"))
}

/// What `/readyz` answers: HTTP/1.0, so that the answer ends with the connection.
async fn ask(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /readyz HTTP/1.0\r\nhost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
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

    #[tokio::test]
    async fn an_operator_is_ready_when_it_says_so() {
        let health = crate::server::Health::default();
        let metrics = crate::metrics::Metrics::new().unwrap();
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = crate::server::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = tokio::spawn(crate::server::serve(listener, metrics, health.clone()));
        let wait = Duration::from_millis(300);
        let refused = ready(&address, wait).await.unwrap_err();
        assert!(
            refused.contains("not read completely yet: policies;"),
            "{refused}"
        );
        health.set_unread(vec!["pods".to_owned(), "services".to_owned()]);
        let refused = ready(&address, wait).await.unwrap_err();
        assert!(refused.contains("yet: pods, services;"), "{refused}");
        health.set_unread(Vec::new());
        ready(&address, Duration::from_secs(10)).await.unwrap();
        serving.abort();
        let gone = ready("127.0.0.1:1", wait).await.unwrap_err();
        assert!(gone.contains("127.0.0.1:1 is not ready"), "{gone}");
    }
}
