//! The operator process, and what it tells by HTTP.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::breaks;
use crate::harness::{Cluster, Process, Result, Signal, free_port};
use crate::report::policy;
use crate::say::warn;

/// The operator is ready, and has judged everything, within seconds.
const DEADLINE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(100);
/// An answer by HTTP takes no longer.
const ANSWER: Duration = Duration::from_secs(2);

/// The running operator.
pub(crate) struct Operator {
    process: std::cell::RefCell<Process>,
    program: PathBuf,
    data_dir: PathBuf,
    metrics: SocketAddr,
}

impl Operator {
    /// Starts the program and waits until it is ready.
    pub(crate) fn start(cluster: &Cluster, kubeconfig: &Path, namespace: &str) -> Result<Self> {
        let program = program()?;
        let data_dir = cluster.folder().join("evidence");
        let metrics = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let args = vec![
            "run".to_owned(),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--namespace={namespace}"),
            format!("--data-dir={}", data_dir.display()),
            format!("--metrics-address={metrics}"),
        ];
        let log = cluster.folder().join("probity.log");
        let process = Process::spawn("probity", &program, &args, &log)?.into();
        let operator = Self {
            process,
            program,
            data_dir,
            metrics,
        };
        operator.wait("not ready", || operator.get("/readyz").map(drop))?;
        Ok(operator)
    }

    /// Waits until every control has a verdict about the policy as it is now.
    pub(crate) fn wait_settled(&self, cluster: &Cluster) -> Result<()> {
        let settled = self.wait("the controls have not settled", || {
            unsettled(&policy(cluster)?)
        });
        self.check()?;
        if let Err(error) = settled {
            // It can put things back without knowing everything.
            warn(&error);
        }
        Ok(())
    }

    fn wait(&self, what: &str, attempt: impl Fn() -> Result<()>) -> Result<()> {
        let started = Instant::now();
        while let Err(error) = attempt() {
            self.check()?;
            if started.elapsed() > DEADLINE {
                return Err(format!("{what} after {DEADLINE:?}: {error}"));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// The body of a page.
    pub(crate) fn get(&self, path: &str) -> Result<String> {
        let answer = self.ask(path).map_err(|e| format!("{path}: {e}"))?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        if head.starts_with("HTTP/1.1 200 ") {
            Ok(body.to_owned())
        } else {
            Err(format!("{path}: {body}"))
        }
    }

    fn ask(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.metrics, ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        let host = self.metrics;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// An error with the end of its log when the operator has ended by itself.
    pub(crate) fn check(&self) -> Result<()> {
        self.process.borrow_mut().check()
    }

    /// The end of its own log.
    pub(crate) fn tail(&self) -> String {
        self.process.borrow().tail()
    }

    /// Memory that it holds now, such as `21.5 MiB`.
    pub(crate) fn memory(&self) -> Result<String> {
        let path = format!("/proc/{}/status", self.process.borrow().pid());
        let status = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        let kib = kib.ok_or_else(|| format!("{path} has no VmRSS"))?;
        Ok(format!("{}.{} MiB", kib / 1024, kib % 1024 * 10 / 1024))
    }

    /// Asks it to end and waits until it has.
    pub(crate) fn stop(&self) -> Result<()> {
        self.process.borrow().signal(Signal::Terminate)?;
        let started = Instant::now();
        loop {
            match self.process.borrow_mut().exited() {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("the operator ended with {status}")),
                None if started.elapsed() > DEADLINE => {
                    return Err(format!("the operator has not ended after {DEADLINE:?}"));
                }
                None => thread::sleep(PAUSE),
            }
        }
    }

    /// The program.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// The folder of its evidence log.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Where its metrics are.
    pub(crate) fn metrics_url(&self) -> String {
        format!("http://{}/metrics", self.metrics)
    }
}

/// The program: `PROBITY_BIN`, else the one that was built with this demo.
fn program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("PROBITY_BIN") {
        return Ok(path.into());
    }
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let folder = own.parent().and_then(Path::parent);
    let path = folder.map(|folder| folder.join("probity"));
    path.filter(|path| path.is_file())
        .ok_or_else(|| "the operator is not built: run cargo build --bin probity first".to_owned())
}

/// What the status doesn't tell yet. Only what is about to be broken has to be whole: there are
/// controls of which nobody can know on a simulated cluster.
fn unsettled(policy: &Value) -> Result<()> {
    let status = &policy["status"];
    if status.is_null() {
        return Err("the policy has no status".to_owned());
    }
    if status["observedGeneration"] != policy["metadata"]["generation"] {
        return Err("the status is about an older policy".to_owned());
    }
    let outcome = |id: &str| {
        let mut controls = status["controls"].as_array().into_iter().flatten();
        let control = controls.find(|control| control["id"] == id)?;
        control["outcome"].as_str()
    };
    for id in breaks::CONTROLS {
        match outcome(id) {
            Some("Pass") => {}
            other => return Err(format!("{id} is {}", other.unwrap_or("not there"))),
        }
    }
    Ok(())
}
