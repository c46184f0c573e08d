//! Prometheus metrics. Label sets are closed; nothing is walked when a scrape comes.

mod periods;
mod shown;
mod table;

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Registry, TextEncoder, core::Collector as _,
};

use self::{periods::Periods, shown::Shown};
use crate::{
    api::ExceptionKind,
    controls::{Info, REGISTRY},
    engine::{Engine, Measure, Now, Origin},
    evidence::{
        space::Space,
        words::{ActionResult, End},
    },
    inventory::{Inventory, Kind, Sym},
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
    access_checks: IntCounterVec,
    evidence_entries: IntCounter,
    evidence_failing: IntGauge,
    evidence_size: IntGauge,
    evidence_checkpoint: Gauge,
    evidence_anchor: GaugeVec,
    evidence_anchor_failing: IntGaugeVec,
    evidence_outside: IntGauge,
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
    periods: Periods,
}

impl Metrics {
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
                Measure::AccessCheck { result } => {
                    self.access_checks.with_label_values(&[*result]).inc();
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
        if let Some(policy) = policy {
            self.forget_counters(policy);
        }
    }

    /// Shows how audit periods stand.
    pub fn periods(&self, engine: &Engine) {
        self.periods.show(engine.period_series());
    }

    /// Removes the series of audit periods: whoever doesn't lead says nothing of them.
    pub fn forget_periods(&self) {
        self.periods.forget();
    }

    /// Removes the counters of a policy that is gone: names that are made up would pile up.
    fn forget_counters(&self, policy: &str) {
        for counter in [
            &self.drift,
            &self.remediation,
            &self.contended,
            &self.ended,
            &self.budget,
        ] {
            for family in counter.collect() {
                for series in family.get_metric() {
                    let labels = series.get_label().iter();
                    let labels: HashMap<&str, &str> =
                        labels.map(|label| (label.name(), label.value())).collect();
                    if labels.get("policy") == Some(&policy) {
                        // It was collected just now.
                        let _ = counter.remove(&labels);
                    }
                }
            }
        }
    }

    /// Notes how much of its budget a policy has used.
    pub fn budget(&self, engine: &Engine, policy: &str, now: Now) {
        if let Some((spent, limit)) = engine.budget(policy, now) {
            self.budget_spent.set(policy, &[], whole(spent));
            self.budget_limit.set(policy, &[], i64::from(limit));
        }
    }

    /// Notes until when controls pass by themselves.
    pub fn deadlines(&self, engine: &Engine) {
        let mut rows: BTreeMap<Sym, Vec<_>> = BTreeMap::new();
        for ((policy, control), at) in engine.deadlines() {
            let row = (vec![control.to_owned()], at.as_second());
            rows.entry(policy).or_default().push(row);
        }
        for policy in engine.policies() {
            let rows = rows.remove(policy).unwrap_or_default();
            self.deadline.replace(policy, rows);
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

    /// Notes which of our own kinds can be read.
    pub fn own_kinds(&self, kinds: impl Iterator<Item = (&'static str, bool)>) {
        for (kind, readable) in kinds {
            self.watch_available
                .with_label_values(&[kind])
                .set(i64::from(readable));
        }
    }

    /// Shows nothing more of a kind that is not watched any more: it must not look stale.
    pub fn unwatched(&self, kind: Kind) {
        let name = [kind.info().kind];
        // It may have been given up before it was ever shown.
        let _ = self.watch_staleness.remove_label_values(&name);
        let _ = self.watch_available.remove_label_values(&name);
        let _ = self.inventory_objects.remove_label_values(&name);
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

    /// Notes whether a checkpoint is kept where this cluster's administrators can't change it.
    pub fn anchored_outside(&self, outside: bool) {
        self.evidence_outside.set(i64::from(outside));
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

    /// All metrics as they are now.
    pub fn families(&self) -> Vec<prometheus::proto::MetricFamily> {
        self.registry.gather()
    }

    /// The text that a scrape gets.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        let mut buffer = Vec::new();
        TextEncoder::new().encode(&self.families(), &mut buffer)?;
        String::from_utf8(buffer).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }
}

/// A count as a gauge holds it.
fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Availability;

    #[test]
    fn counters_go_with_their_policy() {
        let metrics = Metrics::new().unwrap();
        for policy in ["gone", "stays"] {
            let drift = Measure::Drift {
                policy: policy.into(),
                control: "net-host-network",
            };
            metrics.count(&[drift], Duration::ZERO);
        }
        metrics.forget_policy(Some("gone"));
        let text = metrics.render().unwrap();
        assert!(!text.contains("gone") && text.contains("policy=\"stays\""));
        metrics.forget_policy(None);
        // Whoever leads again counts on.
        assert!(metrics.render().unwrap().contains("policy=\"stays\""));
    }

    #[test]
    fn a_kind_that_is_not_watched_any_more_is_not_stale() {
        let metrics = Metrics::new().unwrap();
        let mut inventory = Inventory::default();
        let forbidden = Availability::Forbidden("no right".to_owned());
        inventory
            .freshness
            .set(Kind::Namespace, forbidden, Duration::ZERO);
        metrics.inventory(&inventory, Duration::ZERO);
        let shown = || metrics.render().unwrap();
        assert!(shown().contains("probity_watch_available{kind=\"Namespace\"} 0"));
        inventory.freshness.forget(Kind::Namespace);
        metrics.unwatched(Kind::Namespace);
        metrics.inventory(&inventory, Duration::ZERO);
        assert!(!shown().contains("probity_watch_available{kind=\"Namespace\"}"));
    }
}
