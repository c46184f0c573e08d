//! `attest-governance`

use super::attested;
use crate::controls::prelude::*;

attested! {
    /// Oversight and structure are documented.
    Governance {
        id: "attest-governance",
        field: "attestGovernance",
        title: "Oversight and structure are documented",
        criteria: &["CC1.1", "CC1.2", "CC1.3", "CC1.5", "CC4.2"],
        severity: Low,
        days: 365,
        contents: "references to the minutes, and the version of the organisation chart",
        why: "Controls rest on people who answer for them.",
        limits: "How the board judges is not said.",
    }
}
