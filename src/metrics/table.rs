//! The table of all metrics: names, helps, labels.

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, process_collector::ProcessCollector,
};

use super::{Metrics, periods::Periods, shown::Shown};
use crate::controls::REGISTRY;

/// Buckets from a tenth of a millisecond to ten seconds.
const FAST: [f64; 12] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 2.0, 10.0,
];

impl Metrics {
    /// Registers all metrics in a registry of their own.
    #[allow(clippy::too_many_lines, reason = "a table: one metric after the other")]
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new_custom(Some("probity".to_owned()), None)?;
        let by = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let count = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let seconds = |name: &str, help: &str| {
            let options = HistogramOpts::new(name, help).buckets(FAST.to_vec());
            let metric = Histogram::with_opts(options)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let of_control = |name: &str, help: &str| {
            let options = HistogramOpts::new(name, help).buckets(FAST.to_vec());
            let metric = HistogramVec::new(options, &["control"])?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let one = |name: &str, help: &str| {
            let metric = IntGauge::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let shown =
            |name: &str, help: &str, labels: &[&str]| by(name, help, labels).map(Shown::new);
        let info = by(
            "control_info",
            "Facts of a control; always 1.",
            &["control", "family", "severity", "criteria"],
        )?;
        let criterion = by(
            "control_criterion",
            "1 for each criterion that a control supports.",
            &["control", "criterion"],
        )?;
        for control in REGISTRY.iter().map(|registered| registered.info) {
            let criteria = control.criteria.join(",");
            let labels = [
                control.id,
                control.family.as_str(),
                control.severity.as_str(),
                &criteria,
            ];
            info.with_label_values(&labels).set(1);
            for one in control.criteria {
                criterion.with_label_values(&[control.id, *one]).set(1);
            }
        }
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let watch_staleness = GaugeVec::new(
            Opts::new(
                "watch_staleness_seconds",
                "Time since the last sign of life of a watch.",
            ),
            &["kind"],
        )?;
        registry.register(Box::new(watch_staleness.clone()))?;
        let evidence_entries = IntCounter::new(
            "evidence_entries_total",
            "Entries given to the evidence log.",
        )?;
        registry.register(Box::new(evidence_entries.clone()))?;
        let evidence_checkpoint = Gauge::new(
            "evidence_last_checkpoint_timestamp_seconds",
            "When a checkpoint was last seen that covers more than the one before.",
        )?;
        registry.register(Box::new(evidence_checkpoint.clone()))?;
        let evidence_anchor = GaugeVec::new(
            Opts::new(
                "evidence_anchor_age_seconds",
                "Time since a checkpoint was last kept there.",
            ),
            &["target"],
        )?;
        registry.register(Box::new(evidence_anchor.clone()))?;
        let last_round = Gauge::new(
            "last_round_timestamp_seconds",
            "When the engine last went round.",
        )?;
        registry.register(Box::new(last_round.clone()))?;
        Ok(Self {
            control_outcome: shown(
                "control_outcome",
                "1 for the outcome that a control of a policy has, 0 for the others.",
                &["policy", "control", "outcome"],
            )?,
            subjects: shown(
                "subjects",
                "Subjects of a control of a policy by outcome.",
                &["policy", "control", "outcome"],
            )?,
            subjects_failing_by_owner: shown(
                "subjects_failing_by_owner",
                "Failing subjects by the owner of their namespace; at most 200 owners, then `other`.",
                &["policy", "control", "owner"],
            )?,
            deviations_open: shown(
                "deviations_open",
                "Deviations that are open, by whether they were there when the policy first looked.",
                &["policy", "control", "severity", "origin"],
            )?,
            deviation_oldest: shown(
                "deviation_oldest_timestamp_seconds",
                "When the oldest open deviation began.",
                &["policy", "control", "severity", "origin"],
            )?,
            deadline: shown(
                "control_deadline_timestamp_seconds",
                "When the first passing subject of a control stops to pass unless something happens, such as a backup.",
                &["policy", "control"],
            )?,
            drift: count(
                "drift_total",
                "Subjects that went from passing to failing because an object or time changed.",
                &["policy", "control"],
            )?,
            remediation: count(
                "remediation_total",
                "Remedies by how they ended.",
                &["policy", "control", "result"],
            )?,
            contended: count(
                "contended_total",
                "Times that a field was left alone because someone else keeps writing it.",
                &["policy", "control"],
            )?,
            budget: count(
                "budget_reached_total",
                "Times that the budget of writes of a policy was used up.",
                &["policy"],
            )?,
            budget_spent: shown(
                "writes_last_minute",
                "Writes of a policy within the last minute.",
                &["policy"],
            )?,
            budget_limit: shown(
                "writes_per_minute_limit",
                "Writes that a policy may make within a minute.",
                &["policy"],
            )?,
            brake: shown(
                "brake_latched",
                "1 while the brake of a control is latched.",
                &["policy", "control"],
            )?,
            ended: count(
                "deviations_ended_total",
                "Deviations that have ended, by how. Only PutBack and FixedByOthers are remediation.",
                &["policy", "control", "how"],
            )?,
            detect: of_control(
                "drift_detect_seconds",
                "From the bytes of a change to the verdict.",
            )?,
            revert: of_control(
                "drift_revert_seconds",
                "From the bytes of a change to the server's answer to the remedy.",
            )?,
            processing: seconds(
                "processing_seconds",
                "Own processing: from bytes received to the request that follows from them, without the log's sync.",
            )?,
            evaluation: seconds("evaluation_seconds", "Time of one round of the engine.")?,
            inventory_objects: by("inventory_objects", "Objects held, by kind.", &["kind"])?,
            watch_staleness,
            watch_available: by(
                "watch_available",
                "1 while a kind can be judged, or one of Probity's own be read.",
                &["kind"],
            )?,
            watch_gaps: count(
                "watch_gaps_total",
                "Times that a watch had missed something or sent what can't be read.",
                &["kind"],
            )?,
            access_checks: count(
                "access_checks_total",
                "Questions about rights to the API server, by whether its answer is that of RBAC.",
                &["result"],
            )?,
            evidence_entries,
            evidence_failing: one(
                "evidence_failing",
                "1 while the evidence log can't be written.",
            )?,
            evidence_size: one(
                "evidence_log_size",
                "Entries that the last checkpoint of the evidence log covers.",
            )?,
            evidence_checkpoint,
            evidence_anchor,
            evidence_anchor_failing: by(
                "evidence_anchor_failing",
                "1 while checkpoints can't be kept there.",
                &["target"],
            )?,
            evidence_outside: one(
                "evidence_externally_anchored",
                "1 while a checkpoint of the log is kept where this cluster's administrators can't change it.",
            )?,
            evidence_broken: one(
                "evidence_log_broken",
                "1 if the log could not continue the one before: lost, rolled back, rewritten or damaged.",
            )?,
            evidence_sync: seconds("evidence_sync_seconds", "Wait until entries are durable.")?,
            disk_free: one(
                "disk_free_bytes",
                "Room that is left on the disk of the evidence log.",
            )?,
            disk_size: one("disk_size_bytes", "Size of the disk of the evidence log.")?,
            queue: by(
                "queue_length",
                "What waits for the loop: changes from watches, results of requests, events to publish.",
                &["queue"],
            )?,
            leader: one("leader", "1 while this replica leads.")?,
            requests: count(
                "api_requests_total",
                "Requests to the API server.",
                &["verb", "result"],
            )?,
            policies: one("policies", "Policies that are held.")?,
            attestations_expiring: one(
                "attestations_expiring",
                "Attestations that count, and end within 30 days.",
            )?,
            exceptions_expiring: one(
                "exceptions_expiring",
                "Exceptions that accept failures now, and end within 7 days.",
            )?,
            exceptions_active: by(
                "exceptions_active",
                "Exceptions that accept failures now, by kind.",
                &["kind"],
            )?,
            last_round,
            periods: Periods::new(&registry)?,
            registry,
        })
    }
}
