//! `attest-subservice-soc-report`

use super::attested;
use crate::controls::prelude::*;

attested! {
    /// Reports of hosting providers were read, and cover the time.
    SubserviceSocReport {
        id: "attest-subservice-soc-report",
        field: "attestSubserviceSocReport",
        title: "Reports of hosting providers were read, and cover the time",
        criteria: &["CC6.4", "CC6.5", "A1.2", "CC9.2"],
        severity: High,
        days: 365,
        contents: "the provider, type and period of the report, which of its controls are relied on, and a bridge letter where it ends early",
        why: "What lies below the cluster (rooms, power, disks, a managed control plane) is operated by somebody else.",
        limits: "What the provider operates is not observed; facts that only they can show are Unknown elsewhere.",
    }
}
