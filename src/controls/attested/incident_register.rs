//! `attest-incident-register`

use super::attested;
use crate::controls::prelude::*;

attested! {
    /// The register of incidents is kept month by month.
    IncidentRegister {
        id: "attest-incident-register",
        field: "attestIncidentRegister",
        title: "The register of incidents is kept month by month",
        criteria: &["CC7.3", "CC7.4", "CC7.5", "P6.3", "P6.6"],
        severity: High,
        days: 31,
        contents: "the register by its hash, how many incidents there were, also when there were none, their severities, and when they were closed",
        why: "A month without a line may be a month without incidents, or without anybody who wrote them down.",
        limits: "That there were no incidents is never concluded from silence: somebody has to say it.",
    }
}
