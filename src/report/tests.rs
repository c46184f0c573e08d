//! Whole packs, in memory.
#![allow(
    clippy::case_sensitive_file_extension_comparisons,
    reason = "the names are ours"
)]

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io::{self, BufRead, Write},
    rc::Rc,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;
use crate::{
    evidence::{
        Body, Entry, SubjectRef,
        body::{
            self, ControlCounts, Gap, Heartbeat, ObjectChange, PolicyChange, Population, Transition,
        },
        words::{Action, ActionResult, Cause, Change, End, Step},
    },
    period::{Account, Frame},
    verdict::{Outcome, Severity, Strength},
};

const CONTROL: &str = "enc-ingress-tls";

/// Files in memory, and how much room there is.
#[derive(Clone, Default)]
struct Memory {
    files: Rc<RefCell<BTreeMap<String, Vec<u8>>>>,
    room: Option<Rc<Cell<usize>>>,
}

struct Writer(Memory, String);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(room) = &self.0.room {
            if bytes.len() > room.get() {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            room.set(room.get() - bytes.len());
        }
        self.0
            .files
            .borrow_mut()
            .get_mut(&self.1)
            .unwrap()
            .extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Folder for Memory {
    fn create(&self, name: &str) -> io::Result<Box<dyn Write>> {
        assert!(
            self.files
                .borrow_mut()
                .insert(name.to_owned(), Vec::new())
                .is_none(),
            "{name} twice"
        );
        Ok(Box::new(Writer(self.clone(), name.to_owned())))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn BufRead>> {
        Ok(Box::new(io::Cursor::new(self.files.borrow()[name].clone())))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.borrow_mut().remove(name);
        Ok(())
    }
}

fn at(minute: i64) -> Timestamp {
    "2026-03-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minute)
}

/// An Ingress of a name that means harm to whoever opens the pack.
fn subject() -> SubjectRef {
    SubjectRef {
        group: "networking.k8s.io".into(),
        kind: "Ingress".into(),
        namespace: Some("shop".into()),
        name: "=cmd|' /C calc'!A0<script>alert(1)</script>\u{202e}".into(),
        uid: "6f1b0c1e-0000-4000-8000-000000000000".into(),
    }
}

fn turn(from: Option<Outcome>, to: Outcome, ended: Option<End>) -> Body {
    Transition {
        policies: vec!["soc2".into()],
        control: CONTROL.into(),
        rule_version: 1,
        params_hash: "p".to_owned(),
        scope_hash: "s".to_owned(),
        subject: subject(),
        owner: Some("team \"shop\"".into()),
        from,
        to: Some(to),
        strength: Strength::Effective,
        reason: "IngressWithoutTls".into(),
        message: "host <b>shop.example</b> has no TLS, \"really\"\nnone".to_owned(),
        severity: Severity::High,
        cause: Cause::Object,
        ended,
        opened: None,
        deviation: Some("d-1".to_owned()),
    }
    .into()
}

fn people(kind: &'static str, step: Step, spec: Value) -> ObjectChange {
    ObjectChange {
        kind: kind.into(),
        namespace: None,
        name: "one".into(),
        uid: "u".into(),
        generation: 1,
        step,
        who: Some("alice".to_owned()),
        old_hash: None,
        new_hash: Some("h".to_owned()),
        spec: Some(spec.into()),
        decision: Some(json!({ "approved": true }).into()),
        reason: None,
        expires: Some(at(100_000)),
    }
}

#[allow(clippy::too_many_lines, reason = "a story, one entry after the other")]
fn history() -> Vec<Entry> {
    let start = body::Start {
        version: "0.1.0".into(),
        binary_digest: "cc".to_owned(),
        cluster: "k-1".into(),
        identity: "system:serviceaccount:probity:probity".into(),
        previous_end: None,
    };
    let policy = PolicyChange {
        policy: "soc2".into(),
        uid: "p".into(),
        generation: 1,
        change: Change::Created,
        who: Some("kubectl".to_owned()),
        old_hash: None,
        new_hash: Some("h".to_owned()),
        spec: Some(json!({ "scope": {}, "controls": { "encIngressTls": {}, "backupRpoMet": { "defaultRpo": "24h" } } }).into()),
        enforcing_since: BTreeMap::new(),
        limits_release: None,
    };
    let joined = Population {
        policies: vec!["soc2".into()],
        control: CONTROL.into(),
        joined: vec![subject()],
        left: Vec::new(),
    };
    let intent = body::Intent {
        id: 1,
        action: Action::PutBack,
        policies: vec!["soc2".into()],
        control: CONTROL.into(),
        target: subject(),
        content_hash: String::new(),
        before: None,
        after: None,
        undo: None,
    };
    let outcome = body::ActionOutcome {
        intent: 1,
        result: ActionResult::Applied,
        message: "done".to_owned(),
        resource_version: None,
    };
    let gap = Gap {
        scope: CONTROL.to_owned(),
        from: at(20),
        to: Some(at(30)),
        cause: "forbidden".to_owned(),
    };
    let response = json!({ "deviation": "d-1", "cause": "+a hurried change", "action": "reviewed", "owner": "bob" });
    let mut said: Vec<(i64, Body)> = vec![
        (0, start.into()),
        (
            0,
            body::Term {
                holder: "h".into(),
                epoch: 1,
                predecessor: None,
            }
            .into(),
        ),
        (0, policy.into()),
        (0, joined.into()),
    ];
    let beats = |from: i64, to: i64| {
        (from..to).map(|minute| {
            let row = ControlCounts {
                policy: "soc2".into(),
                control: CONTROL.into(),
                by_outcome: [(Outcome::Pass, 1)].into(),
            };
            let beat = Heartbeat {
                subjects: 1,
                by_outcome: body::Counts::default(),
                controls: vec![row],
                table_digest: String::new(),
                kinds: Vec::new(),
            };
            (minute, Body::from(beat))
        })
    };
    said.extend(beats(1, 40));
    said.push((30, gap.into()));
    said.push((40, turn(Some(Outcome::Pass), Outcome::Fail, None)));
    said.push((40, intent.into()));
    said.push((41, outcome.into()));
    said.push((
        42,
        turn(Some(Outcome::Fail), Outcome::Pass, Some(End::PutBack)),
    ));
    said.push((50, turn(Some(Outcome::Pass), Outcome::Unknown, None)));
    said.push((51, turn(Some(Outcome::Unknown), Outcome::Excepted, None)));
    said.push((60, turn(Some(Outcome::Excepted), Outcome::Fail, None)));
    said.push((
        61,
        Body::Exception(people("ControlException", Step::Approved, json!({}))),
    ));
    said.push((
        61,
        Body::Attestation(people(
            "Attestation",
            Step::Approved,
            json!({ "control": "attest-governance", "statement": "-said" }),
        )),
    ));
    said.extend(beats(62, 2000));
    said.push((
        3000,
        Body::Response(people("DeviationResponse", Step::Created, response)),
    ));
    let entries = said.into_iter().enumerate();
    entries
        .map(|(seq, (minute, body))| Entry {
            v: 1,
            seq: seq as u64,
            time: at(minute),
            body,
        })
        .collect()
}

fn facts() -> Facts {
    let spec = json!({
        "start": "2026-03-01", "end": "2026-03-01", "timeZone": "UTC",
        "controlMatrix": [{ "id": "LA-03", "wording": "Traffic is encrypted", "controls": [CONTROL, "net-host-network"] }],
    });
    Facts {
        spec: serde_json::from_value(spec).unwrap(),
        version: "0.1.0",
        binary_digest: Some("ab".to_owned()),
    }
}

/// Writes a pack into a folder.
fn pack(folder: &Memory) -> Result<crate::period::Summary, ReportError> {
    let frame = Frame::new("day", "2026-03-01", "2026-03-01", "UTC").unwrap();
    let pack = Pack::new(folder);
    let mut collector = Collector::new(&pack, &frame)?;
    let mut account = Account::new(frame);
    for entry in history() {
        collector.note(&entry);
        account.take(&entry, &mut collector);
    }
    let summary = account.finish(at(5000), &mut collector);
    finish(&pack, collector, &summary, &facts())?;
    Ok(summary)
}

fn made() -> BTreeMap<String, String> {
    let folder = Memory::default();
    pack(&folder).unwrap();
    let files = folder.files.borrow().clone();
    files
        .into_iter()
        .map(|(name, bytes)| (name, String::from_utf8(bytes).unwrap()))
        .collect()
}

/// What a schema of others says against a document.
fn errors(schema: &str, document: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path))
        .collect()
}

#[test]
fn oscal_is_what_nist_says_it_is() {
    let files = made();
    let complete = include_str!("../../tests/schemas/oscal_complete_schema-1.2.2.json");
    let results: Value = serde_json::from_str(&files["oscal/assessment-results.json"]).unwrap();
    assert_eq!(errors(complete, &results), Vec::<String>::new());
    let older = include_str!("../../tests/schemas/oscal_assessment-results_schema-1.2.1.json");
    assert_eq!(errors(older, &results), Vec::<String>::new());
    let plan: Value = serde_json::from_str(&files["oscal/assessment-plan.json"]).unwrap();
    assert_eq!(errors(complete, &plan), Vec::<String>::new());
    let result = &results["assessment-results"]["results"][0];
    assert_eq!(result["observations"].as_array().unwrap().len(), 2);
    assert_eq!(result["risks"][0]["status"], "closed");
    let mut broken = results.clone();
    broken["assessment-results"]["results"][0]["observations"][0]["methods"] = json!([]);
    assert!(
        !errors(complete, &broken).is_empty(),
        "the schema would find a fault"
    );
}

#[test]
fn ocsf_findings_are_of_their_class() {
    let files = made();
    let schema = include_str!("../../tests/schemas/ocsf-1.8.0-compliance_finding.schema.json");
    let lines: Vec<Value> = files["ocsf/findings.jsonl"]
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        lines.len(),
        3,
        "one deviation opened and closed, one is open"
    );
    for line in &lines {
        assert_eq!(errors(schema, line), Vec::<String>::new());
    }
    let mut broken = lines[0].clone();
    broken.as_object_mut().unwrap().remove("compliance");
    assert!(
        !errors(schema, &broken).is_empty(),
        "the schema would find a fault"
    );
}

#[test]
fn sums_and_statement_cover_every_file() {
    let files = made();
    let sums: BTreeMap<&str, &str> = files["SHA256SUMS"]
        .lines()
        .map(|line| {
            line.split_once("  ")
                .map(|(sum, name)| (name, sum))
                .unwrap()
        })
        .collect();
    for (name, content) in files.iter().filter(|(name, _)| *name != "SHA256SUMS") {
        assert_eq!(
            sums.get(&**name).copied(),
            Some(&*crate::engine::hex(&Sha256::digest(content))),
            "{name}"
        );
    }
    assert_eq!(
        sums.len() + 1,
        files.len(),
        "nothing else is in the pack: {:?}",
        files.keys()
    );
    let statement: Value = serde_json::from_str(&files["attestation.intoto.json"]).unwrap();
    assert_eq!(
        statement["subject"].as_array().unwrap().len(),
        sums.len() - 1
    );
    assert_eq!(
        statement["predicate"]["deviations"],
        json!({ "all": 2, "open": 1 })
    );
}

#[test]
fn equal_logs_make_equal_packs() {
    assert_eq!(made(), made());
}

#[test]
fn tables_hold_what_happened_and_run_nothing() {
    let files = made();
    let deviations: Vec<&str> = files["deviations.csv"].split("\r\n").collect();
    assert_eq!(
        deviations.len(),
        4,
        "a header, two deviations, the end: {deviations:?}"
    );
    assert!(
        deviations[1].contains("\"'=cmd|' /C calc'!A0"),
        "{}",
        deviations[1]
    );
    assert!(
        deviations[1].contains("\"'+a hurried change\",,reviewed,bob"),
        "{}",
        deviations[1]
    );
    assert!(files["attestations.csv"].contains("\"'-said\""));
    for (name, content) in files.iter().filter(|(name, _)| name.ends_with(".csv")) {
        let bad = content
            .lines()
            .flat_map(|line| line.split(','))
            .find(|cell| {
                cell.trim_start_matches('"')
                    .starts_with(['=', '+', '-', '@'])
            });
        assert_eq!(bad, None, "{name}");
    }
    assert!(files["control-matrix.csv"].contains("no policy had switched it on"));
    assert!(files["gaps.csv"].contains("forbidden"));
    assert!(
        files["not-observable.csv"].contains("provider of the control plane or storage (CSOC)")
    );
    assert!(files["management-approved-exemptions.csv"].contains("2026-03-01T00:51:00Z"));
}

#[test]
fn pages_need_nothing_else_and_run_nothing() {
    let files = made();
    let pages: Vec<_> = files
        .iter()
        .filter(|(name, _)| name.ends_with(".html"))
        .collect();
    assert_eq!(pages.len(), 3, "the index and two controls");
    for (name, page) in pages {
        for bad in [
            "<script",
            "javascript:",
            "http://",
            "https://",
            "src=",
            "@import",
            "url(",
            "\u{202e}",
        ] {
            assert!(!page.contains(bad), "{name} holds {bad}");
        }
        assert!(
            page.contains("lang=\"en\"")
                && page.contains("prefers-color-scheme: dark")
                && page.contains("@media print")
        );
        assert!(
            page.contains("Results of management&#x27;s automated evaluation")
                || page.contains("Results of management's automated evaluation"),
            "{name}"
        );
    }
    let control = &files["controls/enc-ingress-tls--soc2.html"];
    assert!(
        control.contains("role=\"img\"")
            && control.contains("class=\"failing\"")
            && control.contains("class=\"remedy\"")
    );
    assert!(
        control.contains("host &lt;b&gt;shop.example&lt;&#x2f;b&gt;"),
        "names are escaped"
    );
    assert!(
        control.contains("a hurried change"),
        "management's response is printed"
    );
}

#[test]
fn no_conclusion_is_drawn_for_the_auditor() {
    for (name, content) in made() {
        let text = content.to_lowercase();
        for bad in [
            "compliant",
            "certified",
            "in compliance",
            "passes soc 2",
            "we certify",
        ] {
            assert!(!text.contains(bad), "{name} says {bad}");
        }
        // What a ControlException grants is an exemption here; its kind is named only where objects are listed.
        let says = text
            .replace("controlexception", "")
            .replace("call an exception", "")
            .replace("call exceptions", "");
        let says = says
            .replace("an exception.\n", "")
            .replace("an\n               exception", "");
        assert!(
            name == "changes.csv" || !says.contains("management-approved exception"),
            "{name}"
        );
    }
    assert!(made()["README.txt"].contains("Results of management's automated evaluation"));
}

#[test]
fn a_full_disk_at_any_place_is_an_error() {
    let folder = Memory::default();
    pack(&folder).unwrap();
    let size: usize = folder.files.borrow().values().map(Vec::len).sum();
    for part in 0..60 {
        let room = size * part / 61;
        let full = Memory {
            room: Some(Rc::new(Cell::new(room))),
            ..Memory::default()
        };
        let error = pack(&full).expect_err("there is no room");
        assert!(matches!(error, ReportError::File { .. }), "{error}");
    }
}
