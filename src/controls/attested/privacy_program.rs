//! `attest-privacy-program`

use super::attested;
use crate::controls::prelude::*;

attested! {
    /// The privacy programme is operated.
    PrivacyProgram {
        id: "attest-privacy-program",
        field: "attestPrivacyProgram",
        title: "The privacy programme is operated",
        criteria: &["P1.1", "P2.1", "P3.1", "P3.2", "P5.1", "P5.2", "P6.1", "P6.2", "P6.7", "P7.1", "P8.1"],
        severity: Medium,
        days: 365,
        contents: "the version of the notice, the list of impact assessments, and the register of requests by its hash",
        why: "What people were promised about their data has to be kept.",
        limits: "Whether each request was answered rightly is not said.",
    }
}
