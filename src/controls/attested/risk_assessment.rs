//! `attest-risk-assessment`

use super::attested;
use crate::controls::prelude::*;

attested! {
    /// Risks were assessed within a year.
    RiskAssessment {
        id: "attest-risk-assessment",
        field: "attestRiskAssessment",
        title: "Risks were assessed within a year",
        criteria: &["CC3.1", "CC3.2", "CC3.3", "CC3.4", "CC5.1", "CC9.1"],
        severity: High,
        days: 365,
        contents: "the date, the method, the greatest risks, and which controls and exceptions answer them",
        why: "Controls are chosen for risks: without them nobody can tell whether the right ones operate.",
        limits: "Whether the risks are all there are is a judgement.",
    }
}
