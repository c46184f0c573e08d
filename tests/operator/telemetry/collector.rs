//! An OpenTelemetry collector: HTTP that takes what it is sent, decoded.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::{
    metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, metric::Data};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message as _;

/// What a collector does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Takes it.
    Takes,
    /// Refuses it.
    Refuses,
    /// Reads it, and never answers.
    Hangs,
}

/// What a collector has been sent.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Spans with who sent them.
    pub(crate) spans: Vec<ResourceSpans>,
    /// Metrics with who sent them.
    pub(crate) metrics: Vec<ResourceMetrics>,
    /// The header `authorization` of each request.
    pub(crate) authorizations: Vec<String>,
    /// Requests, also those that were not taken.
    pub(crate) requests: usize,
}

impl Heard {
    /// All spans.
    pub(crate) fn spans(&self) -> impl Iterator<Item = &Span> {
        let scopes = self.spans.iter().flat_map(|sent| &sent.scope_spans);
        scopes.flat_map(|scope| &scope.spans)
    }

    /// Spans of a name.
    pub(crate) fn named(&self, name: &str) -> Vec<&Span> {
        self.spans().filter(|span| span.name == name).collect()
    }

    /// A metric as it was sent last.
    pub(crate) fn metric(&self, name: &str) -> Option<&Metric> {
        let last = self.metrics.last()?;
        let mut metrics = last.scope_metrics.iter().flat_map(|scope| &scope.metrics);
        metrics.find(|metric| metric.name == name)
    }

    /// Names of all metrics that were sent last.
    pub(crate) fn metric_names(&self) -> Vec<&str> {
        let scopes = self
            .metrics
            .last()
            .into_iter()
            .flat_map(|sent| &sent.scope_metrics);
        let metrics = scopes.flat_map(|scope| &scope.metrics);
        metrics.map(|metric| metric.name.as_str()).collect()
    }
}

/// The sum of a counter's points.
pub(crate) fn total(metric: &Metric) -> f64 {
    use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
    let Some(Data::Sum(sum)) = &metric.data else {
        return f64::NAN;
    };
    let values = sum.data_points.iter().map(|point| match point.value {
        Some(Value::AsDouble(value)) => value,
        _ => f64::NAN,
    });
    values.sum()
}

/// An attribute as text.
pub(crate) fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    Some(match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

/// A collector.
#[derive(Debug)]
pub(crate) struct Collector {
    /// Where it is.
    pub(crate) url: String,
    manner: Arc<Mutex<Manner>>,
    heard: Arc<Mutex<Heard>>,
}

impl Collector {
    /// Listens on loopback.
    pub(crate) fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let collector = Self {
            url: format!("http://{address}"),
            manner: Arc::new(Mutex::new(manner)),
            heard: Arc::default(),
        };
        let (manner, heard) = (collector.manner.clone(), collector.heard.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (manner, heard) = (manner.clone(), heard.clone());
                // A client that hangs up ends its thread, and nothing else.
                thread::spawn(move || drop(serve(stream, &manner, &heard)));
            }
        });
        collector
    }

    /// Does otherwise from now on.
    pub(crate) fn behaves(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// What it has been sent until now.
    pub(crate) fn heard(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().unwrap()
    }
}

fn serve(stream: TcpStream, manner: &Mutex<Manner>, heard: &Mutex<Heard>) -> std::io::Result<()> {
    let mut answers = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut length, mut authorization) = (0, String::new());
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.trim_end().split_once(':') else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap_or(0),
                "authorization" => value.trim().clone_into(&mut authorization),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let manner = *manner.lock().unwrap();
        let mut heard = heard.lock().unwrap();
        heard.requests += 1;
        if manner == Manner::Takes {
            heard.authorizations.push(authorization);
            take(&path, &body, &mut heard);
        }
        drop(heard);
        match manner {
            Manner::Takes => answers.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?,
            Manner::Refuses => answers
                .write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")?,
            Manner::Hangs => thread::sleep(Duration::from_hours(1)),
        }
    }
}

fn take(path: &str, body: &[u8], heard: &mut Heard) {
    match path {
        "/v1/traces" => {
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            heard.spans.extend(request.resource_spans);
        }
        "/v1/metrics" => {
            let request = ExportMetricsServiceRequest::decode(body).unwrap();
            heard.metrics.extend(request.resource_metrics);
        }
        other => panic!("nothing of ours goes to {other}"),
    }
}
