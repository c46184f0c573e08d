//! `attest-security-training`

use super::attested;
use crate::controls::prelude::*;

attested! {
    /// Everybody was trained in security within a year.
    SecurityTraining {
        id: "attest-security-training",
        field: "attestSecurityTraining",
        title: "Everybody was trained in security within a year",
        criteria: &["CC1.4", "CC2.2", "CC1.5"],
        severity: Medium,
        days: 365,
        contents: "how many people had to be trained, how many were, and who was left out and why",
        why: "People who were never told what to look out for are the way in.",
        limits: "Whether the training was any good is not said.",
    }
}
