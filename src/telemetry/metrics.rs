//! The metrics that Prometheus reads, as OTLP has them: the same names, labels and figures.

use std::time::SystemTime;

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point::Value,
    },
    resource,
};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_sdk::Resource;
use prometheus::proto::{self, MetricFamily, MetricType};
use prost::Message as _;

/// Who measures, and since when.
#[derive(Clone)]
pub(super) struct Source {
    resource: resource::v1::Resource,
    began: u64,
}

impl Source {
    /// Counters of this process began at `began`.
    pub(super) fn new(resource: &Resource, began: SystemTime) -> Self {
        let ResourceAttributesWithSchema { attributes, .. } = resource.into();
        Self {
            resource: resource::v1::Resource {
                attributes: attributes.0,
                ..Default::default()
            },
            began: nanos(began),
        }
    }

    /// The request that sends all metrics as they are now.
    pub(super) fn request(&self, families: &[MetricFamily], now: SystemTime) -> Vec<u8> {
        let times = Times {
            began: self.began,
            now: nanos(now),
        };
        let metrics = families.iter().filter_map(|family| times.metric(family));
        let scope = ScopeMetrics {
            scope: Some(InstrumentationScope {
                name: "probity".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..Default::default()
            }),
            metrics: metrics.collect(),
            ..Default::default()
        };
        let resource_metrics = vec![ResourceMetrics {
            resource: Some(self.resource.clone()),
            scope_metrics: vec![scope],
            ..Default::default()
        }];
        ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

/// When counting began, and when this was counted, in nanoseconds of Unix time.
struct Times {
    began: u64,
    now: u64,
}

impl Times {
    /// `None` for kinds of which we have none: summaries, and what has no type.
    fn metric(&self, family: &MetricFamily) -> Option<Metric> {
        let rows = family.get_metric();
        let cumulative = AggregationTemporality::Cumulative.into();
        let data = match family.get_field_type() {
            MetricType::COUNTER => Data::Sum(Sum {
                data_points: self.numbers(rows, |row| row.get_counter().get_value()),
                aggregation_temporality: cumulative,
                is_monotonic: true,
            }),
            MetricType::GAUGE => Data::Gauge(Gauge {
                data_points: self.numbers(rows, |row| row.get_gauge().get_value()),
            }),
            MetricType::HISTOGRAM => Data::Histogram(Histogram {
                data_points: rows.iter().map(|row| self.histogram(row)).collect(),
                aggregation_temporality: cumulative,
            }),
            MetricType::SUMMARY | MetricType::UNTYPED => return None,
        };
        Some(Metric {
            name: family.name().to_owned(),
            description: family.help().to_owned(),
            unit: unit(family.name()).to_owned(),
            metadata: Vec::new(),
            data: Some(data),
        })
    }

    fn numbers(
        &self,
        rows: &[proto::Metric],
        value: impl Fn(&proto::Metric) -> f64,
    ) -> Vec<NumberDataPoint> {
        let point = |row: &proto::Metric| NumberDataPoint {
            attributes: labels(row),
            start_time_unix_nano: self.began,
            time_unix_nano: self.now,
            value: Some(Value::AsDouble(value(row))),
            ..Default::default()
        };
        rows.iter().map(point).collect()
    }

    /// Prometheus counts all up to a bound, OTLP what lies between two.
    fn histogram(&self, row: &proto::Metric) -> HistogramDataPoint {
        let histogram = row.get_histogram();
        let buckets = histogram.get_bucket();
        let finite = buckets
            .iter()
            .filter(|bucket| bucket.upper_bound().is_finite());
        let mut before = 0;
        let (mut bounds, mut counts) = (Vec::new(), Vec::new());
        for bucket in finite {
            bounds.push(bucket.upper_bound());
            counts.push(bucket.cumulative_count().saturating_sub(before));
            before = bucket.cumulative_count();
        }
        let count = histogram.get_sample_count();
        counts.push(count.saturating_sub(before));
        HistogramDataPoint {
            attributes: labels(row),
            start_time_unix_nano: self.began,
            time_unix_nano: self.now,
            count,
            sum: Some(histogram.get_sample_sum()),
            bucket_counts: counts,
            explicit_bounds: bounds,
            ..Default::default()
        }
    }
}

/// The unit as UCUM writes it; names end in it.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match name.rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        _ => "",
    }
}

fn labels(row: &proto::Metric) -> Vec<KeyValue> {
    let label = |pair: &proto::LabelPair| KeyValue {
        key: pair.name().to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(pair.value().to_owned())),
        }),
        ..Default::default()
    };
    row.get_label().iter().map(label).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn sent(registry: &Registry) -> ResourceMetrics {
        let resource = Resource::builder_empty()
            .with_service_name("probity")
            .build();
        let source = Source::new(&resource, at(5));
        let bytes = source.request(&registry.gather(), at(7));
        let request = ExportMetricsServiceRequest::decode(bytes.as_slice()).unwrap();
        let [all] = request.resource_metrics.try_into().unwrap();
        all
    }

    fn registry() -> Registry {
        let registry = Registry::new();
        let drift = IntCounterVec::new(Opts::new("drift_total", "Drift."), &["control"]).unwrap();
        let size = IntGauge::new("evidence_size", "Entries.").unwrap();
        let options = HistogramOpts::new("took_seconds", "Took.").buckets(vec![0.5, 2.0]);
        let took = HistogramVec::new(options, &["control"]).unwrap();
        registry.register(Box::new(drift.clone())).unwrap();
        registry.register(Box::new(size.clone())).unwrap();
        registry.register(Box::new(took.clone())).unwrap();
        drift.with_label_values(&["a"]).inc_by(3);
        size.set(-2);
        for seconds in [0.25, 0.5, 1.0, 8.0] {
            took.with_label_values(&["a"]).observe(seconds);
        }
        registry
    }

    #[test]
    fn each_kind_keeps_its_name_labels_and_figures() {
        let all = sent(&registry());
        let metrics = &all.scope_metrics[0].metrics;
        let names: Vec<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();
        assert_eq!(names, ["drift_total", "evidence_size", "took_seconds"]);
        let [
            Some(Data::Sum(drift)),
            Some(Data::Gauge(size)),
            Some(Data::Histogram(took)),
        ] = [0, 1, 2].map(|at| metrics[at].data.clone())
        else {
            panic!("{metrics:#?}")
        };
        assert!(drift.is_monotonic);
        assert_eq!(
            drift.aggregation_temporality(),
            AggregationTemporality::Cumulative
        );
        let point = &drift.data_points[0];
        assert_eq!(point.value, Some(Value::AsDouble(3.0)));
        assert_eq!(point.start_time_unix_nano, 5_000_000_000);
        assert_eq!(point.time_unix_nano, 7_000_000_000);
        assert_eq!(point.attributes[0].key, "control");
        assert_eq!(size.data_points[0].value, Some(Value::AsDouble(-2.0)));
        let point = &took.data_points[0];
        // On the bound is below it, as Prometheus has it.
        assert_eq!(point.bucket_counts, [2, 1, 1]);
        assert_eq!(point.explicit_bounds, [0.5, 2.0]);
        assert_eq!((point.count, point.sum), (4, Some(9.75)));
        assert_eq!(metrics[2].unit, "s");
    }

    #[test]
    fn no_metric_of_ours_is_left_out() {
        let families = crate::metrics::Metrics::new().unwrap().families();
        let times = Times { began: 0, now: 0 };
        for family in &families {
            assert!(times.metric(family).is_some(), "{}", family.name());
        }
        assert!(!families.is_empty());
    }
}
