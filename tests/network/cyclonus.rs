//! The simulator of cyclonus, as a process that answers questions.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};

use super::generate::{Cluster, Connection, End};
use crate::harness;

pub(super) struct Simulator {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Simulator {
    pub(super) fn start() -> Self {
        let mut child = Command::new(harness::cyclonus().unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers }
    }

    /// Which of the cluster's connections it allows.
    pub(super) fn judge(&mut self, cluster: &Cluster) -> Vec<bool> {
        let connections = cluster.connections();
        let connections = connections.iter().map(|c| question(cluster, c));
        let connections: Vec<_> = connections.collect();
        let question = json!({ "policies": cluster.policies, "connections": connections });
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{question}").unwrap();
        stdin.flush().unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // Closing its input ends it.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn question(cluster: &Cluster, connection: &Connection) -> Value {
    let Connection {
        from,
        to,
        protocol,
        port,
    } = connection;
    let name = match to {
        End::Pod(n) => {
            let mut ports = cluster.pods[*n].ports.iter();
            ports
                .find(|door| (door.1, door.2) == (*port, *protocol))
                .map(|door| door.0)
        }
        End::Address(_) => None,
    };
    json!({
        "source": end(cluster, *from), "destination": end(cluster, *to),
        "port": port, "portName": name.unwrap_or_default(), "protocol": protocol,
    })
}

fn end(cluster: &Cluster, end: End) -> Value {
    match end {
        End::Address(address) => json!({ "address": address.to_string() }),
        End::Pod(n) => {
            let pod = &cluster.pods[n];
            json!({
                // In no block that is generated: blocks are for what is outside.
                "address": "203.0.113.7",
                "namespace": format!("n{}", pod.namespace),
                "namespaceLabels": cluster.namespaces[pod.namespace],
                "labels": pod.labels,
            })
        }
    }
}
