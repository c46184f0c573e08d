//! A status for people.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{ControlView, CriterionView, PolicyView, ViolationView};
use crate::{
    api::Mode,
    cli::output::{age::age, style::Style, wrap::wrap},
    verdict::Outcome,
    words::{either, many, one_line, part_of},
};

/// The policies, one below the other.
pub(super) fn render(
    views: &[PolicyView],
    notes: &[String],
    now: Timestamp,
    style: Style,
) -> String {
    let mut text = String::new();
    if views.is_empty() {
        text.push_str(&wrap(
            "There is no policy. Begin with the baseline, which only observes: probity baseline | kubectl apply -f -",
            style.width,
            "",
        ));
    }
    for view in views {
        policy(&mut text, view, now, style);
    }
    for note in notes {
        text.push_str(&wrap(&noted(note), style.width, ""));
    }
    text
}

/// A note as a sentence; one that asks has its mark already.
fn noted(note: &str) -> String {
    let mark = if note.ends_with(['.', '?', '!']) {
        ""
    } else {
        "."
    };
    format!("Note: {note}{mark}")
}

fn policy(text: &mut String, view: &PolicyView, now: Timestamp, style: Style) {
    let mut say = |what: &str, indent: &str| text.push_str(&wrap(what, style.width, indent));
    say(&style.bold(&view.name), "");
    let enforcing = view.controls.iter().filter(|one| one.mode == Mode::Enforce);
    let mode = match (view.mode, enforcing.count()) {
        ("Mixed", some @ 1..) => format!(
            "Mixed, {}",
            part_of(some, view.controls.len(), "control", "enforces", "enforce")
        ),
        (mode, _) => mode.to_owned(),
    };
    let suspended = if view.suspended { ", suspended" } else { "" };
    let compliant = match view.compliant.as_deref() {
        Some("True") => "compliant",
        Some("False") => "not compliant",
        _ => "compliance unknown",
    };
    let drift = view.last_drift.map_or_else(String::new, |at| {
        format!(", last drift {} ago", age(at, now))
    });
    let passing = match view.passing.split_once('/') {
        None => "no control judged".to_owned(),
        Some((_, "0")) => "nothing to judge".to_owned(),
        Some((pass, all)) => part_of(pass, all, "control", "passes", "pass"),
    };
    let failing = view.failing;
    say(
        &format!(
            "{}{suspended}: {compliant}, {passing}, {} {}{drift}",
            mode,
            many(failing, "subject"),
            either(failing, "fails", "fail")
        ),
        "  ",
    );
    for note in &view.notes {
        say(&noted(note), "  ");
    }
    if !view.criteria.is_empty() {
        say("Criteria, and how many of their controls pass:", "  ");
        text.push_str(&criteria(&view.criteria, style));
    }
    let bad = |control: &&ControlView| matches!(control.outcome, Outcome::Fail | Outcome::Unknown);
    for control in view.controls.iter().filter(bad) {
        self::control(text, control, now, style);
    }
    text.push('\n');
}

/// Criteria in columns, as many as fit.
fn criteria(criteria: &[CriterionView], style: Style) -> String {
    const COLUMN: usize = 12;
    let room = style.width.unwrap_or(100) - 4;
    let mut text = String::new();
    for row in criteria.chunks((room / COLUMN).max(1)) {
        text.push_str("    ");
        for criterion in row {
            let CriterionView {
                id,
                passing,
                controls,
                ..
            } = criterion;
            // Padded first: colours take no columns.
            let cell = format!("{:<COLUMN$}", format!("{id} {passing}/{controls}"));
            text.push_str(&style.outcome(criterion.outcome, &cell));
        }
        text.push('\n');
    }
    text
}

fn control(text: &mut String, control: &ControlView, now: Timestamp, style: Style) {
    let outcome = control.outcome;
    let word = style.outcome(outcome, &format!("{:<8}", outcome.as_str().to_uppercase()));
    let since = age(control.since, now);
    let severity = style.severity(control.severity, control.severity.as_str());
    // Writing to a string can't fail.
    let _ = writeln!(text, "  {word}{} {severity}, for {since}", control.id);
    for violation in &control.violations {
        self::violation(text, violation, now, style);
    }
    if control.omitted > 0 {
        let more = format!("and {} more: see --all", control.omitted);
        text.push_str(&wrap(&more, style.width, "          "));
    }
}

fn violation(text: &mut String, violation: &ViolationView, now: Timestamp, style: Style) {
    let name = match &violation.namespace {
        Some(namespace) => format!("{namespace}/{}", violation.name),
        None => violation.name.clone(),
    };
    let sign = if violation.outcome == Outcome::Fail {
        "✗"
    } else {
        "?"
    };
    let since = violation
        .since
        .map_or_else(String::new, |at| format!(" for {}", age(at, now)));
    let line = format!(
        "{sign} {} {name} {}{since}",
        violation.kind, violation.reason
    );
    let line = one_line(&line);
    for line in wrap(&line, style.width, "          ").lines() {
        text.push_str(&style.outcome(violation.outcome, line));
        text.push('\n');
    }
    text.push_str(&wrap(
        &one_line(&violation.message),
        style.width,
        "            ",
    ));
}
