//! The program as a process: started, stopped, killed, and asked what it did.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::world::{World, eventually};
use crate::harness::{Process, Signal, free_port};

/// The program file. Cargo also tells it when the tests run, which survives a moved build.
pub(crate) fn file() -> PathBuf {
    std::env::var_os("CARGO_BIN_EXE_probity")
        .map_or_else(|| env!("CARGO_BIN_EXE_probity").into(), PathBuf::from)
}

/// What a command printed, and how it ended.
pub(crate) struct Output {
    /// Its output.
    pub(crate) stdout: String,
    /// Its complaints.
    pub(crate) stderr: String,
    /// Its exit code.
    pub(crate) code: Option<i32>,
}

/// Runs a command of the program to its end.
pub(crate) fn output(args: &[&str]) -> Output {
    let mut command = Command::new(file());
    let output = command
        .args(args)
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Output {
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
        code: output.status.code(),
    }
}

/// A replica of the operator: what it keeps when it is started again.
pub(crate) struct Replica {
    name: String,
    namespace: String,
    kubeconfig: PathBuf,
    folder: TempDir,
    data: PathBuf,
    more: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Replica {
    /// A replica in a namespace of its own, so that its lease is nobody else's.
    pub(crate) fn new(world: &World) -> Self {
        let namespace = world.namespace("probity-system");
        let kubeconfig = world.administrator(&namespace);
        Self::with("probity-0", namespace, kubeconfig)
    }

    /// Another replica of the same operator.
    pub(crate) fn beside(&self, name: &str) -> Self {
        Self::with(name, self.namespace.clone(), self.kubeconfig.clone())
    }

    /// A replica that runs in a namespace with the rights of a kubeconfig.
    pub(crate) fn with(name: &str, namespace: String, kubeconfig: PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        Self {
            name: name.to_owned(),
            namespace,
            kubeconfig,
            folder,
            data,
            more: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// Runs as another user.
    pub(crate) fn acting_as(mut self, kubeconfig: PathBuf) -> Self {
        self.kubeconfig = kubeconfig;
        self
    }

    /// Is started with more arguments.
    pub(crate) fn with_args(mut self, args: &[&str]) -> Self {
        self.more.extend(args.iter().map(ToString::to_string));
        self
    }

    /// Is started with variables in its environment.
    pub(crate) fn with_environment(mut self, variables: Vec<(String, String)>) -> Self {
        self.environment = variables;
        self
    }

    /// Keeps its log elsewhere.
    pub(crate) fn logging_to(mut self, data: &Path) -> Self {
        data.clone_into(&mut self.data);
        self
    }

    /// A folder of its own, which goes with it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of its log.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// The namespace that it runs in, which is also the name of its user.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Starts the operator.
    pub(crate) fn start(&self) -> Program {
        let port = free_port().unwrap();
        let args = [
            "run",
            &format!("--kubeconfig={}", self.kubeconfig.display()),
            &format!("--namespace={}", self.namespace),
            &format!("--data-dir={}", self.data.display()),
            &format!("--metrics-address=127.0.0.1:{port}"),
            &format!("--replica={}", self.name),
        ];
        let mut args: Vec<String> = args.map(str::to_owned).into();
        args.extend(self.more.iter().cloned());
        let output = self.folder.path().join("output.log");
        let mut command: Vec<String> = self
            .environment
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        command.push(file().display().to_string());
        command.extend(args);
        let process = Process::spawn(&self.name, Path::new("env"), &command, &output).unwrap();
        Program { process, port }
    }

    /// All that it has printed since it was last started.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("output.log")).unwrap()
    }

    /// The entries of its log.
    pub(crate) fn log(&self) -> Vec<Value> {
        let lines = self.log_lines();
        lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The entries of its log as JSON, one line each.
    pub(crate) fn log_lines(&self) -> Vec<String> {
        let text = self.printed(&["log", "--json"]);
        text.lines().map(str::to_owned).collect()
    }

    /// Whether it has begun a log: before that there is none to print.
    fn has_log(&self) -> bool {
        let logs = std::fs::read_dir(self.data.join("epochs"));
        let mut logs = logs.into_iter().flatten().filter_map(Result::ok);
        logs.any(|log| log.path().join("checkpoint").exists())
    }

    /// Its log as people read it.
    pub(crate) fn log_text(&self) -> String {
        self.printed(&["log"])
    }

    fn printed(&self, args: &[&str]) -> String {
        if !self.has_log() {
            return String::new();
        }
        let data = format!("--data-dir={}", self.data.display());
        let output = output(&[args, &[&data]].concat());
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        output.stdout
    }

    /// The entries of its log of one type.
    pub(crate) fn said(&self, kind: &str) -> Vec<Value> {
        self.log()
            .into_iter()
            .filter(|entry| entry["type"] == kind)
            .collect()
    }
}

/// A running operator. It is killed on drop.
pub(crate) struct Program {
    process: Process,
    port: u16,
}

impl Program {
    /// Waits until all that the policies need has been read.
    pub(crate) fn ready(&mut self) {
        eventually("ready operator", || {
            self.process.check()?;
            match self.get("/readyz") {
                Some(answer) if answer.starts_with("HTTP/1.1 200") => Ok(()),
                other => Err(format!("{other:?}\n{}", self.process.tail())),
            }
        });
    }

    /// Asks it to end, and returns how it did.
    #[allow(clippy::print_stdout, reason = "only a test that fails shows it")]
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.process.signal(Signal::Terminate).unwrap();
        let status = eventually("end after SIGTERM", || {
            self.process.exited().ok_or_else(|| self.process.tail())
        });
        if !status.success() {
            println!("{}", self.process.tail());
        }
        status
    }

    /// Stops it where it is; nothing is lost.
    pub(crate) fn freeze(&self) {
        self.process.signal(Signal::Stop).unwrap();
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.process.signal(Signal::Continue).unwrap();
    }

    /// Kills it at once.
    pub(crate) fn kill(mut self) {
        self.process.kill();
    }

    /// The end of its own log.
    pub(crate) fn tail(&self) -> String {
        self.process.tail()
    }

    /// All that it measures.
    pub(crate) fn metrics(&self) -> String {
        self.get("/metrics").unwrap()
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .ok()?;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Where its metrics are.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The sum of a metric's series that have all of these labels.
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let answer = self.get("/metrics").unwrap_or_default();
        let series = answer.lines().filter_map(|line| series(line, name));
        series
            .filter(|(found, _)| {
                labels
                    .iter()
                    .all(|(key, value)| found.get(key) == Some(value))
            })
            .map(|(_, value)| value)
            .sum()
    }

    /// Waits until a metric has a value.
    pub(crate) fn metric_becomes(&self, name: &str, labels: &[(&str, &str)], wanted: f64) {
        eventually(name, || {
            let value = self.metric(name, labels);
            let equal = (value - wanted).abs() < 0.01;
            if equal {
                Ok(())
            } else {
                Err(format!("{value}, not {wanted}\n{}", self.tail()))
            }
        });
    }
}

/// Labels and value of a line of the text format, if it is a series of the metric.
fn series<'a>(line: &'a str, name: &str) -> Option<(BTreeMap<&'a str, &'a str>, f64)> {
    let rest = line.strip_prefix("probity_")?.strip_prefix(name)?;
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => rest.split_once("} ")?,
        None => ("", rest.strip_prefix(' ')?),
    };
    // No value in these tests has a comma or a quote.
    let labels = labels.split(',').filter_map(|label| label.split_once('='));
    let labels = labels
        .map(|(key, value)| (key, value.trim_matches('"')))
        .collect();
    Some((labels, value.parse().ok()?))
}
