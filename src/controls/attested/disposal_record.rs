//! `conf-disposal-record`

use super::attested;
use crate::controls::prelude::*;

attested! {
    /// What was disposed of is on record.
    DisposalRecord {
        id: "conf-disposal-record",
        field: "confDisposalRecord",
        title: "What was disposed of is on record",
        criteria: &["C1.2", "CC6.5", "P4.3"],
        severity: Medium,
        days: 365,
        contents: "what was disposed of, the ids of volumes or backups, the method, and by whom; or that nothing had to be",
        why: "What is kept without need can be lost without need.",
        limits: "That media were erased is the provider's to show. It is made for each event; a year without one is said to be one.",
    }
}
