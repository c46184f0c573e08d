//! `attest-policy-review`

use super::attested;
use crate::controls::prelude::*;

attested! {
    /// Policies were reviewed within a year.
    PolicyReview {
        id: "attest-policy-review",
        field: "attestPolicyReview",
        title: "Policies were reviewed within a year",
        criteria: &["CC5.3", "CC2.2", "CC2.3"],
        severity: Medium,
        days: 365,
        contents: "the ids and versions of the policies, and who approved them",
        why: "A policy that nobody has read for years describes another company.",
        limits: "Whether people follow the policies is not said.",
    }
}
