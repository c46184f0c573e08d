//! What came back in a drill, and how its Restore carries that on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::RESULT;
use crate::{
    analysis::backup::{Protectable, RESTORE_TEST},
    inventory::{Inventory, Meta, Object, Sym, velero::Restore, workload::Job},
    words::{many, part_of},
};

/// How a drill ended, as an annotation of its Restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrillResult {
    /// Whether everything came back.
    pub passed: bool,
    /// What happened, in a sentence.
    pub said: String,
    /// When that was known.
    pub ended: Timestamp,
    /// Claims that came back, by backup class.
    #[serde(default)]
    pub claims: BTreeMap<String, Share>,
    /// The Job that verified each class.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub verified: BTreeMap<String, String>,
}

/// How many of the restored claims of a class are bound to a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Those that are.
    pub bound: usize,
    /// All.
    pub all: usize,
}

impl DrillResult {
    /// The result that a Restore carries, if its drill has come to an end.
    pub fn of(restore: &Meta) -> Option<Self> {
        serde_json::from_str(restore.annotations.get(RESULT)?).ok()
    }
}

/// What is in the sandbox.
#[derive(Debug, Default)]
pub struct CameBack {
    /// Claims by backup class.
    pub claims: BTreeMap<String, Share>,
    /// Names of claims without a volume.
    pub unbound: Vec<Sym>,
    /// The Job that verified each class.
    pub verified: BTreeMap<String, String>,
    /// A Job that found something wrong.
    pub refuted: Option<String>,
}

impl CameBack {
    /// Looks into the sandbox.
    pub fn of(inventory: &Inventory, sandbox: &str) -> Self {
        let mut seen = Self::default();
        for claim in inventory.tables.claims.in_namespace(sandbox) {
            let class = Protectable::Claim(claim).backup_class().to_owned();
            let share = seen.claims.entry(class).or_default();
            share.all += 1;
            if claim.spec.bound == Some(true) {
                share.bound += 1;
            } else {
                seen.unbound.push(claim.meta.name.clone());
            }
        }
        for job in inventory.tables.jobs.in_namespace(sandbox) {
            seen.verify(job);
        }
        seen
    }

    fn verify(&mut self, job: &Object<Job>) {
        let Some(class) = job.meta.labels.get(RESTORE_TEST) else {
            return;
        };
        let name = format!("{}/{}", job.meta.namespace, job.meta.name);
        match job.spec.succeeded {
            Some(true) => {
                self.verified.insert(class.to_owned(), name);
            }
            Some(false) => self.refuted = Some(name),
            None => {}
        }
    }

    /// Claims in the sandbox: bound ones, and all.
    pub fn total(&self) -> Share {
        let add = |sum: Share, share: &Share| Share {
            bound: sum.bound + share.bound,
            all: sum.all + share.all,
        };
        self.claims.values().fold(Share::default(), add)
    }
}

/// How far a drill has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// What it waits for.
    Waiting(String),
    /// Everything came back.
    Passed,
    /// Why it shows nothing, now and whatever follows.
    Failed(String),
}

/// Judges a Restore and what is in the sandbox.
pub fn progress(restore: &Restore, seen: &CameBack, needs_job: bool) -> Progress {
    match restore.phase.as_deref() {
        Some("Completed") => {}
        Some(phase @ ("PartiallyFailed" | "Failed" | "FailedValidation")) => {
            let why = restore.failure.as_deref();
            let why = why.map_or_else(String::new, |why| format!(": {why}"));
            return Progress::Failed(format!("the Restore is {phase}, {}{why}", counts(restore)));
        }
        phase => {
            let phase = phase.filter(|phase| !phase.is_empty()).unwrap_or("New");
            return Progress::Waiting(format!("for the Restore, which is {phase}"));
        }
    }
    if restore.errors > 0 || restore.warnings > 0 {
        return Progress::Failed(format!("the Restore has {}", counts(restore)));
    }
    if seen.claims.is_empty() {
        return Progress::Failed("the Restore brought no claim back".to_owned());
    }
    if let Some(job) = &seen.refuted {
        return Progress::Failed(format!("Job {job}, which verifies it, failed"));
    }
    if let Some(name) = seen.unbound.first() {
        let Share { bound, all } = seen.total();
        return Progress::Waiting(format!(
            "for volumes: {} bound, {name} is not (a storage class that \
             waits for the first consumer needs pods)",
            part_of(bound, all, "claim", "is", "are")
        ));
    }
    let mut classes = seen.claims.keys();
    match classes.find(|class| !seen.verified.contains_key(*class)) {
        Some(class) if needs_job => Progress::Waiting(format!(
            "for a Job with the label {RESTORE_TEST}={class} that verifies it"
        )),
        _ => Progress::Passed,
    }
}

/// What Velero counted.
pub(super) fn counts(restore: &Restore) -> String {
    format!(
        "{} restored, {} and {}",
        many(restore.items, "item"),
        many(restore.errors, "error"),
        many(restore.warnings, "warning")
    )
}
