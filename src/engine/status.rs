//! Statuses of policies: counts, conditions and a bounded list of violations.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    Engine, Now, STATUS_EVERY, STATUS_SOON,
    conditions::turned,
    instance::{Instance, Row},
    plan::{Hold, Standing},
    policies::{Policy, PolicyControl},
    rule::Sight,
};
use crate::{
    api::{
        ControlPolicyStatus, ControlStatus, EnforcementStatus, EvidencePosition, Summary,
        Violation,
        status::{ModeInForce, OutcomeCounts},
    },
    controls::{Remedy, Subject},
    evidence::words::End,
    inventory::Sym,
    verdict::{Counts, Outcome},
};

/// Violations listed per control.
const MOST_VIOLATIONS: usize = 10;
/// Bytes of a message.
const LONGEST_MESSAGE: usize = 512;
/// What stands between the message of a violation and why it is not put back, which ends with a parenthesis.
const HELD: &str = " (not put back: ";
/// Bytes of a status as JSON.
const LARGEST_STATUS: usize = 64 * 1024;

impl Engine {
    /// Has a policy's status written within two seconds.
    pub(super) fn status_soon(&mut self, policy: &Sym, now: Now) {
        let last = self.status_written.get(policy).copied();
        let spaced = last.map_or(Duration::ZERO, |at| at + STATUS_EVERY);
        self.status_by(policy, spaced.max(now.mono + STATUS_SOON));
    }

    /// Has a policy's status written at `at` or before.
    pub(super) fn status_by(&mut self, policy: &Sym, at: Duration) {
        if self.leading {
            self.timers.status(policy, at);
        }
    }

    /// The statuses that are due and differ from what was written last.
    pub(super) fn statuses(&mut self, now: Now) -> Vec<(Sym, ControlPolicyStatus)> {
        let mut due = Vec::new();
        for name in self.timers.due_statuses(now.mono) {
            if !self.leading {
                continue;
            }
            let Some(policy) = self.policies.get(&name) else {
                continue;
            };
            let mut status = self.status(&name, policy, now.wall);
            status.evidence.clone_from(&policy.status.evidence);
            if status == policy.status {
                continue; // quiet when nothing changed
            }
            status.evidence = Some(EvidencePosition {
                log: self.config.log.clone(),
                seq: 0,
            });
            let turned = turned(&policy.status.conditions, &status.conditions);
            if let Some(policy) = self.policies.get_mut(&name) {
                policy.status = status.clone();
            }
            for (kind, reason, note) in turned {
                self.notice_policy(&name, kind, reason, note);
            }
            self.status_written.insert(name.clone(), now.mono);
            due.push((name, status));
        }
        due
    }

    /// Notes at which position the log stood when a status was sent.
    pub fn status_sent(&mut self, policy: &str, evidence: EvidencePosition) {
        if let Some(policy) = self.policies.get_mut(policy) {
            policy.status.evidence = Some(evidence);
        }
    }

    fn status(&self, name: &str, policy: &Policy, now: Timestamp) -> ControlPolicyStatus {
        let mut controls = Vec::new();
        let mut outcomes = Counts::default();
        let mut subjects = OutcomeCounts::default();
        let mut enforcement = EnforcementStatus {
            written: policy.written,
            ..EnforcementStatus::default()
        };
        let mut last_drift: Option<Timestamp> = None;
        for control in &policy.controls {
            let Some(instance) = self.instances.get(&control.instance) else {
                continue;
            };
            outcomes.add(instance.outcome());
            let counts = instance.visible_counts();
            add(&mut subjects, &counts);
            last_drift = last_drift.max(instance.last_drift.as_ref().map(|drift| drift.at));
            if control.enforce_since.is_some() {
                count_standings(instance, name, &mut enforcement);
            }
            controls.push(control_status(name, policy, control, instance, now));
        }
        let old = &policy.status;
        let enforces = policy
            .controls
            .iter()
            .any(|control| control.enforce_since.is_some());
        let modes = policy.controls.iter().map(|control| control.mode);
        let mut status = ControlPolicyStatus {
            observed_generation: Some(policy.generation),
            mode: Some(ModeInForce::of(modes, policy.spec.mode)),
            conditions: self.conditions(policy, &outcomes, &enforcement, now),
            summary: summary(&outcomes, subjects),
            last_drift: last_drift.map(Time).max_by_time(old.last_drift.clone()),
            controls,
            enforcement: enforces.then_some(enforcement),
            evidence: None,
        };
        fit(&mut status);
        status
    }

    /// Failing subjects, and what would be done about each in the name of each policy.
    pub fn proposals(&self) -> Vec<Proposal> {
        let mut proposals = Vec::new();
        for instance in self.instances.values() {
            for (subject, row) in &instance.rows {
                if row.verdict.outcome != Outcome::Fail {
                    continue;
                }
                for policy in &instance.policies {
                    proposals.push(Proposal {
                        policy: policy.clone(),
                        control: instance.key.control,
                        subject: subject.clone(),
                        standing: row.standing(policy).clone(),
                        remedy: row.verdict.remedy.clone(),
                    });
                }
            }
        }
        proposals
    }
}

/// What would be done about a failing subject.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The policy.
    pub policy: Sym,
    /// The control.
    pub control: &'static str,
    /// The subject.
    pub subject: Subject,
    /// Whether it would be done now, or what holds it back.
    pub standing: Standing,
    /// The change, where there is a safe one.
    pub remedy: Option<Box<Remedy>>,
}

fn add(sum: &mut OutcomeCounts, counts: &Counts) {
    let one = outcome_counts(counts);
    sum.pass += one.pass;
    sum.fail += one.fail;
    sum.excepted += one.excepted;
    sum.not_applicable += one.not_applicable;
    sum.unknown += one.unknown;
}

fn outcome_counts(counts: &Counts) -> OutcomeCounts {
    let of = |outcome| i64::try_from(counts.of(outcome)).unwrap_or(i64::MAX);
    OutcomeCounts {
        pass: of(Outcome::Pass),
        fail: of(Outcome::Fail),
        excepted: of(Outcome::Excepted),
        not_applicable: of(Outcome::NotApplicable),
        unknown: of(Outcome::Unknown),
    }
}

fn summary(outcomes: &Counts, subjects: OutcomeCounts) -> Summary {
    let applicable = outcomes.total() - outcomes.of(Outcome::NotApplicable);
    Summary {
        passing: format!("{}/{applicable}", outcomes.of(Outcome::Pass)),
        failing: subjects.fail,
        controls: outcome_counts(outcomes),
        subjects,
    }
}

fn count_standings(instance: &Instance, policy: &str, sum: &mut EnforcementStatus) {
    for row in instance.rows.values() {
        let Standing::Held(hold) = row.standing(policy) else {
            continue;
        };
        match hold {
            Hold::Existing | Hold::Consent => sum.proposed_existing += 1,
            Hold::Owner(_) => sum.proposed_owner += 1,
            Hold::NotAllowed(_) => sum.not_allowed += 1,
            Hold::Budget | Hold::Brake => sum.held_back += 1,
            Hold::Paused(_) => sum.paused += 1,
            Hold::Contended(..) => sum.contended += 1,
            Hold::Refused(_) | Hold::Backoff(_) | Hold::NotSelected | Hold::Terminating => {
                sum.refused += 1;
            }
            Hold::Observe
            | Hold::Suspended
            | Hold::NoRemedy
            | Hold::Grace
            | Hold::Log
            | Hold::Blind
            | Hold::Follower => {}
        }
    }
}

fn control_status(
    name: &str,
    policy: &Policy,
    control: &PolicyControl,
    instance: &Instance,
    now: Timestamp,
) -> ControlStatus {
    let (info, counts, outcome) = (instance.info, instance.visible_counts(), instance.outcome());
    let old = policy.status.controls.iter().find(|old| old.id == info.id);
    let since = match old {
        Some(old) if old.outcome == outcome => old.since.clone(),
        _ => Time(whole_seconds(now)),
    };
    let (violations, omitted) = violations(instance, name);
    let drift = instance.last_drift.as_ref();
    let ended = drift.map(|drift| drift.ended.map_or("Open", End::as_str).to_owned());
    ControlStatus {
        id: info.id.to_owned(),
        criteria: info
            .criteria
            .iter()
            .map(|&criterion| criterion.to_owned())
            .collect(),
        outcome,
        severity: control.severity,
        mode: control.mode,
        enforcing_since: control.enforce_since.map(Time),
        population: i64::try_from(counts.total()).unwrap_or(i64::MAX),
        subjects: outcome_counts(&counts),
        since,
        last_drift: drift
            .map(|drift| Time(whole_seconds(drift.at)))
            .or_else(|| old.and_then(|old| old.last_drift.clone())),
        last_drift_ended: ended.or_else(|| old.and_then(|old| old.last_drift_ended.clone())),
        violations,
        omitted,
    }
}

fn violations(instance: &Instance, policy: &str) -> (Vec<Violation>, i64) {
    if let Sight::Blind(why, since) = &instance.sight {
        let blind = Violation {
            kind: "Cluster".into(),
            namespace: None,
            name: "cluster".into(),
            outcome: Outcome::Unknown,
            strength: crate::verdict::Strength::Declared,
            reason: "InputUnavailable".into(),
            message: cut(why),
            since: Time(whole_seconds(*since)),
        };
        return (vec![blind], 0);
    }
    let bad = |outcome| matches!(outcome, Outcome::Fail | Outcome::Unknown);
    let total = instance.counts.of(Outcome::Fail) + instance.counts.of(Outcome::Unknown);
    if total == 0 {
        return (Vec::new(), 0);
    }
    let of = |wanted: Outcome| {
        let rows = instance.rows.iter();
        rows.filter(move |(_, row)| bad(row.verdict.outcome) && row.verdict.outcome == wanted)
    };
    // Failures first: they are worse than what nobody can tell.
    let listed: Vec<Violation> = of(Outcome::Fail)
        .chain(of(Outcome::Unknown))
        .take(MOST_VIOLATIONS)
        .map(|(subject, row)| violation(subject, row, policy))
        .collect();
    let omitted =
        i64::try_from(total).unwrap_or(i64::MAX) - i64::try_from(listed.len()).unwrap_or(0);
    (listed, omitted)
}

fn violation(subject: &Subject, row: &Row, policy: &str) -> Violation {
    let namespace = subject.object_namespace();
    let message = match row.standing(policy) {
        Standing::Quiet
        | Standing::UnderWay
        | Standing::Held(Hold::Observe | Hold::Suspended | Hold::NoRemedy) => {
            row.verdict.message.to_string()
        }
        Standing::Held(hold) => {
            format!("{}{HELD}{})", row.verdict.message, hold.explain())
        }
    };
    Violation {
        kind: subject.kind_name().to_owned(),
        namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
        name: subject.name.to_string(),
        outcome: row.verdict.outcome,
        strength: row.verdict.strength,
        reason: row.verdict.reason.to_owned(),
        message: cut(&message),
        since: Time(whole_seconds(row.since)),
    }
}

/// Why a violation is not put back, if its message in a status says so.
pub fn not_put_back(message: &str) -> Option<&str> {
    let (_, why) = message.split_once(HELD)?;
    Some(why.strip_suffix(')').unwrap_or(why))
}

/// Cuts a message at a character boundary.
pub(super) fn cut(text: &str) -> String {
    if text.len() <= LONGEST_MESSAGE {
        return text.to_owned();
    }
    let mut end = LONGEST_MESSAGE;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", text.get(..end).unwrap_or_default())
}

/// Cuts violations, of the mildest controls first, until the status fits.
fn fit(status: &mut ControlPolicyStatus) {
    let size = |status: &ControlPolicyStatus| {
        serde_json::to_vec(status).map_or(usize::MAX, |bytes| bytes.len())
    };
    while size(status) > LARGEST_STATUS {
        let longest = status
            .controls
            .iter_mut()
            .filter(|control| !control.violations.is_empty())
            .min_by_key(|control| {
                (
                    control.severity,
                    std::cmp::Reverse(control.violations.len()),
                )
            });
        let Some(control) = longest else { return };
        control.violations.pop();
        control.omitted += 1;
    }
}

/// Times in Kubernetes have whole seconds; ours must compare equal after a round trip.
pub(super) fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

trait MaxByTime {
    fn max_by_time(self, other: Self) -> Self;
}

impl MaxByTime for Option<Time> {
    fn max_by_time(self, other: Self) -> Self {
        match (self, other) {
            (Some(a), Some(b)) => Some(if a.0 >= b.0 {
                Time(whole_seconds(a.0))
            } else {
                b
            }),
            (a, b) => a.or(b).map(|time| Time(whole_seconds(time.0))),
        }
    }
}
