//! A Prometheus that scrapes what a test tells it to.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Group, Process, ensure, free_port};

/// A running Prometheus. It is killed on drop.
pub(super) struct Prometheus {
    process: Process,
    port: u16,
    _folder: TempDir,
}

impl Prometheus {
    /// Scrapes targets every second, and evaluates the rules of a file as often. A target comes with the name of its
    /// cluster; with none, it gets no such label.
    pub(super) fn start(targets: &[(&str, Option<&str>)], rules: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{:?}]\nscrape_configs:\n  - job_name: probity\n    static_configs:\n",
            rules.display().to_string()
        );
        for (address, cluster) in targets {
            let labels = cluster.map_or_else(String::new, |name| format!("cluster: {name}"));
            writeln!(
                config,
                "      - {{targets: ['{address}'], labels: {{{labels}}}}}"
            )
            .unwrap();
        }
        let file = folder.path().join("prometheus.yaml");
        std::fs::write(&file, config).unwrap();
        let port = free_port().unwrap();
        let args = [
            format!("--config.file={}", file.display()),
            format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ];
        let program = ensure(Group::Prometheus).unwrap().join("prometheus");
        let log = folder.path().join("prometheus.log");
        let process = Process::spawn("prometheus", &program, &args, &log).unwrap();
        Self {
            process,
            port,
            _folder: folder,
        }
    }

    /// What a query gives now.
    pub(super) fn now(&self, query: &str) -> Result<Vec<Value>, String> {
        self.api(&format!("/api/v1/query?query={}", encoded(query)), "result")
    }

    /// What a query gives over the last minute.
    pub(super) fn range(&self, query: &str) -> Result<Vec<Value>, String> {
        let end = jiff::Timestamp::now().as_second();
        let path = format!(
            "/api/v1/query_range?query={}&start={}&end={end}&step=5",
            encoded(query),
            end - 60
        );
        self.api(&path, "result")
    }

    /// The only value of a query.
    pub(super) fn value(&self, query: &str) -> Result<f64, String> {
        match self.now(query)?.as_slice() {
            [one] => Ok(number(one)),
            other => Err(format!("{query} gives {other:?}")),
        }
    }

    /// The groups of rules.
    pub(super) fn rules(&self) -> Result<Vec<Value>, String> {
        self.api("/api/v1/rules", "groups")
    }

    fn api(&self, path: &str, part: &str) -> Result<Vec<Value>, String> {
        let answer = self
            .get(path)
            .map_err(|error| format!("{error}\n{}", self.process.tail()))?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let body: Value =
            serde_json::from_str(body).map_err(|error| format!("{error}: {answer}"))?;
        if body["status"] != "success" {
            return Err(body["error"].to_string());
        }
        Ok(body["data"][part].as_array().cloned().unwrap_or_default())
    }

    /// HTTP/1.0, so that the answer comes in one piece.
    fn get(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

/// The value of a series of an instant query.
pub(super) fn number(series: &Value) -> f64 {
    series["value"][1].as_str().unwrap().parse().unwrap()
}

fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").unwrap();
        }
    }
    encoded
}
