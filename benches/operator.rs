//! The real operator as a process, against a real control plane.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    Result,
    harness::{Cluster, Process},
};

/// The program; built with optimisations like this one. `PROBITY` names another build of it.
fn program() -> PathBuf {
    let built = || env!("CARGO_BIN_EXE_probity").into();
    std::env::var_os("PROBITY").map_or_else(built, PathBuf::from)
}

/// As whom it talks to the API server.
pub(crate) const USER: &str = "probity-bench";
/// How long anything may take to come up.
const PATIENCE: Duration = Duration::from_mins(1);

/// `probity run`; it ends when this is dropped.
pub(crate) struct Probity {
    process: Process,
    _folder: TempDir,
}

impl Probity {
    /// Installs the CRD and the policy, starts the operator, and waits until it enforces.
    pub(crate) fn start(cluster: &Cluster, policy: &str) -> Result<Self> {
        let crds = std::process::Command::new(program())
            .arg("crds")
            .output()
            .map_err(|error| error.to_string())?;
        cluster.kubectl_ok(
            &["apply", "--server-side", "-f", "-"],
            Some(&String::from_utf8_lossy(&crds.stdout)),
        );
        let established = [
            "wait",
            "--for=condition=Established",
            "crd/controlpolicies.probity.dev",
        ];
        cluster.kubectl_ok(&established, None);
        cluster.kubectl_ok(&["apply", "-f", "-"], Some(policy));
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let kubeconfig = cluster.kubeconfig_for(USER, &["system:masters"])?;
        let args = [
            "run",
            "--namespace=default",
            "--metrics-address=127.0.0.1:0",
            &format!("--kubeconfig={}", kubeconfig.display()),
            &format!("--data-dir={}", folder.path().join("data").display()),
        ];
        let args = args.map(str::to_owned);
        let log = folder.path().join("probity.log");
        let process = Process::spawn("probity", &program(), &args, &log)?;
        let mut probity = Self {
            process,
            _folder: folder,
        };
        probity.wait_until_judged(cluster)?;
        Ok(probity)
    }

    fn wait_until_judged(&mut self, cluster: &Cluster) -> Result<()> {
        let began = Instant::now();
        loop {
            self.process.check()?;
            let path = "jsonpath={.items[*].status.summary.passing}";
            let passing = cluster.kubectl_ok(&["get", "controlpolicies", "-o", path], None);
            if !passing.trim().is_empty() {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("no policy has a status\n{}", self.process.tail()));
            }
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// An error with the end of the log if it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.process.check()
    }

    /// The last lines of its log.
    pub(crate) fn tail(&self) -> String {
        self.process.tail()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }
}
