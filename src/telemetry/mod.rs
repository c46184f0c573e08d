//! Spans and metrics to an OpenTelemetry collector, over OTLP (HTTP, protobuf), where it is asked for.
//!
//! ```text
//! tracing spans ─► OpenTelemetry's batches, in a thread ─┐
//!                                                        ├─► Sender ─► collector
//! the registry that Prometheus reads ─► metrics, a task ─┘
//! ```
//!
//! Nobody waits for a collector: queues are bounded, requests have a deadline, and what can't be sent is dropped. That a
//! collector fails is said when it begins, not each time.

mod metrics;
mod sender;
mod settings;
pub mod spans;

use std::time::{Duration, SystemTime};

use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing::Subscriber;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

use self::sender::Sender;
pub use self::settings::Settings;
use crate::cluster::web::Web;
use crate::metrics::Metrics;

/// How long what is left may take to be sent at the end.
const LAST: Duration = Duration::from_secs(2);

/// What sends spans and metrics. Without settings it sends nothing.
#[derive(Default)]
pub struct Telemetry {
    spans: Option<SdkTracerProvider>,
    metrics: Option<Measuring>,
}

/// What is needed to send metrics.
#[derive(Clone)]
struct Measuring {
    sender: Sender,
    source: metrics::Source,
    every: Duration,
}

impl Telemetry {
    /// Prepares what the settings ask for, in the name of a replica; nothing is sent yet. Must be called within a runtime,
    /// which sends.
    pub fn new(settings: Settings, replica: &str) -> Result<Self, String> {
        let web = Web::new(settings.authorities.as_deref())?;
        let resource = resource(replica);
        let spans = match settings.traces {
            Some(target) => {
                let endpoint = target.uri.to_string();
                let sender = Sender::new("Spans", web.clone(), target);
                Some(provider(sender, endpoint, resource.clone())?)
            }
            None => None,
        };
        let metrics = settings.metrics.map(|target| Measuring {
            sender: Sender::new("Metrics", web, target),
            source: metrics::Source::new(&resource, SystemTime::now()),
            every: settings.every,
        });
        Ok(Self { spans, metrics })
    }

    /// What hands our spans on. Nothing else goes out: neither lines of the log nor spans of libraries, which name objects.
    pub fn layer<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let provider = self.spans.as_ref()?;
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("probity"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_level(false);
        let ours = filter_fn(|about| about.is_span() && about.target() == spans::TARGET);
        Some(layer.with_filter(ours))
    }

    /// Sends metrics from now on, until the task is dropped.
    pub fn measure(&self, metrics: &Metrics) -> Option<tokio::task::JoinHandle<()>> {
        let measuring = self.metrics.clone()?;
        let metrics = metrics.clone();
        Some(tokio::spawn(async move {
            let mut turns = tokio::time::interval(measuring.every);
            turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                turns.tick().await;
                measuring.send(&metrics).await;
            }
        }))
    }

    /// Sends what is left, for two seconds at most.
    pub async fn end(self, metrics: &Metrics) {
        let Self {
            spans,
            metrics: measuring,
        } = self;
        if let Some(measuring) = measuring {
            // What the collector says of it, the sender has told.
            let _ = tokio::time::timeout(LAST, measuring.send(metrics)).await;
        }
        if let Some(spans) = spans {
            // In a thread: this one sends.
            let last = tokio::task::spawn_blocking(move || spans.shutdown_with_timeout(LAST));
            if let Ok(Err(why)) = last.await {
                tracing::warn!(%why, "The last spans were not sent");
            }
        }
    }
}

impl Measuring {
    async fn send(&self, metrics: &Metrics) {
        let body = self.source.request(&metrics.families(), SystemTime::now());
        self.sender.post(body).await;
    }
}

fn provider(
    sender: Sender,
    endpoint: String,
    resource: Resource,
) -> Result<SdkTracerProvider, String> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(sender)
        .with_endpoint(endpoint)
        .build()
        .map_err(|error| format!("OpenTelemetry: {error}"))?;
    Ok(SdkTracerProvider::builder()
        .with_resource(resource)
        .with_batch_exporter(exporter)
        .build())
}

/// Who sends: `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win over what is said here.
fn resource(replica: &str) -> Resource {
    let given = Resource::builder().build();
    let has = |key: &'static str| given.get(&key.into());
    let mut resource = Resource::builder();
    let unnamed = |name: &opentelemetry::Value| name.as_str().starts_with("unknown_service");
    if has("service.name").as_ref().is_none_or(unnamed) {
        resource = resource.with_service_name("probity");
    }
    if has("service.version").is_none() {
        resource =
            resource.with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    }
    if has("service.instance.id").is_none() {
        resource =
            resource.with_attribute(KeyValue::new("service.instance.id", replica.to_owned()));
    }
    resource.build()
}
