//! A scan for people.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    GroupBy,
    report::{Finding, Judged, Report, Source},
};
use crate::{
    cli::output::{style::Style, wrap::wrap},
    controls::Family,
    criteria::CRITERIA,
    verdict::{Counts, Outcome},
    words::{either, many, one_line},
};

/// Subjects listed per control, unless all are asked for.
const MOST: usize = 5;

/// The table.
pub(super) fn render(report: &Report, group_by: GroupBy, all: bool, style: Style) -> String {
    let mut table = Table {
        text: String::new(),
        all,
        style,
    };
    table.head(report);
    match group_by {
        GroupBy::Family => {
            for family in Family::ALL {
                let of = |judged: &&Judged| judged.info.family == family;
                table.group(family.as_str(), report.controls.iter().filter(of));
            }
        }
        GroupBy::Criterion => {
            for criterion in CRITERIA {
                let of = |judged: &&Judged| judged.info.criteria.contains(&criterion);
                table.group(criterion, report.controls.iter().filter(of));
            }
        }
    }
    table.foot(report);
    table.text
}

struct Table {
    text: String,
    all: bool,
    style: Style,
}

impl Table {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn wrapped(&mut self, text: &str, indent: &str) {
        self.text.push_str(&wrap(text, self.style.width, indent));
    }

    fn head(&mut self, report: &Report) {
        match &report.source {
            Source::Cluster { url, version } => {
                self.wrapped(&format!("Cluster {url} ({version}), read once"), "");
            }
            Source::Files { files, objects } => {
                let (objects, files) = (many(objects, "object"), many(files, "file"));
                self.wrapped(&format!("{objects} in {files}"), "");
            }
        }
    }

    fn group<'a>(&mut self, name: &str, controls: impl Iterator<Item = &'a Judged>) {
        let (idle, judged): (Vec<_>, Vec<_>) =
            controls.partition(|judged| judged.outcome == Outcome::NotApplicable);
        if idle.is_empty() && judged.is_empty() {
            return;
        }
        let name = self.style.bold(&name.to_uppercase());
        self.line("");
        self.line(&name);
        for judged in judged {
            self.control(judged);
        }
        let mut reasons: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for judged in idle {
            reasons
                .entry(unjudged(judged))
                .or_default()
                .push(judged.info.id);
        }
        for (why, ids) in reasons {
            let text = format!("{why}: {}", ids.join(", "));
            for line in wrap(&text, self.style.width, "  ").lines() {
                let line = self.style.dim(line);
                self.line(&line);
            }
        }
    }

    fn control(&mut self, judged: &Judged) {
        let (info, outcome) = (judged.info, judged.outcome);
        let word = self
            .style
            .outcome(outcome, &format!("{:<8}", outcome.as_str().to_uppercase()));
        let mut tail = String::new();
        if outcome == Outcome::Fail {
            let severity = judged.severity;
            let _ = write!(
                tail,
                " {}",
                self.style.severity(severity, severity.as_str())
            );
        }
        self.line(&format!("  {word}{}{tail}", info.id));
        if outcome != Outcome::Pass {
            let mut about = format!("{}.", info.title);
            if judged.counts.total() > 0 {
                let _ = write!(about, " Subjects: {}.", counted(&judged.counts));
            }
            self.wrapped(&about, "          ");
        }
        if let Some(why) = &judged.why {
            self.wrapped(why, "          ");
            return;
        }
        self.findings(&judged.with(Outcome::Fail).collect::<Vec<_>>());
        let unknown: Vec<&Finding> = judged.with(Outcome::Unknown).collect();
        match unknown.as_slice() {
            // One reason for many is told once.
            [first, _, ..]
                if !self.all && unknown.iter().all(|other| other.message == first.message) =>
            {
                let line = format!("? {} {}", many(unknown.len(), "subject"), first.reason);
                self.coloured(Outcome::Unknown, &line);
                self.wrapped(&one_line(&first.message), "            ");
            }
            unknown => self.findings(unknown),
        }
    }

    fn findings(&mut self, findings: &[&Finding]) {
        let most = if self.all { usize::MAX } else { MOST };
        for finding in findings.iter().take(most) {
            self.finding(finding);
        }
        if findings.len() > most {
            let more = findings.len() - most;
            self.wrapped(&format!("and {more} more: see --all"), "          ");
        }
    }

    fn coloured(&mut self, outcome: Outcome, line: &str) {
        let wrapped = wrap(line, self.style.width, "          ");
        for line in wrapped.lines() {
            let line = self.style.outcome(outcome, line);
            self.line(&line);
        }
    }

    fn finding(&mut self, finding: &Finding) {
        let mut line = match finding.outcome {
            Outcome::Unknown => format!("? {} {}", finding.subject, finding.reason),
            _ => format!("✗ {} {}", finding.subject, finding.reason),
        };
        if let Some(place) = &finding.place {
            let _ = write!(line, " ({place})");
        }
        self.coloured(finding.outcome, &one_line(&line));
        self.wrapped(&one_line(&finding.message), "            ");
    }

    fn foot(&mut self, report: &Report) {
        let controls = report.controls_by_outcome();
        self.line("");
        self.wrapped(&format!("Controls: {}", counted(&controls)), "");
        let subjects = report.subjects_by_outcome();
        self.wrapped(&format!("Subjects: {}", counted(&subjects)), "");
        let failing: Vec<String> = report
            .failing()
            .into_iter()
            .rev()
            .map(|(severity, count)| format!("{count} {severity}"))
            .collect();
        if !failing.is_empty() {
            self.wrapped(&format!("Failing: {}", failing.join(", ")), "");
        }
        let blind = report.controls.iter();
        let blind = blind
            .filter(|judged| judged.outcome == Outcome::Unknown)
            .count();
        if blind > 0 {
            let text = format!(
                "{} could not be judged whole: what was not seen counts as Unknown, never as Pass.",
                many(blind, "control")
            );
            self.wrapped(&text, "");
        }
        let unread = report.unread.len();
        if unread > 0 {
            let text = format!(
                "{} {} not read, which standard error names: what they would do counts as Unknown.",
                many(unread, "document"),
                either(unread, "was", "were")
            );
            self.wrapped(&text, "");
        }
        for note in &report.notes {
            self.wrapped(&format!("Note: {note}."), "");
        }
        if controls.of(Outcome::Fail) > 0 {
            self.wrapped(
                "What to do: probity explain CONTROL, or -o json for every fix.",
                "",
            );
        }
    }
}

/// `3 fail, 1 unknown, 12 pass`.
fn counted(counts: &Counts) -> String {
    let words = [
        (Outcome::Fail, "fail"),
        (Outcome::Unknown, "unknown"),
        (Outcome::Excepted, "excepted"),
        (Outcome::Pass, "pass"),
        (Outcome::NotApplicable, "not applicable"),
    ];
    let some = words
        .into_iter()
        .filter(|(outcome, _)| counts.of(*outcome) > 0);
    let some: Vec<String> = some
        .map(|(outcome, word)| format!("{} {word}", counts.of(outcome)))
        .collect();
    if some.is_empty() {
        "none".to_owned()
    } else {
        some.join(", ")
    }
}

/// Why a control judged nothing: there is no subject, or what is said of the first that does not count.
fn unjudged(judged: &Judged) -> String {
    if let Some(why) = &judged.why {
        return format!("nothing to judge, {why}");
    }
    let Some(first) = judged.findings.first() else {
        return "nothing to judge, there is no such subject".to_owned();
    };
    let more = match judged.findings.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "does not apply to {}{more}, {}",
        first.subject, first.message
    )
}
