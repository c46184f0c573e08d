//! `attest-penetration-test`

use super::attested;
use crate::controls::prelude::*;

attested! {
    /// The system was attacked by testers within a year.
    PenetrationTest {
        id: "attest-penetration-test",
        field: "attestPenetrationTest",
        title: "The system was attacked by testers within a year",
        criteria: &["CC4.1", "CC7.1"],
        severity: Medium,
        days: 365,
        contents: "the firm, the dates, the scope, and which high findings are open",
        why: "Somebody else looks for other ways in.",
        limits: "What the testers did not try is not known.",
    }
}
