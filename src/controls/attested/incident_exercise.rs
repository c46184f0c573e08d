//! `attest-incident-exercise`

use super::attested;
use crate::controls::prelude::*;

attested! {
    /// The response to an incident was exercised within a year.
    IncidentExercise {
        id: "attest-incident-exercise",
        field: "attestIncidentExercise",
        title: "The response to an incident was exercised within a year",
        criteria: &["CC7.4", "CC7.5"],
        severity: Medium,
        days: 365,
        contents: "the scenario, the date, and what was found",
        why: "A plan that was never tried fails when it is needed.",
        limits: "How a real incident would go is not said.",
    }
}
