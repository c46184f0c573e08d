//! Prometheus metrics. Label sets are closed; nothing is walked when a scrape comes.

mod shown;

use std::time::Duration;

use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder, process_collector::ProcessCollector,
};

use self::shown::Shown;
use crate::{
    api::ExceptionKind,
    controls::{Info, REGISTRY},
    engine::{Engine, Measure, Now, Origin},
    evidence::{
        space::Space,
        words::{ActionResult, End},
    },
    inventory::Inventory,
    verdict::Outcome,
};

/// All metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    control_outcome: Shown,
    subjects: Shown,
    subjects_failing_by_owner: Shown,
    deviations_open: Shown,
    deviation_oldest: Shown,
    deadline: Shown,
    drift: IntCounterVec,
    remediation: IntCounterVec,
    contended: IntCounterVec,
    brake: Shown,
    budget: IntCounterVec,
    budget_spent: Shown,
    budget_limit: Shown,
    ended: IntCounterVec,
    detect: HistogramVec,
    revert: HistogramVec,
    processing: Histogram,
    evaluation: Histogram,
    inventory_objects: IntGaugeVec,
    watch_staleness: GaugeVec,
    watch_available: IntGaugeVec,
    watch_gaps: IntCounterVec,
    evidence_entries: IntCounter,
    evidence_failing: IntGauge,
    evidence_size: IntGauge,
    evidence_checkpoint: Gauge,
    evidence_anchor: GaugeVec,
    evidence_anchor_failing: IntGaugeVec,
    evidence_broken: IntGauge,
    evidence_sync: Histogram,
    disk_free: IntGauge,
    disk_size: IntGauge,
    queue: IntGaugeVec,
    leader: IntGauge,
    requests: IntCounterVec,
    policies: IntGauge,
    exceptions_active: IntGaugeVec,
    exceptions_expiring: IntGauge,
    attestations_expiring: IntGauge,
    last_round: Gauge,
}

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
                "1 while a kind can be judged.",
                &["kind"],
            )?,
            watch_gaps: count(
                "watch_gaps_total",
                "Times that a watch had missed something or sent what can't be read.",
                &["kind"],
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
            registry,
        })
    }

    /// Counts what a round measured that ended at `now`, on the monotonic clock.
    pub fn count(&self, measures: &[Measure], now: Duration) {
        for measure in measures {
            match measure {
                Measure::Drift { policy, control } => {
                    self.drift.with_label_values(&[policy, *control]).inc();
                }
                Measure::Remediation {
                    policy,
                    control,
                    result,
                } => {
                    let labels = [policy, *control, *result];
                    self.remediation.with_label_values(&labels).inc();
                }
                Measure::Brake {
                    policy,
                    control,
                    latched,
                } => {
                    self.brake.set(policy, &[control], i64::from(*latched));
                }
                Measure::Contended { policy, control } => {
                    self.contended.with_label_values(&[policy, *control]).inc();
                }
                Measure::Budget { policy } => {
                    self.budget.with_label_values(&[policy]).inc();
                }
                Measure::Detected { control, received } => {
                    self.detect
                        .with_label_values(&[*control])
                        .observe(now.saturating_sub(*received).as_secs_f64());
                }
                Measure::Reverted { control, took } => {
                    let revert = self.revert.with_label_values(&[*control]);
                    revert.observe(took.as_secs_f64());
                }
                Measure::Ended {
                    policy,
                    control,
                    how,
                } => {
                    let labels: [&str; 3] = [policy, control, how.as_str()];
                    self.ended.with_label_values(&labels).inc();
                }
                Measure::Gap { kind } => {
                    self.watch_gaps.with_label_values(&[kind.info().kind]).inc();
                }
            }
        }
    }

    /// Brings the series of one policy up to date.
    pub fn policy(&self, engine: &Engine, policy: &str) {
        let (mut outcomes, mut subjects, mut owners) = (Vec::new(), Vec::new(), Vec::new());
        let (mut open, mut oldest) = (Vec::new(), Vec::new());
        for series in engine.series(policy) {
            self.begin(policy, series.control);
            let control = || series.control.to_owned();
            for outcome in Outcome::ALL {
                let labels = vec![control(), outcome.as_str().to_owned()];
                outcomes.push((labels.clone(), i64::from(series.outcome == outcome)));
                subjects.push((labels, whole(series.counts.of(outcome))));
            }
            for (owner, failing) in &series.owners {
                owners.push((vec![control(), owner.clone()], whole(*failing)));
            }
            for origin in Origin::ALL {
                let severity = series.severity.as_str().to_owned();
                let labels = vec![control(), severity, origin.as_str().to_owned()];
                let found = series.deviations.get(&origin);
                if let Some((_, since)) = found {
                    oldest.push((labels.clone(), since.as_second()));
                }
                open.push((labels, found.map_or(0, |(count, _)| whole(*count))));
            }
        }
        self.control_outcome.replace(policy, outcomes);
        self.subjects.replace(policy, subjects);
        self.subjects_failing_by_owner.replace(policy, owners);
        self.deviations_open.replace(policy, open);
        self.deviation_oldest.replace(policy, oldest);
    }

    /// Begins the counters of a control at 0: what is first seen at 1 has not risen for whoever
    /// asks how much it did.
    fn begin(&self, policy: &str, control: &'static str) {
        self.drift.with_label_values(&[policy, control]);
        for how in [End::PutBack, End::FixedByOthers] {
            let labels = [policy, control, how.as_str()];
            self.ended.with_label_values(&labels);
        }
        let writes = |info: &Info| info.id == control && !info.writes.is_empty();
        if REGISTRY.iter().any(|registered| writes(registered.info)) {
            self.contended.with_label_values(&[policy, control]);
            for result in ActionResult::ALL {
                let labels = [policy, control, result.as_str()];
                self.remediation.with_label_values(&labels);
            }
        }
        self.budget.with_label_values(&[policy]);
    }

    /// Removes the series of a policy that is gone, or of all when leadership is lost.
    pub fn forget_policy(&self, policy: Option<&str>) {
        for metric in [
            &self.control_outcome,
            &self.subjects,
            &self.subjects_failing_by_owner,
            &self.deviations_open,
            &self.deviation_oldest,
            &self.deadline,
            &self.brake,
            &self.budget_spent,
            &self.budget_limit,
        ] {
            metric.forget(policy);
        }
    }

    /// Notes how much of its budget a policy has used.
    pub fn budget(&self, engine: &Engine, policy: &str, now: Now) {
        if let Some((spent, limit)) = engine.budget(policy, now) {
            self.budget_spent.set(policy, &[], whole(spent));
            self.budget_limit.set(policy, &[], i64::from(limit));
        }
    }

    /// Notes until when controls pass by themselves; once a minute.
    pub fn deadlines(&self, engine: &Engine) {
        self.deadline.forget(None);
        for ((policy, control), at) in engine.deadlines() {
            self.deadline.set(&policy, &[control], at.as_second());
        }
    }

    /// Notes how much waits.
    pub fn waiting(&self, queue: &'static str, length: usize) {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        self.queue.with_label_values(&[queue]).set(length);
    }

    /// Notes the room on the disk of the log.
    pub fn disk(&self, space: Space) {
        self.disk_free.set(whole(space.free));
        self.disk_size.set(whole(space.size));
    }

    /// Brings what is known of the inventory up to date; once a second, not per scrape.
    pub fn inventory(&self, inventory: &Inventory, now: Duration) {
        for (kind, availability, age) in inventory.freshness.iter(now) {
            let name = [kind.info().kind];
            self.watch_staleness
                .with_label_values(&name)
                .set(age.as_secs_f64());
            self.watch_available
                .with_label_values(&name)
                .set(i64::from(availability.is_usable()));
            let held = i64::try_from(inventory.count(kind)).unwrap_or(i64::MAX);
            self.inventory_objects.with_label_values(&name).set(held);
            self.watch_gaps.with_label_values(&name); // from 0 on: see `begin`
        }
    }

    /// Counts a round of the engine.
    pub fn round(&self, took: Duration, now: jiff::Timestamp) {
        self.evaluation.observe(took.as_secs_f64());
        self.last_round.set(now.as_duration().as_secs_f64());
    }

    /// Counts own processing, from bytes received to the request sent.
    pub fn processed(&self, took: Duration) {
        self.processing.observe(took.as_secs_f64());
    }

    /// Counts entries given to the log.
    pub fn logged(&self, entries: usize) {
        self.evidence_entries
            .inc_by(u64::try_from(entries).unwrap_or(u64::MAX));
    }

    /// Counts the wait for durability.
    pub fn synced(&self, took: Duration) {
        self.evidence_sync.observe(took.as_secs_f64());
    }

    /// Notes whether the log can be written.
    pub fn log_failing(&self, failing: bool) {
        self.evidence_failing.set(i64::from(failing));
    }

    /// Notes whether the log had to begin anew.
    pub fn log_broken(&self, broken: bool) {
        self.evidence_broken.set(i64::from(broken));
    }

    /// Notes the size of the last checkpoint.
    pub fn published(&self, size: u64, now: jiff::Timestamp) {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        if self.evidence_size.get() != size {
            self.evidence_size.set(size);
            self.evidence_checkpoint
                .set(now.as_duration().as_secs_f64());
        }
    }

    /// Notes how long ago a checkpoint was kept at a kind of place, and whether that fails now.
    pub fn anchor(&self, target: &str, age: Option<Duration>, failing: bool) {
        if let Some(age) = age {
            self.evidence_anchor
                .with_label_values(&[target])
                .set(age.as_secs_f64());
        }
        self.evidence_anchor_failing
            .with_label_values(&[target])
            .set(i64::from(failing));
    }

    /// Notes whether this replica leads.
    pub fn leading(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Notes how many policies are held.
    pub fn policies(&self, held: usize) {
        self.policies.set(i64::try_from(held).unwrap_or(i64::MAX));
    }

    /// Notes how many exceptions are in force, and how many attestations end soon.
    pub fn people(&self, engine: &Engine, now: Now) {
        let exceptions = engine.exceptions_ending(now);
        self.exceptions_expiring
            .set(i64::try_from(exceptions).unwrap_or(i64::MAX));
        let ending = engine.attestations_ending(now);
        self.attestations_expiring
            .set(i64::try_from(ending).unwrap_or(i64::MAX));
        for kind in ExceptionKind::ALL {
            let count = i64::try_from(engine.exceptions_in_force(kind)).unwrap_or(i64::MAX);
            let gauge = self.exceptions_active.with_label_values(&[kind.as_str()]);
            gauge.set(count);
        }
    }

    /// Counts a request to the API server.
    pub fn request(&self, verb: &str, result: &str) {
        self.requests.with_label_values(&[verb, result]).inc();
    }

    /// The text that a scrape gets.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        let mut buffer = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut buffer)?;
        String::from_utf8(buffer).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }
}

/// A count as a gauge holds it.
fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
