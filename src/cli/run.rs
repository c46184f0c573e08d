//! `probity run`: the operator.

mod beside;
mod log;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use sha2::{Digest, Sha256};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::AbortHandle,
};

use self::{
    beside::{Listeners, measure_disk},
    log::{Opened, signing_key, unusable},
};

use super::{
    Connect, Failure,
    anchoring::AnchorArguments,
    telling::{self, LogFormat},
};
use crate::{
    analysis::canary::platform,
    cluster::{
        client::{CallError, Connection, deadline, within},
        guardrails::ReleaseManifest,
        lease::{LeaseConfig, LeaseTiming, campaign, no_namesake},
    },
    engine::{Config, Engine, ExceptionBounds, OWNER_LABEL},
    evidence::{Position, body::Start, key::PrivateKey, store},
    metrics::Metrics,
    operator::{Indexing, Operator, Options, ProbePlace, Retention},
    server::Health,
    telemetry::Telemetry,
};

/// Arguments of `probity run`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    connect: Connect,
    /// Folder for the evidence log.
    #[arg(
        long,
        value_name = "DIR",
        env = "PROBITY_DATA_DIR",
        default_value = "/data"
    )]
    data_dir: PathBuf,
    /// Address at which the evidence log is served, for auditors' tools; on loopback, it is reached
    /// by port-forward.
    #[arg(long, value_name = "ADDRESS")]
    log_address: Option<SocketAddr>,
    /// File with the Ed25519 key that signs the log, as PKCS#8 PEM; else one in the data folder.
    #[arg(long, value_name = "FILE", env = "PROBITY_SIGNING_KEY")]
    signing_key: Option<PathBuf>,
    /// File with the key that signed the log until now: it signs that the new one takes over. Not
    /// needed where that is the one in the data folder.
    #[arg(
        long,
        value_name = "FILE",
        env = "PROBITY_PREVIOUS_SIGNING_KEY",
        requires = "signing_key"
    )]
    previous_signing_key: Option<PathBuf>,
    /// Remove entries so many days after the end of every `AuditPeriod` that needs them. Without
    /// this, and as long as there is no period, nothing is ever removed.
    #[arg(
        long,
        value_name = "DAYS",
        env = "PROBITY_PRUNE_AFTER",
        value_parser = clap::value_parser!(u16).range(30..=3650)
    )]
    prune_after: Option<u16>,
    /// Seconds after a start until it is first looked for entries that may be removed.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, hide = true)]
    prune_first: u64,
    #[command(flatten)]
    anchoring: AnchorArguments,
    /// Write the entries of days that are over as Parquet, for query engines: into the folder
    /// `parquet` of the data folder, and into the bucket.
    #[arg(long, env = "PROBITY_PARQUET")]
    parquet: bool,
    /// Namespace that Probity runs in; else the one of the kubeconfig or pod.
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE")]
    namespace: Option<String>,
    /// Name of this replica; its log is known by it.
    #[arg(
        long,
        value_name = "NAME",
        env = "POD_NAME",
        default_value = "probity-0",
        value_parser = replica
    )]
    replica: String,
    /// Address of /metrics, /livez and /readyz.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    metrics_address: SocketAddr,
    /// Label of namespaces that names the owner of what is in them.
    #[arg(long, value_name = "LABEL", default_value = OWNER_LABEL)]
    owner_label: String,
    /// Days after their creation at which exceptions end at the latest.
    #[arg(
        long,
        value_name = "DAYS",
        env = "PROBITY_LONGEST_EXCEPTION",
        default_value_t = 90,
        value_parser = clap::value_parser!(u16).range(1..=3650)
    )]
    longest_exception: u16,
    /// Seconds for which a lease that is not renewed keeps others from leading.
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    lease_duration: f64,
    /// Seconds between two anti-entropy lists of a kind.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    verify_every: u64,
    /// Manifest of the release that installed this program, with which its surroundings are
    /// compared.
    #[arg(
        long,
        value_name = "FILE",
        env = "PROBITY_RELEASE_MANIFEST",
        requires = "release_digest"
    )]
    release_manifest: Option<PathBuf>,
    /// SHA-256 of that manifest, in hex.
    #[arg(long, value_name = "DIGEST", env = "PROBITY_RELEASE_DIGEST")]
    release_digest: Option<String>,
    /// Namespace in which the network probe may run.
    #[arg(
        long,
        value_name = "NAME",
        env = "PROBITY_PROBE_NAMESPACE",
        requires = "probe_image"
    )]
    probe_namespace: Option<String>,
    /// Image with this program, for the pods of the network probe.
    #[arg(long, value_name = "IMAGE", env = "PROBITY_PROBE_IMAGE")]
    probe_image: Option<String>,
    /// Namespace that restore drills may make, and delete.
    #[arg(long, value_name = "NAME", env = "PROBITY_DRILL_NAMESPACE")]
    drill_namespace: Option<String>,
    /// Cluster role with the rights for restore drills: with it goes what a drill has made.
    #[arg(long, value_name = "NAME", env = "PROBITY_DRILL_OWNER")]
    drill_owner: Option<String>,
    /// OpenTelemetry collector that gets spans and metrics, over HTTP with protobuf, such as
    /// <http://collector:4318>. Nothing is sent without it. The other variables of OpenTelemetry are
    /// read too (`OTEL_…`).
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,
    /// Format of the operator's own log.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

/// Objects in the cluster are called by it.
fn replica(name: &str) -> Result<String, String> {
    let inner = |character: char| matches!(character, 'a'..='z' | '0'..='9' | '-' | '.');
    let edges = |character: char| matches!(character, 'a'..='z' | '0'..='9');
    if name.len() <= 63
        && name.starts_with(edges)
        && name.ends_with(edges)
        && name.chars().all(inner)
    {
        return Ok(name.to_owned());
    }
    Err("write up to 63 of a-z, 0-9, - and ., as in the name of a pod".to_owned())
}

/// The lease by which one replica leads, if nobody of this name does.
async fn free_lease(
    connection: &Connection,
    namespace: &str,
    replica: &str,
    timing: LeaseTiming,
) -> Result<LeaseConfig, Failure> {
    let lease = LeaseConfig {
        namespace: namespace.to_owned(),
        name: "probity".to_owned(),
        replica: replica.to_owned(),
        timing,
        first_term: 0,
    };
    let free = no_namesake(connection.client.clone(), &lease).await;
    free.map_err(|error| error.to_string())?;
    Ok(lease)
}

/// An operator that is ready to run, and what runs beside it.
struct Begun {
    operator: Operator,
    beside: Vec<AbortHandle>,
    telemetry: Telemetry,
    metrics: Metrics,
}

/// Runs the operator until it is told to stop, which may be while it begins: the first process of a container gets no signal
/// that it does not listen to, and would run on.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut stop = Box::pin(asked_to_stop()?);
    let begun = tokio::select! {
        biased;
        reason = &mut stop => {
            tracing::info!(reason, "Stopping before anything was done");
            return Ok(());
        }
        begun = Box::pin(begin(arguments)) => begun?,
    };
    let Begun {
        operator,
        beside,
        telemetry,
        metrics,
    } = begun;
    let result = Box::pin(operator.run(stop)).await;
    beside.iter().for_each(AbortHandle::abort);
    telemetry.end(&metrics).await;
    result
}

/// Connects, reads the log and makes the operator.
async fn begin(arguments: Arguments) -> Result<Begun, Failure> {
    let (namespace, replica) = (arguments.namespace.as_deref(), &*arguments.replica);
    let endpoint = arguments.otlp_endpoint.as_deref();
    let telemetry = telling::start(arguments.log_format, endpoint, namespace, replica)?;
    let timing = timing(arguments.lease_duration)?;
    // Before anything else: a folder that can't be written, or that another operator has, is named at once. Of two operators
    // with one folder the second one also finds its port in use, and another port would not help it.
    let known = known_key(&arguments)?;
    let listeners = Listeners::bind(arguments.metrics_address, arguments.log_address).await?;
    let (connection, version) = arguments.connect.open().await?;
    let namespace = arguments
        .namespace
        .unwrap_or_else(|| connection.namespace.clone());
    tracing::info!(server = version.git_version, namespace, "Connected");
    let cluster = cluster_uid(&connection).await?;
    let mut lease = free_lease(&connection, &namespace, &arguments.replica, timing).await?;
    let places = arguments.anchoring.places(&namespace, &arguments.replica)?;
    // Only now: who can't reach a cluster leaves no key behind.
    let key = known.map_or_else(|| new_key(&arguments.data_dir), Ok)?;
    let Opened {
        memory,
        previous_end,
        journal,
        anchoring,
        dir,
    } = log::open(
        &arguments.data_dir,
        &key,
        places,
        &connection.client,
        &cluster,
    )
    .await?;
    let retention = arguments.prune_after.map(|days| Retention {
        days,
        data: arguments.data_dir.clone(),
        log: dir.clone(),
        first: Duration::from_secs(arguments.prune_first),
    });
    // Terms of one log rise, also where the lease was deleted.
    lease.first_term = memory.epoch().map_or(0, |epoch| epoch + 1);
    let indexing = Indexing {
        data: arguments.parquet.then_some(arguments.data_dir.clone()),
        bucket: anchoring.places.bucket.clone(),
    };
    let start = start(cluster, &arguments.replica, previous_end)?;
    let engine = Engine::new(
        Config {
            own_namespace: namespace.clone(),
            log: arguments.replica.clone(),
            owner_label: arguments.owner_label,
            exceptions: ExceptionBounds::of_days(arguments.longest_exception),
            sandbox: arguments.drill_namespace,
            drill_owner: arguments.drill_owner,
        },
        memory,
    );
    let (metrics, health) = (
        Metrics::new().map_err(|error| error.to_string())?,
        Health::default(),
    );
    let mut beside = listeners.serve(dir, &metrics, &health);
    let measuring = tokio::spawn(measure_disk(arguments.data_dir.clone(), metrics.clone()));
    beside.push(measuring.abort_handle());
    beside.extend(telemetry.measure(&metrics).map(|task| task.abort_handle()));
    let candidate = campaign(connection.client.clone(), lease);
    let host = connection.config.cluster_url.host();
    let platform = platform(&version.git_version, host.unwrap_or_default());
    let probe = arguments.probe_namespace.zip(arguments.probe_image);
    let probe = probe.map(|(namespace, image)| ProbePlace { namespace, image });
    let release = arguments.release_manifest.zip(arguments.release_digest);
    let release = release.map(|(file, digest)| ReleaseManifest { file, digest });
    let options = Options {
        replica: arguments.replica,
        namespace,
        verify_every: Duration::from_secs(arguments.verify_every),
        server_minor: version.minor,
        platform,
        start,
        data: arguments.data_dir,
        anchoring,
        retention,
        indexing,
        release,
        probe,
    };
    let operator = Operator::new(
        options,
        connection,
        engine,
        journal,
        candidate,
        metrics.clone(),
        health,
    );
    Ok(Begun {
        operator,
        beside,
        telemetry,
        metrics,
    })
}

/// The key that signs the log, if there is one, of a data folder in which a log can be opened.
fn known_key(arguments: &Arguments) -> Result<Option<PrivateKey>, Failure> {
    let (given, before) = (&arguments.signing_key, &arguments.previous_signing_key);
    let data = &arguments.data_dir;
    store::can_open(data)
        .and_then(|()| signing_key(data, given.as_deref(), before.as_deref()))
        .map_err(|error| unusable(data, &error))
}

/// The first key of a data folder.
fn new_key(data: &Path) -> Result<PrivateKey, Failure> {
    PrivateKey::of_data(data).map_err(|error| unusable(data, &error))
}

fn timing(seconds: f64) -> Result<LeaseTiming, Failure> {
    let duration = Duration::try_from_secs_f64(seconds)
        .map_err(|error| format!("--lease-duration: {error}; write seconds such as 5"))?;
    LeaseTiming::new(duration, duration.mul_f64(0.7), duration.mul_f64(0.2))
        .map_err(|error| format!("--lease-duration: {error}"))
}

/// The uid of kube-system, which stands for the cluster. Without the right to read it, it stays unknown; other failures
/// pass, and must not make it look like another cluster.
async fn cluster_uid(connection: &Connection) -> Result<String, Failure> {
    let namespaces: kube::Api<k8s_openapi::api::core::v1::Namespace> =
        kube::Api::all(connection.client.clone());
    match within(deadline::READ, namespaces.get_metadata("kube-system")).await {
        Ok(object) => Ok(object.metadata.uid.unwrap_or_default()),
        Err(CallError::Forbidden { .. } | CallError::NotFound) => Ok(String::new()),
        Err(error) => Err(format!("can't read the namespace kube-system: {error}")),
    }
}

/// What the log says at the start of a process.
fn start(
    cluster: String,
    identity: &str,
    previous_end: Option<Position>,
) -> Result<Start, Failure> {
    Ok(Start {
        version: env!("CARGO_PKG_VERSION").into(),
        binary_digest: own_digest()?,
        cluster: cluster.into(),
        identity: identity.into(),
        previous_end,
    })
}

/// SHA-256 of the program's own file.
pub(super) fn own_digest() -> Result<String, Failure> {
    let explain = |error: std::io::Error| format!("can't read the program's own file: {error}");
    let path = std::env::current_exe().map_err(explain)?;
    let mut file = std::fs::File::open(path).map_err(explain)?;
    let mut hash = Sha256::new();
    // The file is read through a small buffer: it need not stay in memory.
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = std::io::Read::read(&mut file, &mut buffer).map_err(explain)?;
        if read == 0 {
            break;
        }
        hash.update(buffer.get(..read).unwrap_or_default());
    }
    Ok(crate::engine::hex(&hash.finalize()))
}

/// Resolves on SIGTERM or SIGINT.
fn asked_to_stop() -> Result<impl Future<Output = &'static str>, Failure> {
    let explain = |error: std::io::Error| format!("can't listen for signals: {error}");
    let mut terminate = signal(SignalKind::terminate()).map_err(explain)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(explain)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}
