//! What a reader must know first.

use std::fmt::Write as _;

use serde_json::json;

use super::{
    Facts,
    pack::{Pack, ReportError},
};
use crate::period::Summary;

/// Writes README.txt, and the facts by which the pack itself can be judged.
pub(super) fn write(pack: &Pack<'_>, summary: &Summary, facts: &Facts) -> Result<(), ReportError> {
    pack.write("README.txt", readme(summary, facts).as_bytes())?;
    pack.json(
        "ipe.json",
        &json!({
            "tool": { "name": "probity", "version": facts.version, "sha256": facts.binary_digest },
            "source": "the evidence log alone; no cluster was asked",
            "query": { "period": summary.period, "policies": summary.period.policies },
            "log": summary.log,
            "logVerified": facts.verified,
            "operators": summary.runs,
            "parametersInForce": "parameters.jsonl",
            "clock": {
                "stampedBy": "the operator's clock, in UTC",
                "set": summary.clock_steps,
                "timesSet": summary.clock_step_count,
                "note": "offsets against other clocks are known as far as the log holds them",
            },
            "warnings": summary.warnings,
        }),
    )
}

/// The first page.
pub(super) fn readme(summary: &Summary, facts: &Facts) -> String {
    let period = &summary.period;
    let state = if summary.over {
        "The period is over."
    } else {
        "The period is not over yet."
    };
    let mut warnings = String::new();
    for warning in &summary.warnings {
        let _ = writeln!(warnings, "NOTE: {warning}."); // a String can always be written
    }
    let verified = if facts.verified.whole {
        "The log in it was verified; index.html says what that proves."
    } else {
        "THE LOG IN IT DOES NOT VERIFY; \"The log: what is proved\" in index.html says what is wrong."
    };
    format!(
        "Results of management's automated evaluation
============================================

Period {name}: {start} to {end}, both days included, in time zone {zone}.
Judged until {until}. {state} All stamps are UTC.
{verified}
{warnings}
What this is
------------
Everything here was computed by Probity from its evidence log alone. It says, for
each control, when it was looked at, for which subjects, and when it did not hold.

What this is not
----------------
No opinion on the design or the effectiveness of any control: that is the
auditor's. What was not observed is listed as a gap and counts for nothing.
Criteria for which no machine can speak are listed as such in criteria.json.

Words
-----
deviation      an interval in which a subject failed a control. Auditors call it
               an exception.
exemption      management accepted a failure for a while, for a reason. It is
               counted apart, and the subject stays measured.
gap            an interval in which a control was not observed, with its cause.
opened after   the last time that the subject was seen otherwise;
opened by      the first time that it was seen failing. It opened in between.
entry          LOG/NUMBER: logs.csv says which log that is.

Files
-----
index.html                   read this
controls.csv                 each control, and each definition that it had
deviations.csv               every deviation, with management's latest response
populations/                 every subject of each control
excluded-namespaces.csv      what was left out of scope, and why
gaps.csv                     when nobody looked, and why
not-observable.csv           what could not be judged, and who may answer for it
management-approved-exemptions.csv
                             failures that were accepted, by whom, why and until when;
                             the column approval says which of that nobody has approved
remedies.csv                 what Probity wrote, and what became of it
changes.csv                  changes of policies, periods, exemptions, responses, and
                             of how API servers encrypt
attestations.csv, access-reviews/, restore-tests.csv
control-matrix.csv           the organisation's own controls (where given)
logs.csv                     the logs, and which of their entries lie in the period
parameters.jsonl             parameters in force, by interval
period.json, criteria.json, ipe.json
oscal/, ocsf/                the same for machines
log/, keys/                  the evidence log itself, and the keys that it names:
                             probity verify log --key KEY --anchor FILE, with the key
                             and the anchors that you were told by somebody else
attestation.intoto.json      a statement over all files; the same with a
                             signature in attestation.intoto.dsse.json, where
                             whoever made the pack has a key
SHA256SUMS                   sha256sum --check SHA256SUMS

A spreadsheet must not run what somebody named an object: a cell that begins like
a formula has an apostrophe before it, and control characters are replaced.
",
        name = period.name,
        start = period.start,
        end = period.end,
        zone = period.time_zone,
        until = summary.until,
    )
}
