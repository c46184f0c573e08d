//! The logs of several clusters as Parquet: what DuckDB answers is what was logged, and `probity fleet` proves it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::{SignedDuration, Timestamp};
use probity::evidence::{Body, Identity, Record, epochs, key::PrivateKey};
use serde_json::{Value, json};

use crate::harness::{S3, duckdb};
use crate::operator::program::{Output, Replica, output};
use crate::operator::world::{eventually, turn};

const CONTROLS: [&str; 3] = [
    "net-namespace-default-deny",
    "enc-ingress-tls",
    "rbac-no-wildcards",
];

/// A transition as the tests look at it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    time: Timestamp,
    cluster: String,
    subject: String,
    control: &'static str,
    before: &'static str,
    after: &'static str,
    deviation: String,
}

fn midnight(day: i64) -> Timestamp {
    let first: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    first + SignedDuration::from_hours(24 * day)
}

fn body(value: Value) -> Body {
    serde_json::from_value(value).unwrap()
}

fn heartbeat() -> Body {
    body(json!({
        "type": "heartbeat", "subjects": 1, "byOutcome": {}, "controls": [], "tableDigest": "00", "kinds": [],
    }))
}

fn transition(said: &Said) -> Body {
    body(json!({
        "type": "transition", "policies": ["soc2", "pci"], "control": said.control, "ruleVersion": 1,
        "paramsHash": "p", "scopeHash": "s",
        "subject": { "group": "", "kind": "Namespace", "namespace": "shop", "name": said.subject, "uid": said.subject },
        "from": said.before, "to": said.after, "strength": "Declared", "reason": "Test", "message": "m",
        "severity": "High", "cause": "Object", "deviation": said.deviation,
    }))
}

/// Writes the log of a cluster on some days of January 2026. Returns the transitions.
fn log(data: &Path, cluster: &str, days: &[i64]) -> (Vec<Said>, String) {
    fs::create_dir_all(data).unwrap();
    let key = PrivateKey::create(&data.join("key")).unwrap();
    let identity = Identity {
        cluster,
        replica: "probity-system.probity-0",
    };
    // A program that another test starts just now holds every open file for a moment, and its lock.
    let opened = eventually("log of its own", || {
        let opened = epochs::open(data, identity, &key, &[], midnight(days[0]));
        opened.map_err(|error| error.to_string())
    });
    let mut said = Vec::new();
    let mut records = Vec::new();
    for day in days {
        for minute in 0..1440 {
            let time = midnight(*day) + SignedDuration::from_mins(minute);
            records.push(Record::new(time, heartbeat()));
            if minute % 97 != 5 {
                continue;
            }
            let n = usize::try_from(minute).unwrap();
            let fail = Said {
                time: time + SignedDuration::from_secs(1),
                cluster: cluster.to_owned(),
                subject: format!("ns-{}", minute % 7),
                control: CONTROLS[n % 3],
                before: "Pass",
                after: "Fail",
                deviation: format!("{cluster}-{day}-{minute}"),
            };
            let pass = Said {
                time: time + SignedDuration::from_secs(30),
                before: "Fail",
                after: "Pass",
                ..fail.clone()
            };
            for one in [fail, pass] {
                records.push(Record::new(one.time, transition(&one)));
                said.push(one);
            }
        }
    }
    for some in records.chunks(500) {
        opened.log.append(some.to_vec()).wait().unwrap();
    }
    let key = key
        .signer(&opened.log.published().unwrap().checkpoint.origin)
        .unwrap();
    opened.log.close().unwrap();
    (said, key.verifier().to_string())
}

struct Fleet {
    folder: tempfile::TempDir,
    said: Vec<Said>,
    keys: Vec<String>,
}

impl Fleet {
    /// Two clusters, of which one was silent on the second of three days.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (mut said, mut keys) = (Vec::new(), Vec::new());
        for (cluster, days) in [("c-1", &[0, 1, 2][..]), ("c-2", &[0, 2])] {
            let data = folder.path().join(cluster).join("probity-system.probity-0");
            let (more, key) = log(&data, cluster, days);
            said.extend(more);
            keys.push(key);
        }
        Self { folder, said, keys }
    }

    fn path(&self) -> String {
        self.folder.path().display().to_string()
    }

    fn index(&self) {
        let done = output(&["fleet", "index", &self.path()]);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert_eq!(done.stdout.lines().count(), 5);
    }

    fn verify(&self, more: &[&str]) -> (Value, Output) {
        let path = self.path();
        let mut args = vec!["fleet", "verify", &path, "--json"];
        for key in &self.keys {
            args.extend(["--key", key]);
        }
        args.extend(more);
        let output = output(&args);
        let report = serde_json::from_str(&output.stdout).unwrap_or_default();
        (report, output)
    }

    fn file(&self, cluster: &str, day: &str) -> PathBuf {
        let folder = self
            .folder
            .path()
            .join(format!("parquet/cluster={cluster}/day={day}"));
        fs::read_dir(folder)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path()
    }
}

/// The queries of the documentation, by name, behind the view on which they rest.
fn documented(fleet: &str) -> BTreeMap<String, String> {
    let text = include_str!("../../docs/fleet.md").replace("FLEET", fleet);
    let sql = |text: &str| {
        let (_, rest) = text.split_once("```sql\n").unwrap();
        rest.split_once("```").unwrap().0.to_owned()
    };
    let view = sql(&text);
    let queries = text.split("<!-- query: ").skip(1).map(|rest| {
        let (name, rest) = rest.split_once(" -->").unwrap();
        (name.to_owned(), format!("{view}\n{}", sql(rest)))
    });
    queries.collect()
}

fn ask(sql: &str, more: &[&str]) -> Vec<Vec<Option<String>>> {
    let python = duckdb().unwrap().join("bin/python");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fleet/query.py");
    let mut child = Command::new(python)
        .arg(script)
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), sql.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{sql}\n{errors}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    serde_json::from_value(answer["rows"].clone()).unwrap()
}

fn failures<'a>(said: &'a [Said], control: &str) -> Vec<&'a Said> {
    let mut failures: Vec<&Said> = said
        .iter()
        .filter(|said| said.control == control && said.after == "Fail")
        .collect();
    failures.sort();
    failures
}

/// Compares what the first documented query says with what was logged.
fn compare_control(rows: &[Vec<Option<String>>], said: &[Said]) {
    let expected = failures(said, CONTROLS[0]);
    assert!(expected.len() >= 10);
    let found: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row[0].clone().unwrap(),
                row[2].clone().unwrap(),
                row[7].clone().unwrap(),
            )
        })
        .collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|said| {
            (
                said.cluster.clone(),
                said.subject.clone(),
                said.deviation.clone(),
            )
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn documented_queries_say_what_was_logged() {
    let fleet = Fleet::new();
    fleet.index();
    let queries = documented(&fleet.path());
    compare_control(&ask(&queries["control"], &[]), &fleet.said);

    let months = ask(&queries["months"], &[]);
    let mut expected: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for said in fleet.said.iter().filter(|said| said.after == "Fail") {
        *expected.entry((said.control, &said.cluster)).or_default() += 1;
    }
    let found: BTreeMap<(&str, &str), usize> = months
        .iter()
        .map(|row| {
            let text = |at: usize| row[at].as_deref().unwrap();
            ((text(0), text(2)), text(3).parse().unwrap())
        })
        .collect();
    assert_eq!(found, expected);

    let deviations = ask(&queries["deviations"], &[]);
    assert_eq!(deviations.len() * 2, fleet.said.len());
    assert!(
        deviations.iter().all(|row| row[5].as_deref() == Some("29")),
        "{deviations:?}"
    );

    let missing = ask(&queries["missing"], &[]);
    let days =
        |row: &Vec<Option<String>>| row.iter().flatten().cloned().collect::<Vec<_>>().join(" ");
    let missing: Vec<String> = missing.iter().map(days).collect();
    assert_eq!(
        missing,
        [
            "c-2 2026-01-02",
            "c-3 2026-01-01",
            "c-3 2026-01-02",
            "c-3 2026-01-03"
        ]
    );
    assert_eq!(ask(&queries["writes"], &[]).len(), 0);
    assert_eq!(queries.len(), 5, "each is asked here");
}

#[test]
fn every_row_is_proved_and_what_is_missing_is_said() {
    let fleet = Fleet::new();
    fleet.index();
    let (report, done) = fleet.verify(&[]);
    assert_eq!(done.code, Some(0), "{report:#}{}", done.stderr);
    let entries = 5 * 1440 + fleet.said.len() + 2;
    assert_eq!(report["rows"], entries);

    let expected = fleet.folder.path().join("clusters.txt");
    fs::write(&expected, "# ours\nc-1 production\nc-2 staging\nc-3 lost\n").unwrap();
    let days = [
        "--expect",
        expected.to_str().unwrap(),
        "--from",
        "2026-01-01",
        "--to",
        "2026-01-03",
    ];
    let (report, done) = fleet.verify(&days);
    assert_eq!(done.code, Some(1));
    assert_eq!(
        (&report["verified"], &report["complete"]),
        (&json!(true), &json!(false))
    );
    let missing = |at: usize| report["clusters"][at]["missingDays"].clone();
    assert_eq!(missing(0), json!([]));
    assert_eq!(missing(1), json!(["2026-01-02"]));
    assert_eq!(
        missing(2),
        json!(["2026-01-01", "2026-01-02", "2026-01-03"])
    );
    assert_eq!(report["clusters"][0]["observedMinutes"], 3 * 1440);
    assert_eq!(report["clusters"][1]["name"], "staging");

    // A whole day is taken away; then nothing says that it was looked at.
    let file = fleet.file("c-1", "2026-01-02");
    let bytes = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let (report, done) = fleet.verify(&[]);
    assert_eq!(done.code, Some(1));
    assert!(
        report["problems"][0]
            .as_str()
            .unwrap()
            .contains("are in no file"),
        "{report:#}"
    );
    // So are the last days, of which the log goes on into the next.
    let last = fleet.file("c-1", "2026-01-03");
    fs::remove_file(&last).unwrap();
    let (report, done) = fleet.verify(&[]);
    assert_eq!(done.code, Some(1));
    let problem = report["problems"][0].as_str().unwrap();
    assert!(problem.contains("though the day of the first"), "{problem}");
    // It comes back from the log alone, byte by byte.
    let again = output(&["fleet", "index", &fleet.path()]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert!(fs::read(&file).unwrap() == bytes);

    // A failure is made a pass, with the tools of everybody.
    let changed = fleet.folder.path().join("changed.parquet");
    ask(
        &format!(
            "COPY (SELECT * REPLACE (CASE WHEN outcome = 'Fail' THEN 'Pass' ELSE outcome END AS outcome) \
             FROM read_parquet('{}', hive_partitioning = false)) TO '{}' (FORMAT parquet)",
            file.display(),
            changed.display()
        ),
        &[],
    );
    fs::rename(&changed, &file).unwrap();
    let (report, done) = fleet.verify(&[]);
    assert_eq!(done.code, Some(1));
    let problem = report["problems"][0].as_str().unwrap();
    assert!(
        problem.contains("entry ") && problem.contains("is not what the log says"),
        "{problem}"
    );

    // A key that is not theirs.
    let stranger = &fleet.keys[0].replace("c-1", "c-9");
    let path = fleet.path();
    let refused = output(&["fleet", "verify", &path, "--key", stranger]);
    assert_ne!(refused.code, Some(0));
}

#[test]
fn bad_input_is_named_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    for args in [
        vec!["fleet", "verify", path],
        vec!["fleet", "index", "/nowhere"],
        vec!["fleet", "verify", path, "--expect", path],
    ] {
        let output = output(&args);
        assert_eq!(output.code, Some(2), "{args:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn an_operator_brings_logs_and_rows_into_a_bucket_that_duckdb_reads() {
    let world = turn();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (said, _) = log(&data, "c-1", &[0, 1]);
    let s3 = S3::start().unwrap();
    let replica = Replica::new(&world)
        .logging_to(&data)
        .with_args(&[
            &format!("--anchor-bucket=s3://{}/prod", S3::BUCKET),
            &format!("--anchor-endpoint={}", s3.endpoint()),
            "--parquet",
        ])
        .with_environment(S3::environment());
    let mut program = replica.start();
    program.ready();
    let rows = s3.files().join("prod/parquet/cluster=c-1");
    eventually("rows of both days in the bucket", || {
        let days = fs::read_dir(&rows).map_or(0, Iterator::count);
        if days == 2 {
            Ok(())
        } else {
            Err(program.tail())
        }
    });
    assert!(program.stop().success());

    let queries = documented(&format!("s3://{}/prod", S3::BUCKET));
    let httpfs = duckdb().unwrap().join("httpfs.duckdb_extension");
    let environment = S3::environment();
    let endpoint = s3.endpoint().replace("http://", "");
    let found = ask(
        &queries["control"],
        &[
            httpfs.to_str().unwrap(),
            &endpoint,
            &environment[0].1,
            &environment[1].1,
        ],
    );
    compare_control(&found, &said);
}
