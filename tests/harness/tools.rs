//! The programs of a control plane, built by `tests/cluster/build.sh`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use super::Result;

/// A part of what the build script builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// `etcd`.
    Etcd,
    /// `kube-apiserver`, `kube-controller-manager`, `kube-scheduler` and `kubectl`.
    Kubernetes,
    /// `kwok` and its stages.
    Kwok,
    /// `helm`.
    Helm,
    /// `cron`: the libraries that tools read cron expressions with.
    Cron,
    /// Custom resource definitions of neighbours.
    Crds,
    /// `cyclonus`, which judges connections by network policies.
    Cyclonus,
    /// `duckdb`, a folder with Python and DuckDB.
    DuckDb,
    /// `witness`, which signs checkpoints of a log too.
    Witness,
    /// `versitygw`, a server that speaks S3.
    S3,
    /// `fsck` of Tessera, which reads transparency logs.
    Tlog,
    /// `prometheus` and `promtool`.
    Prometheus,
    /// `dashboards`, which reads dashboards with Grafana's own types.
    Grafana,
    /// What API servers say of their types, by minor version.
    Openapi,
}

impl Group {
    fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Kubernetes => "kubernetes",
            Self::Kwok => "kwok",
            Self::Helm => "helm",
            Self::Cron => "cron",
            Self::Crds => "crds",
            Self::Cyclonus => "cyclonus",
            Self::DuckDb => "duckdb",
            Self::Witness => "witness",
            Self::S3 => "s3",
            Self::Tlog => "tlog",
            Self::Prometheus => "prometheus",
            Self::Grafana => "grafana",
            Self::Openapi => "openapi",
        }
    }
}

/// Builds a group unless this was already done, and returns the folder of the programs.
pub(crate) fn ensure(group: Group) -> Result<PathBuf> {
    static DONE: Mutex<BTreeMap<Group, Result<()>>> = Mutex::new(BTreeMap::new());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster");
    // The lock is held meanwhile: whoever comes second waits for the result of the first.
    let mut done = DONE.lock().map_err(|e| e.to_string())?;
    done.entry(group)
        .or_insert_with(|| build(&folder, group))
        .clone()?;
    Ok(folder.join(".bin"))
}

fn build(folder: &Path, group: Group) -> Result<()> {
    // Its progress goes straight to the terminal, past the test runner.
    let status = Command::new("bash")
        .arg(folder.join("build.sh"))
        .arg(group.name())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .map_err(|e| format!("bash: {e}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!(
            "tests/cluster/build.sh {} failed; its messages are above",
            group.name()
        ))
    }
}

/// The folder with the CRDs of a neighbour, by its name in `tests/cluster/crds/modules.txt`.
/// `kubectl apply --server-side -f` takes it as it is.
pub(crate) fn crds(neighbour: &str) -> Result<PathBuf> {
    let folder = ensure(Group::Crds)?.join("crds").join(neighbour);
    if folder.is_dir() {
        Ok(folder)
    } else {
        Err(format!(
            "no CRDs of {neighbour} in tests/cluster/crds/modules.txt"
        ))
    }
}

/// The simulator of cyclonus.
pub(crate) fn cyclonus() -> Result<PathBuf> {
    Ok(ensure(Group::Cyclonus)?.join("cyclonus"))
}

/// A folder with `bin/python`, which has DuckDB, and its extension `httpfs.duckdb_extension`.
pub(crate) fn duckdb() -> Result<PathBuf> {
    Ok(ensure(Group::DuckDb)?.join("duckdb"))
}

/// A witness of one log.
pub(crate) fn witness() -> Result<PathBuf> {
    Ok(ensure(Group::Witness)?.join("witness"))
}

/// A server that speaks S3.
pub(crate) fn versitygw() -> Result<PathBuf> {
    Ok(ensure(Group::S3)?.join("versitygw"))
}

/// Tessera's check of a whole log.
pub(crate) fn fsck() -> Result<PathBuf> {
    Ok(ensure(Group::Tlog)?.join("fsck"))
}

/// The stages that kwok plays.
pub(crate) fn kwok_stages() -> Result<Vec<PathBuf>> {
    let folder = ensure(Group::Kwok)?.join("kwok-stages");
    let entries = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut stages = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(|e| e.to_string())?;
    stages.sort();
    Ok(stages)
}
