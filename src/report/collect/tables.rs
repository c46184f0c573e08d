//! The files to which rows are added while the log is read.

use crate::report::{
    csv::Table,
    pack::{Pack, ReportError},
};

/// Tables in the making.
pub(super) struct Tables {
    pub(super) unobserved: Table,
    pub(super) gaps: Table,
    pub(super) remedies: Table,
    pub(super) changes: Table,
    pub(super) attestations: Table,
    pub(super) reviews: Table,
    pub(super) restores: Table,
}

impl Tables {
    /// New files, with their headers.
    #[allow(clippy::too_many_lines, reason = "a table: one file after the other")]
    pub(super) fn new(pack: &Pack<'_>) -> Result<Self, ReportError> {
        let table = |name: &str, header: &[&str]| Table::new(pack, name, header);
        Ok(Self {
            unobserved: table(
                "not-observable.csv",
                &[
                    "control",
                    "policy",
                    "kind",
                    "namespace",
                    "name",
                    "from",
                    "to",
                    "reason",
                    "message",
                    "entry",
                    "assumed responsible",
                ],
            )?,
            gaps: table(
                "gaps.csv",
                &["control", "policy", "from", "to", "seconds", "causes"],
            )?,
            remedies: table(
                "remedies.csv",
                &[
                    "intent",
                    "control",
                    "policies",
                    "action",
                    "kind",
                    "namespace",
                    "name",
                    "began",
                    "ended",
                    "result",
                    "message",
                ],
            )?,
            changes: table(
                "changes.csv",
                &[
                    "entry",
                    "time",
                    "kind",
                    "namespace",
                    "name",
                    "step",
                    "who",
                    "old hash",
                    "new hash",
                    "expires",
                    "decision",
                ],
            )?,
            attestations: table(
                "attestations.csv",
                &[
                    "entry",
                    "time",
                    "name",
                    "step",
                    "control",
                    "who",
                    "statement",
                    "evidence",
                    "expires",
                    "decision",
                ],
            )?,
            reviews: table(
                "access-reviews/reviews.csv",
                &[
                    "entry",
                    "time",
                    "namespace",
                    "name",
                    "step",
                    "who",
                    "spec hash",
                    "decision",
                ],
            )?,
            restores: table(
                "restore-tests.csv",
                &["entry", "time", "control", "subject", "ended", "what"],
            )?,
        })
    }

    /// All of them.
    pub(super) fn all(self) -> [Table; 7] {
        [
            self.unobserved,
            self.gaps,
            self.remedies,
            self.changes,
            self.attestations,
            self.reviews,
            self.restores,
        ]
    }
}
