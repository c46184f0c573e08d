//! The auditor pack of a whole year: fifty controls, a million transitions, and a heartbeat a minute, as the operator
//! writes them. The real program makes it, from a log that is sealed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use probity::controls::{Info, REGISTRY};
use probity::evidence::{
    Body, Identity, Record, SubjectRef,
    body::{ControlCounts, Heartbeat, PolicyChange, Population, Term, Transition},
    epochs,
    key::PrivateKey,
    words::{Cause, Change, End},
};
use probity::verdict::{Counts, Outcome, Severity, Strength};
use serde_json::{Value, json};

use crate::{Figure, Result};

const CONTROLS: usize = 50;
/// Subjects of each control.
const SUBJECTS: u64 = 400;
const TRANSITIONS: u64 = 1_000_000;
const MINUTES: u64 = 365 * 24 * 60;
/// Entries that are appended at a time.
const GROUP: usize = 1000;

const PERIOD: &str = "\
apiVersion: probity.dev/v1alpha1
kind: AuditPeriod
metadata: {name: year}
spec: {start: 2025-01-01, end: 2025-12-31, timeZone: UTC, criteria: [CC6.1]}
";

/// Writes a year, and has the program report it.
pub(crate) fn measure() -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir().map_err(explain)?;
    let data = folder.path().join("data");
    fs::create_dir(&data).map_err(explain)?;
    let entries = write_log(&data)?;
    let period = folder.path().join("period.yaml");
    fs::write(&period, PERIOD).map_err(explain)?;
    let (took, most) = report(&data, &period, &folder.path().join("pack"))?;
    let mib = most / 1024;
    Ok(vec![
        Figure {
            what: "report over 12 months, 50 controls, 1 million transitions, a heartbeat a minute",
            measured: format!("{:.1} s ({entries} entries)", took.as_secs_f64()),
            limit: "≤ 10 s",
            kept: Some(took <= Duration::from_secs(10)),
        },
        Figure {
            what: "— memory",
            measured: format!("{mib} MiB"),
            limit: "≤ 512 MiB",
            kept: Some(mib <= 512),
        },
    ])
}

fn explain(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn controls() -> Vec<&'static Info> {
    let all = REGISTRY.iter().map(|registered| registered.info);
    all.take(CONTROLS).collect()
}

/// Writes a log of a year, and returns how many entries it has.
fn write_log(data: &Path) -> Result<u64> {
    let key = PrivateKey::create(&data.join("key")).map_err(explain)?;
    let first: Timestamp = "2025-01-01T00:00:00Z".parse().map_err(explain)?;
    let identity = Identity {
        cluster: "c-1",
        replica: "probity-system.probity-0",
    };
    let opened = epochs::open(data, identity, &key, &[], first).map_err(explain)?;
    let controls = controls();
    let mut waiting = beginning(&controls, first);
    let mut said = 0;
    for minute in 0..MINUTES {
        let at = first + SignedDuration::from_mins(i64::try_from(minute).unwrap_or_default());
        waiting.push(Record::new(at, heartbeat(&controls, said)));
        while said < TRANSITIONS && said * MINUTES < (minute + 1) * TRANSITIONS {
            let within = i64::try_from(said % 50).unwrap_or_default() + 5;
            let at = at + SignedDuration::from_secs(within);
            waiting.push(Record::new(at, transition(&controls, said)));
            said += 1;
        }
        if waiting.len() >= GROUP {
            append(&opened.log, std::mem::take(&mut waiting))?;
        }
    }
    append(&opened.log, waiting)?;
    let entries = opened.log.position();
    opened.log.close().map_err(explain)?;
    Ok(entries)
}

fn append(log: &probity::evidence::Log, mut records: Vec<Record>) -> Result<()> {
    records.sort_by_key(|record| record.time);
    let answer = log.append(records).wait();
    answer.map(|_| ()).map_err(|failed| explain(&failed.cause))
}

fn subject(number: u64) -> SubjectRef {
    SubjectRef {
        group: "apps".into(),
        kind: "Deployment".into(),
        namespace: Some(format!("team-{}", number % 20).into()),
        name: format!("service-{number}").into(),
        uid: format!("00000000-0000-4000-8000-{number:012}").into(),
    }
}

/// A policy with these controls, a leader, and all subjects.
fn beginning(controls: &[&'static Info], first: Timestamp) -> Vec<Record> {
    let fields = controls.iter().map(|info| (info.field, json!({})));
    let fields: BTreeMap<&str, Value> = fields.collect();
    let policy = PolicyChange {
        policy: "soc2".into(),
        uid: "p".into(),
        generation: 1,
        change: Change::Created,
        who: None,
        old_hash: None,
        new_hash: Some("h".to_owned()),
        spec: Some(json!({ "scope": {}, "controls": fields }).into()),
        enforcing_since: BTreeMap::new(),
        limits_release: None,
    };
    let term = Term {
        holder: "probity-0".into(),
        epoch: 1,
        predecessor: None,
        before: None,
    };
    let populations = controls.iter().map(|info| {
        Body::Population(Population {
            policies: vec!["soc2".into()],
            control: info.id.into(),
            joined: (0..SUBJECTS).map(subject).collect(),
            left: Vec::new(),
        })
    });
    let bodies = [Body::Term(term), Body::PolicyChange(policy)];
    let bodies = bodies.into_iter().chain(populations);
    bodies.map(|body| Record::new(first, body)).collect()
}

/// Whose turn it is: one subject after the other fails and is mended.
fn place(controls: &[&'static Info], said: u64) -> (&'static Info, u64) {
    let turn = usize::try_from(said / 2).unwrap_or_default();
    let number = turn / controls.len();
    let info = controls[turn % controls.len()];
    (info, number as u64 % SUBJECTS)
}

fn transition(controls: &[&'static Info], said: u64) -> Body {
    let (info, number) = place(controls, said);
    let fails = said.is_multiple_of(2);
    let (from, to) = if fails {
        (Outcome::Pass, Outcome::Fail)
    } else {
        (Outcome::Fail, Outcome::Pass)
    };
    Body::Transition(Transition {
        policies: vec!["soc2".into()],
        control: info.id.into(),
        rule_version: Some(1),
        params_hash: Some("p".to_owned()),
        scope_hash: Some("s".to_owned()),
        subject: subject(number),
        owner: None,
        from: Some(from),
        to: Some(to),
        strength: Strength::Declared,
        reason: "Test".into(),
        message: "a field says so".to_owned(),
        severity: Severity::High,
        cause: Cause::Object,
        ended: (!fails).then_some(End::FixedByOthers),
        opened: None,
        deviation: Some(format!("{:032x}", said / 2)),
        accepted: None,
    })
}

fn heartbeat(controls: &[&'static Info], said: u64) -> Body {
    let failing = (!said.is_multiple_of(2)).then(|| place(controls, said - 1).0.id);
    let rows = controls.iter().map(|info| {
        let fails = u64::from(failing == Some(info.id));
        ControlCounts {
            policy: "soc2".into(),
            control: info.id.into(),
            by_outcome: [(Outcome::Pass, SUBJECTS - fails), (Outcome::Fail, fails)].into(),
        }
    });
    Body::Heartbeat(Heartbeat {
        subjects: SUBJECTS * controls.len() as u64,
        by_outcome: Counts::default(),
        controls: rows.collect(),
        table_digest: "0".repeat(64),
        kinds: Vec::new(),
    })
}

/// How long the program takes, and the most memory that it had, in KiB.
fn report(data: &Path, period: &Path, pack: &Path) -> Result<(Duration, u64)> {
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_probity"))
        .arg("report")
        .arg("--period")
        .arg(period)
        .arg("--log")
        .arg(data)
        .arg("--out")
        .arg(pack)
        .stdout(Stdio::null())
        .spawn()
        .map_err(explain)?;
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    loop {
        // It is gone when the process has ended: what was read last stands.
        let said = fs::read_to_string(&status).unwrap_or_default();
        let line = said.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        most = number.unwrap_or(most);
        if let Some(code) = child.try_wait().map_err(explain)? {
            if !code.success() {
                return Err(format!("probity report ended with {code}"));
            }
            return Ok((began.elapsed(), most));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
