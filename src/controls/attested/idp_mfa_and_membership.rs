//! `attest-idp-mfa-and-membership`

use super::attested;
use crate::controls::prelude::*;

attested! {
    /// The identity provider asks for a second factor, and its groups are right.
    IdpMfaAndMembership {
        id: "attest-idp-mfa-and-membership",
        field: "attestIdpMfaAndMembership",
        title: "The identity provider asks for a second factor, and its groups are right",
        criteria: &["CC6.1", "CC6.2", "CC6.6"],
        severity: High,
        days: 92,
        contents: "the export of the identity provider by its hash, that a second factor is enforced, and which groups hold which rights in the cluster",
        why: "The cluster sees groups; who is in them, and how they log in, it does not.",
        limits: "Whether each membership is right is the reviewer's judgement.",
    }
}
