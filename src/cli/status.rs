//! `probity status`: what the policies of a cluster say now, by criterion, and what failed since when.

mod table;

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Connect, Failure,
    output::style::{Style, When},
    pass::{self, Pass},
};
use crate::{
    api::{
        ControlPolicy, Mode,
        status::{ModeInForce, OutcomeCounts},
    },
    engine::Event,
    verdict::{Counts, Outcome, Severity},
};

/// The reason for which the operator lists the cluster where a control can't read what it needs.
const INPUT_UNAVAILABLE: &str = "InputUnavailable";

const EXAMPLES: &str = "\
Examples:
  # All policies: criteria, what fails and since when
  probity status
  # Every failing subject of a namespace, also beyond the ten that a status lists
  probity status -n shop --all
  # For programs
  probity status -o json";

/// Arguments of `probity status`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Only subjects in this namespace.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// List every subject that fails or that nobody can tell of: reads the cluster once.
    #[arg(short, long)]
    all: bool,
    /// Format of what is printed.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    /// Namespace that Probity runs in.
    #[arg(long, value_name = "NAME", default_value = "probity-system")]
    probity_namespace: String,
    /// When to colour.
    #[arg(long = "color", value_name = "WHEN", default_value = "auto")]
    colour: When,
    #[command(flatten)]
    connect: Connect,
}

/// How a status is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// All that is known of one policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct PolicyView {
    name: String,
    mode: &'static str,
    suspended: bool,
    /// `True`, `False` or `Unknown`, as the operator says; `None` before it has judged.
    compliant: Option<String>,
    passing: String,
    failing: i64,
    #[serde(rename = "lastDrift")]
    last_drift: Option<Timestamp>,
    /// What is to be known beside it, such as conditions that are not as they should be.
    notes: Vec<String>,
    criteria: Vec<CriterionView>,
    controls: Vec<ControlView>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct CriterionView {
    id: String,
    outcome: Outcome,
    controls: usize,
    passing: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct ControlView {
    id: String,
    criteria: Vec<String>,
    severity: Severity,
    mode: Mode,
    outcome: Outcome,
    since: Timestamp,
    subjects: OutcomeCounts,
    violations: Vec<ViolationView>,
    /// How many more there are.
    omitted: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct ViolationView {
    kind: String,
    namespace: Option<String>,
    name: String,
    outcome: Outcome,
    reason: String,
    message: String,
    /// `None` where the operator has not listed it.
    since: Option<Timestamp>,
}

/// Reads the statuses and prints them.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let (connection, version) = arguments.connect.open().await?;
    let policies = pass::policies(&connection.client).await?;
    let mut views: Vec<PolicyView> = policies.iter().map(view).collect();
    let mut unread = Vec::new();
    if arguments.all {
        let mut pass = Pass::new(&arguments.probity_namespace);
        for policy in policies {
            pass.apply(Event::Policy(Box::new(policy)));
        }
        unread = pass.read(&connection, &version).await?;
        for view in &mut views {
            list_all(view, &pass);
        }
    }
    if let Some(namespace) = &arguments.namespace {
        pass::there_is(&connection.client, namespace).await?;
        for view in &mut views {
            only_in(view, namespace);
        }
    }
    match arguments.output {
        Format::Json => {
            let all = serde_json::json!({
                "format": "probity.dev/status/v1",
                "policies": views,
                "notes": unread,
            });
            println!("{all:#}");
        }
        Format::Table => {
            let style = Style::of_stdout(arguments.colour);
            print!(
                "{}",
                table::render(&views, &unread, Timestamp::now(), style)
            );
        }
    }
    Ok(())
}

/// What a policy's object says.
fn view(policy: &ControlPolicy) -> PolicyView {
    let status = policy.status.clone().unwrap_or_default();
    let generation = policy.metadata.generation;
    let mut notes = Vec::new();
    if status.observed_generation.is_none() {
        notes.push("it was not judged yet: does the operator run?".to_owned());
    } else if status.observed_generation != generation {
        notes.push("it was changed, and what stands here is about the version before".to_owned());
    }
    for condition in &status.conditions {
        let normal = match condition.type_.as_str() {
            "Ready" => "True",
            "Contended" => "False",
            _ => continue,
        };
        if condition.status != normal {
            let (kind, status) = (&condition.type_, &condition.status);
            notes.push(format!("{kind} is {status}: {}", condition.message));
        }
    }
    let compliant = status.conditions.iter().find(|c| c.type_ == "Compliant");
    let controls: Vec<ControlView> = status
        .controls
        .into_iter()
        .map(|control| ControlView {
            id: control.id,
            criteria: control.criteria,
            severity: control.severity,
            mode: control.mode,
            outcome: control.outcome,
            since: control.since.0,
            subjects: control.subjects,
            violations: control
                .violations
                .into_iter()
                .map(|violation| ViolationView {
                    kind: violation.kind,
                    namespace: violation.namespace,
                    name: violation.name,
                    outcome: violation.outcome,
                    reason: violation.reason,
                    message: violation.message,
                    since: Some(violation.since.0),
                })
                .collect(),
            omitted: control.omitted,
        })
        .collect();
    PolicyView {
        name: policy.metadata.name.clone().unwrap_or_default(),
        mode: status
            .mode
            .map_or(policy.spec.mode.as_str(), ModeInForce::as_str),
        suspended: policy.spec.suspend,
        compliant: compliant.map(|condition| condition.status.clone()),
        passing: status.summary.passing,
        failing: status.summary.failing,
        last_drift: status.last_drift.map(|at| at.0),
        notes,
        criteria: criteria(&controls),
        controls,
    }
}

/// The criteria that some control supports, with the worst of what its controls say.
fn criteria(controls: &[ControlView]) -> Vec<CriterionView> {
    let mut by: BTreeMap<&str, Counts> = BTreeMap::new();
    for control in controls {
        for id in &control.criteria {
            by.entry(id).or_default().add(control.outcome);
        }
    }
    let known = crate::criteria::CRITERIA.iter();
    let views = known.filter_map(|id| {
        let counts = by.get(id)?;
        let count = |number| usize::try_from(number).unwrap_or(usize::MAX);
        Some(CriterionView {
            id: (*id).to_owned(),
            outcome: counts.combined(),
            controls: count(counts.total()),
            passing: count(counts.of(Outcome::Pass)),
        })
    });
    views.collect()
}

/// Lists every subject of a policy that fails or that nobody can tell of, as a pass found them now.
fn list_all(view: &mut PolicyView, pass: &Pass) {
    for found in pass.engine.findings() {
        if **found.policy != *view.name || found.blind.is_some() {
            continue; // the object says since when nobody sees
        }
        let known = view
            .controls
            .iter_mut()
            .find(|control| control.id == found.info.id);
        let Some(control) = known else {
            continue;
        };
        let before = std::mem::take(&mut control.violations);
        let bad = found
            .subjects
            .iter()
            .filter(|(_, verdict)| matches!(verdict.outcome, Outcome::Fail | Outcome::Unknown));
        for (subject, verdict) in bad {
            let namespace = subject.object_namespace();
            let namespace = (!namespace.is_empty()).then(|| namespace.to_owned());
            let same = before.iter().find(|old| {
                old.kind == subject.kind_name()
                    && old.namespace == namespace
                    && *old.name == *subject.name
                    && old.outcome == verdict.outcome
            });
            control.violations.push(ViolationView {
                kind: subject.kind_name().to_owned(),
                namespace,
                name: subject.name.to_string(),
                outcome: verdict.outcome,
                reason: verdict.reason.to_owned(),
                message: verdict.message.to_string(),
                since: same.and_then(|old| old.since),
            });
        }
        control.omitted = 0;
    }
}

/// Leaves what is in a namespace, and the namespace itself; and of the controls those that say something of it, or may
/// say it in what the status omits.
fn only_in(view: &mut PolicyView, namespace: &str) {
    for control in &mut view.controls {
        control.violations.retain(|violation| {
            violation.namespace.as_deref() == Some(namespace)
                || (violation.kind == "Namespace" && violation.name == namespace)
                // Where a control sees nothing, it sees nothing of the namespace either.
                || violation.reason == INPUT_UNAVAILABLE
        });
    }
    let speaks = |control: &ControlView| !control.violations.is_empty() || control.omitted > 0;
    view.controls.retain(speaks);
}

#[cfg(test)]
mod tests;
