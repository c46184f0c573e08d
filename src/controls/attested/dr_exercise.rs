//! `attest-dr-exercise`

use super::attested;
use crate::controls::prelude::*;

attested! {
    /// Recovery from a disaster was exercised within a year.
    DrExercise {
        id: "attest-dr-exercise",
        field: "attestDrExercise",
        title: "Recovery from a disaster was exercised within a year",
        criteria: &["A1.3", "CC9.1"],
        severity: High,
        days: 365,
        contents: "the scope, the recovery time and point that were reached, and what went wrong",
        why: "Backups that can be restored are a part of it; people, places and order are the rest.",
        limits: "Restore tests in the cluster are judged by controls of their own.",
    }
}
