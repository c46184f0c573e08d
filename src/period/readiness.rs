//! Readiness: for each criterion, what there is to show that it is met, and what there is not.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::{Operated, Summary};
use crate::{
    controls::{Family, REGISTRY, registry},
    criteria::CRITERIA,
};

/// How far a cluster can tell of a criterion at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Signal {
    /// Mostly.
    Main,
    /// It supports what people have to show.
    Supporting,
    /// Not at all.
    None,
}

/// Criteria of which a cluster is the main witness.
const MAIN: [&str; 14] = [
    "CC4.1", "CC4.2", "CC6.1", "CC6.3", "CC6.6", "CC6.7", "CC6.8", "CC7.1", "CC7.2", "CC7.5",
    "A1.1", "A1.2", "A1.3", "PI1.5",
];

/// Criteria for which a cluster has something to add.
const SUPPORTING: [&str; 19] = [
    "CC2.1", "CC3.2", "CC3.4", "CC5.2", "CC6.2", "CC6.5", "CC7.3", "CC7.4", "CC8.1", "CC9.1",
    "PI1.2", "PI1.3", "PI1.4", "C1.1", "C1.2", "P4.1", "P4.2", "P4.3", "P6.1",
];

/// Parameters that say what was committed to: control, field, and what it is called.
const COMMITMENTS: [(&str, &str, &str); 5] = [
    ("backup-rpo-met", "defaultRpo", "recovery point objective"),
    (
        "backup-restore-rto-met",
        "defaultRto",
        "recovery time objective",
    ),
    (
        "backup-retention-met",
        "minRetention",
        "backups kept for at least",
    ),
    (
        "backup-retention-met",
        "maxRetention",
        "backups kept for at most",
    ),
    (
        "backup-restore-test-current",
        "maxAge",
        "restore tests not older than",
    ),
];

/// What there is to show for a criterion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Shown {
    /// Controls that are judged automatically.
    Automated,
    /// Only what people attest.
    Attested,
    /// Nothing.
    Unaddressed,
}

impl Shown {
    /// The same in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Automated => "automated",
            Self::Attested => "attested",
            Self::Unaddressed => "unaddressed",
        }
    }
}

/// A criterion, and what there is to show for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Criterion {
    /// Its id.
    pub id: &'static str,
    /// What there is.
    pub shown: Shown,
    /// How far a cluster can tell at all.
    pub signal: Signal,
    /// Controls that are in force for it.
    pub controls: Vec<String>,
    /// Attested controls with an attestation that was approved.
    pub attestations: Vec<String>,
    /// What would address it, and is not there.
    pub possible: Vec<&'static str>,
}

/// Something that was committed to, and is tested against.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Commitment {
    /// What it is.
    pub name: &'static str,
    /// The control that tests it.
    pub control: &'static str,
    /// In which policy.
    pub policy: String,
    /// The value.
    pub value: String,
}

/// Readiness for an examination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// Every criterion in scope.
    pub criteria: Vec<Criterion>,
    /// What is tested against.
    pub commitments: Vec<Commitment>,
}

/// What there is to show by an account. `criteria` is the scope; all, if it is empty.
pub fn readiness(summary: &Summary, criteria: &[String]) -> Readiness {
    let in_force: BTreeSet<&str> = summary
        .controls
        .iter()
        .filter(|operation| {
            let operated = operation.operated;
            !matches!(operated, Operated::NotOperated | Operated::NotJudged)
        })
        .map(|operation| &*operation.control)
        .collect();
    let attested: BTreeSet<&str> = summary.attested.iter().map(|control| &**control).collect();
    let scope = CRITERIA.into_iter();
    let scope = scope.filter(|id| criteria.is_empty() || criteria.iter().any(|asked| asked == id));
    let criteria = scope
        .map(|id| criterion(id, &in_force, &attested))
        .collect();
    Readiness {
        criteria,
        commitments: commitments(summary),
    }
}

fn criterion(id: &'static str, in_force: &BTreeSet<&str>, attested: &BTreeSet<&str>) -> Criterion {
    let serves = |attested: bool| {
        let all = REGISTRY.iter().map(|registered| registered.info);
        let ours = all.filter(move |info| (info.family == Family::Attested) == attested);
        ours.filter(|info| info.criteria.contains(&id))
            .map(|info| info.id)
    };
    let (automatic, by_people) = (serves(false), serves(true));
    let (controls, no_controls): (Vec<&str>, Vec<&str>) =
        automatic.partition(|control| in_force.contains(control));
    let (attestations, no_attestations): (Vec<&str>, Vec<&str>) =
        by_people.partition(|control| attested.contains(control));
    let shown = if !controls.is_empty() {
        Shown::Automated
    } else if !attestations.is_empty() {
        Shown::Attested
    } else {
        Shown::Unaddressed
    };
    let own = |ids: Vec<&str>| ids.into_iter().map(str::to_owned).collect();
    Criterion {
        id,
        shown,
        signal: signal(id),
        controls: own(controls),
        attestations: own(attestations),
        possible: no_controls.into_iter().chain(no_attestations).collect(),
    }
}

/// How far a cluster can tell of a criterion.
pub fn signal(criterion: &str) -> Signal {
    if MAIN.contains(&criterion) {
        Signal::Main
    } else if SUPPORTING.contains(&criterion) {
        Signal::Supporting
    } else {
        Signal::None
    }
}

fn commitments(summary: &Summary) -> Vec<Commitment> {
    let mut found = Vec::new();
    for operation in &summary.controls {
        let last = operation
            .segments
            .last()
            .and_then(|segment| segment.definition.parameters.as_ref());
        let Some(parameters) = last else { continue };
        for (control, field, name) in COMMITMENTS {
            let value = parameters.get(field).and_then(Value::as_str);
            if let Some(value) = value.filter(|_| *operation.control == *control) {
                found.push(Commitment {
                    name,
                    control,
                    policy: operation.policy.to_string(),
                    value: value.to_owned(),
                });
            }
        }
    }
    found
}

/// The one-line title of a control; its id, where this program doesn't know it.
pub fn title(control: &str) -> &str {
    registry::find(control).map_or(control, |found| found.info.title)
}

/// Criteria that a control serves; none, where this program doesn't know it.
pub fn criteria_of(control: &str) -> Vec<&'static str> {
    registry::find(control).map_or_else(Vec::new, |found| found.info.criteria.to_vec())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn criteria_are_classed_once_and_each_is_one() {
        let classed: BTreeSet<&str> = MAIN.iter().chain(&SUPPORTING).copied().collect();
        assert_eq!(classed.len(), MAIN.len() + SUPPORTING.len());
        assert!(classed.iter().all(|id| CRITERIA.contains(id)));
    }

    #[test]
    fn commitments_are_parameters_that_policies_have() {
        for (control, field, _) in COMMITMENTS {
            let registered = registry::find(control).unwrap();
            let asked = json!({ registered.info.field: { field: "9d" } });
            let controls = serde_json::from_value(asked).unwrap();
            let enabled = (registered.enabled)(&controls).unwrap();
            assert_eq!(enabled.parameters[field], "9d", "{control}");
        }
    }
}
