//! Cron expressions against the libraries that tools run them with, on random expressions and
//! zones across changes of the clock.
//!
//! A run prints its seed; `PROBITY_SEED` repeats it.

use std::io::Write;
use std::process::{Command, Stdio};

use jiff::{SignedDuration, Timestamp};
use probity::analysis::schedule::{Dialect, Schedule};
use serde_json::{Value, json};

use crate::harness::{Dice, Group, ensure};

/// Expressions that are compared in a run.
const QUESTIONS: usize = 6_000;
/// Due times that are compared of each.
const TIMES: usize = 4;
/// The libraries give up after about five years, each a little differently.
const HORIZON: SignedDuration = SignedDuration::from_hours(4 * 365 * 24);

/// Zones whose clocks change by whole hours, by rules that editions of the time zone database agree
/// on. Where a clock skips midnight, the libraries lose a day or run it twice: that is not copied.
const ZONES: [&str; 6] = [
    "UTC",
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Sydney",
];

/// Moments near which clocks change in one of the zones, and some where none does.
const MOMENTS: [&str; 10] = [
    "2026-03-28T20:00:00Z",
    "2026-10-24T20:00:00Z",
    "2026-03-07T22:00:00Z",
    "2026-09-05T20:00:00Z",
    "2026-10-31T22:00:00Z",
    "2026-04-04T10:00:00Z",
    "2026-10-03T10:00:00Z",
    "2026-06-15T12:34:56Z",
    "2027-12-31T23:59:00Z",
    "2028-02-28T23:00:00Z",
];

struct Question {
    dialect: (Dialect, &'static str),
    expression: String,
    zone: &'static str,
    after: Timestamp,
}

/// A value, a range, a list or a star, each perhaps with a step; sometimes nonsense.
fn field(dice: &mut Dice, min: u64, max: u64) -> String {
    let value = |dice: &mut Dice| min + dice.roll(max - min + 1);
    match dice.roll(12) {
        0..=3 => "*".to_owned(),
        4..=6 => {
            let beyond = u64::from(dice.chance(2)) * 60;
            (value(dice) + beyond).to_string()
        }
        7 => format!("{}-{}", value(dice), value(dice)),
        8 => format!("*/{}", dice.roll(max + 2)),
        9 => format!("{}/{}", value(dice), 1 + dice.roll(max)),
        10 => format!("{},{}", value(dice), value(dice)),
        _ => format!("{}-{}/{}", min, value(dice), 1 + dice.roll(5)),
    }
}

fn expression(dice: &mut Dice, seconds: bool) -> String {
    if dice.chance(4) {
        let words = [
            "@daily",
            "@hourly",
            "@weekly",
            "@monthly",
            "@yearly",
            "@every 90m",
            "@never",
        ];
        return dice.pick(&words).to_owned();
    }
    // Hours in which clocks change, more often than not.
    let hour = if dice.chance(50) {
        dice.pick(&["0", "1", "2", "3", "1-3", "2,3", "0,2", "*"])
            .to_owned()
    } else {
        field(dice, 0, 23)
    };
    let mut fields = vec![
        field(dice, 0, 59),
        hour,
        field(dice, 1, 31),
        field(dice, 1, 12),
        field(dice, 0, 6),
    ];
    if seconds {
        // Of several seconds of a minute only the first counts for us.
        fields.insert(0, dice.roll(60).to_string());
        if dice.chance(20) {
            fields.pop();
        }
    }
    fields.join(" ")
}

fn questions(dice: &mut Dice) -> Vec<Question> {
    let dialects = [
        (Dialect::Robfig, "robfig"),
        (Dialect::Netresearch, "netresearch"),
        (Dialect::Seconds, "seconds"),
    ];
    let one = |_| {
        let dialect = dice.pick(&dialects);
        let moment: Timestamp = dice.pick(&MOMENTS).parse().unwrap();
        let shift = i64::try_from(dice.roll(12 * 3600)).unwrap();
        Question {
            dialect,
            expression: expression(dice, dialect.0 == Dialect::Seconds),
            // CloudNativePG reads no zone: it runs in that of its container.
            zone: match dialect.0 {
                Dialect::Seconds => "UTC",
                _ => dice.pick(&ZONES),
            },
            after: moment + SignedDuration::from_secs(shift),
        }
    };
    (0..QUESTIONS).map(one).collect()
}

/// What the libraries answer.
fn answers(questions: &[Question]) -> Vec<Value> {
    let program = ensure(Group::Cron).unwrap().join("cron");
    let lines: Vec<String> = questions
        .iter()
        .map(|question| {
            let line = json!({
                "dialect": question.dialect.1, "expression": question.expression,
                "zone": question.zone, "after": question.after.to_string(), "count": TIMES,
            });
            format!("{line}\n")
        })
        .collect();
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(lines.concat().as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What we answer: due times, or why the expression can't be read.
fn ours(question: &Question) -> Result<Vec<Timestamp>, String> {
    let zone = Some(question.zone);
    let schedule = Schedule::parse(&question.expression, zone, question.dialect.0)?;
    let mut times = Vec::new();
    let mut at = question.after;
    while times.len() < TIMES {
        let Some(next) = schedule.next_after(at) else {
            break;
        };
        times.push(next);
        at = next;
    }
    Ok(times)
}

/// Why two answers differ, if they do.
fn difference(question: &Question, theirs: &Value) -> Option<String> {
    let error = theirs["error"].as_str();
    let ours = match (ours(question), error) {
        (Err(_), Some(_)) => return None,
        (Err(ours), None) => return Some(format!("we refuse it: {ours}")),
        (Ok(_), Some(theirs)) => return Some(format!("they refuse it: {theirs}")),
        (Ok(ours), None) => ours,
    };
    let theirs: Vec<Timestamp> = theirs["times"]
        .as_array()
        .unwrap()
        .iter()
        .map(|time| time.as_str().unwrap().parse().unwrap())
        .collect();
    let near = |times: &[Timestamp]| -> Vec<Timestamp> {
        let last = question.after + HORIZON;
        times.iter().copied().filter(|time| *time < last).collect()
    };
    let (ours, theirs) = (near(&ours), near(&theirs));
    (ours != theirs).then(|| format!("we say {ours:?}, they say {theirs:?}"))
}

#[test]
fn due_times_are_those_of_the_libraries_across_changes_of_the_clock() {
    let mut dice = Dice::seeded("cron");
    let questions = questions(&mut dice);
    let answers = answers(&questions);
    assert_eq!(answers.len(), questions.len());
    let mut read = 0;
    let mut wrong = Vec::new();
    for (question, theirs) in questions.iter().zip(&answers) {
        read += usize::from(theirs["error"].is_null());
        if let Some(why) = difference(question, theirs) {
            let Question {
                dialect,
                expression,
                zone,
                after,
            } = question;
            wrong.push(format!(
                "{} {expression:?} in {zone} after {after}: {why}",
                dialect.1
            ));
        }
    }
    // Shortest first: the least of them says most.
    wrong.sort_by_key(String::len);
    wrong.truncate(10);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        read > QUESTIONS / 3,
        "most expressions are nonsense: {read}"
    );
}
