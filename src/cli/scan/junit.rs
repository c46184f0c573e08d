//! A scan as a `JUnit` report: one suite for each control, one case for each subject.

use minijinja::{AutoEscape, Environment, context};
use serde::Serialize;

use super::{
    report::{Finding, Judged, Report},
    unread::Unread,
};
use crate::{cli::Failure, verdict::Outcome};

const TEMPLATE: &str = include_str!("junit.xml");

#[derive(Debug, Serialize)]
struct Suite {
    name: String,
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
    cases: Vec<Case>,
}

#[derive(Debug, Serialize)]
struct Case {
    name: String,
    class: String,
    file: Option<String>,
    line: Option<usize>,
    /// `failure`, `error`, `skipped` or nothing.
    element: &'static str,
    reason: String,
    message: String,
    text: String,
}

/// The report as XML.
pub(super) fn render(report: &Report) -> Result<String, Failure> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    let mut suites: Vec<Suite> = report.controls.iter().map(suite).collect();
    suites.extend(unread(&report.unread));
    let sum = |of: fn(&Suite) -> usize| suites.iter().map(of).sum::<usize>();
    let context = context! {
        tests => sum(|suite| suite.tests),
        failures => sum(|suite| suite.failures),
        errors => sum(|suite| suite.errors),
        skipped => sum(|suite| suite.skipped),
        suites => &suites,
    };
    environment
        .render_str(TEMPLATE, context)
        .map_err(|error| format!("the JUnit report can't be written: {error}"))
}

/// The documents that are not read, if there are any: nobody can tell what they would do.
fn unread(unread: &[Unread]) -> Option<Suite> {
    let cases = unread.iter().map(|unread| Case {
        name: legal(&unread.what),
        class: "manifests".to_owned(),
        file: Some(legal(&unread.place.file)),
        line: Some(unread.place.line),
        element: element(Outcome::Unknown),
        reason: "NotRead".to_owned(),
        message: legal(&unread.why),
        text: legal(&unread.to_string()),
    });
    (!unread.is_empty()).then(|| counted("manifests", cases.collect()))
}

fn suite(judged: &Judged) -> Suite {
    let cases: Vec<Case> = match &judged.why {
        Some(why) => vec![whole(judged, why)],
        None => judged
            .findings
            .iter()
            .map(|found| case(judged, found))
            .collect(),
    };
    counted(judged.info.id, cases)
}

/// A suite of these cases.
fn counted(name: &str, cases: Vec<Case>) -> Suite {
    let count = |element| cases.iter().filter(|case| case.element == element).count();
    Suite {
        name: name.to_owned(),
        tests: cases.len(),
        failures: count("failure"),
        errors: count("error"),
        skipped: count("skipped"),
        cases,
    }
}

/// A control of which nothing could be judged, or that has nothing to judge.
fn whole(judged: &Judged, why: &str) -> Case {
    Case {
        name: "all subjects".to_owned(),
        class: class(judged),
        file: None,
        line: None,
        element: element(judged.outcome),
        reason: judged.outcome.as_str().to_owned(),
        message: legal(why),
        text: legal(judged.info.title),
    }
}

fn case(judged: &Judged, finding: &Finding) -> Case {
    let place = finding.place.as_ref();
    let at = place.map_or_else(String::new, |place| format!("{place}\n"));
    Case {
        name: legal(&finding.subject.to_string()),
        class: class(judged),
        file: place.map(|place| legal(&place.file)),
        line: place.map(|place| place.line),
        element: element(finding.outcome),
        reason: finding.reason.to_owned(),
        message: legal(&finding.message),
        text: legal(&format!("{at}{}\n{}", finding.message, finding.fix)),
    }
}

fn class(judged: &Judged) -> String {
    format!("{}.{}", legal(&judged.policy), judged.info.id)
}

const fn element(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "",
        Outcome::Fail => "failure",
        Outcome::Unknown => "error",
        Outcome::Excepted | Outcome::NotApplicable => "skipped",
    }
}

/// A text without the characters that XML has no way to write.
fn legal(text: &str) -> String {
    let legal = |letter: &char| !letter.is_control() || matches!(letter, '\n' | '\t');
    let kept = text.chars().filter(legal);
    kept.filter(|letter| !matches!(letter, '\u{fffe}' | '\u{ffff}'))
        .collect()
}
