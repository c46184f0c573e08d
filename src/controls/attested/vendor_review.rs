//! `attest-vendor-review`

use super::attested;
use crate::controls::prelude::*;

attested! {
    /// Vendors were reviewed within a year.
    VendorReview {
        id: "attest-vendor-review",
        field: "attestVendorReview",
        title: "Vendors were reviewed within a year",
        criteria: &["CC9.2", "P6.4", "P6.5"],
        severity: Medium,
        days: 365,
        contents: "the list of vendors by its hash, their tiers, the periods of their reports, and gaps",
        why: "What a vendor loses is lost by you.",
        limits: "What vendors do is seen through their reports alone.",
    }
}
