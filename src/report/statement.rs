//! The in-toto statement over the pack: what it is about, and the sum of each of its files.

use serde_json::{Value, json};

use super::{
    Facts,
    pack::{Pack, ReportError},
};
use crate::period::{Operated, Summary};

/// What the statement says.
const PREDICATE: &str = "https://probity.dev/attestations/soc2-period/v1";

/// Writes it. Everything else but the sums has been written.
pub(super) fn write(pack: &Pack<'_>, summary: &Summary, facts: &Facts) -> Result<(), ReportError> {
    let statement = statement(pack, summary, facts);
    let mut file = pack.file("attestation.intoto.json")?;
    file.put_json(&statement)?;
    file.put(b"\n")?;
    pack.keep(file)
}

fn statement(pack: &Pack<'_>, summary: &Summary, facts: &Facts) -> Value {
    let subjects = pack.written().into_iter();
    let subjects = subjects.map(|(name, sum)| json!({ "name": name, "digest": { "sha256": sum } }));
    let count = |operated| {
        summary
            .controls
            .iter()
            .filter(|op| op.operated == operated)
            .count()
    };
    let sum = |of: fn(&crate::period::DeviationNumbers) -> u64| {
        summary
            .controls
            .iter()
            .map(|op| of(&op.numbers.deviations))
            .sum::<u64>()
    };
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects.collect::<Vec<_>>(),
        "predicateType": PREDICATE,
        "predicate": {
            "meaning": "results of management's automated evaluation",
            "period": summary.period,
            "until": summary.until,
            "log": summary.log,
            "controls": {
                "operated": count(Operated::Operated),
                "noOccurrence": count(Operated::NoOccurrence),
                "notOperated": count(Operated::NotOperated),
            },
            "deviations": { "all": sum(|of| of.times.count), "open": sum(|of| of.open) },
            "tool": { "name": "probity", "version": facts.version, "sha256": facts.binary_digest },
        },
    })
}
