//! A log with a bit of everything, and the pack that is made of it.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Write},
    sync::{Arc, Mutex},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::*;
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

pub(super) const CONTROL: &str = "enc-ingress-tls";

/// Files in memory, and how much room there is.
#[derive(Clone, Default)]
pub(super) struct Memory {
    pub(super) files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    pub(super) room: Option<Arc<Mutex<usize>>>,
}

struct Writer(Memory, String);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(room) = &self.0.room {
            let mut room = room.lock().unwrap();
            let left = room.checked_sub(bytes.len());
            *room = left.ok_or(io::ErrorKind::StorageFull)?;
        }
        self.0
            .files
            .lock()
            .unwrap()
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
                .lock()
                .unwrap()
                .insert(name.to_owned(), Vec::new())
                .is_none(),
            "{name} twice"
        );
        Ok(Box::new(Writer(self.clone(), name.to_owned())))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn BufRead>> {
        Ok(Box::new(io::Cursor::new(
            self.files.lock().unwrap()[name].clone(),
        )))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.lock().unwrap().remove(name);
        Ok(())
    }
}

pub(super) fn at(minute: i64) -> Timestamp {
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
    transition(from, to, ended).into()
}

pub(super) fn transition(from: Option<Outcome>, to: Outcome, ended: Option<End>) -> Transition {
    Transition {
        policies: vec!["soc2".into()],
        control: CONTROL.into(),
        rule_version: Some(1),
        params_hash: Some("p".to_owned()),
        scope_hash: Some("s".to_owned()),
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
        accepted: None,
    }
}

pub(super) fn people(kind: &'static str, step: Step, spec: Value) -> ObjectChange {
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
        all_rows: None,
        reason: None,
        expires: Some(at(100_000)),
    }
}

#[allow(clippy::too_many_lines, reason = "a story, one entry after the other")]
pub(super) fn history() -> Vec<Entry> {
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
                before: None,
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
    said.push((
        61,
        Body::EncryptionConfig(body::EncryptionConfig {
            server: "https://10.0.0.1:6443".into(),
            from: Some("sha256:aa".to_owned()),
            to: "sha256:bb".to_owned(),
            since: at(61),
        }),
    ));
    said.extend(beats(62, 2000));
    said.push((
        3000,
        Body::Response(people("DeviationResponse", Step::Created, response)),
    ));
    numbered(said)
}

/// Entries of what was said at these minutes.
pub(super) fn numbered(said: Vec<(i64, Body)>) -> Vec<Entry> {
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

pub(super) fn facts() -> Facts {
    let spec = json!({
        "start": "2026-03-01", "end": "2026-03-01", "timeZone": "UTC",
        "controlMatrix": [{ "id": "LA-03", "wording": "Traffic is encrypted", "controls": [CONTROL, "net-host-network"] }],
    });
    Facts {
        spec: serde_json::from_value(spec).unwrap(),
        version: "0.1.0",
        binary_digest: Some("ab".to_owned()),
        verified: Verified {
            whole: false,
            problems: vec![
                "epochs/1/tile/entries/000.p/9, entry 7: is <not> what was signed".to_owned(),
            ],
            proved: vec!["9 entries are in the tree".to_owned()],
            not_proved: vec!["no checkpoint from elsewhere was given".to_owned()],
        },
        signer: None,
    }
}

/// Writes a pack into a folder.
pub(super) fn pack(folder: &Memory) -> Result<crate::period::Summary, ReportError> {
    pack_of(folder, &history())
}

fn pack_of(folder: &Memory, entries: &[Entry]) -> Result<crate::period::Summary, ReportError> {
    let frame = Frame::new("day", "2026-03-01", "2026-03-01", "UTC").unwrap();
    let pack = Pack::new(folder);
    let mut collector = Collector::new(&pack, &frame)?;
    let mut account = Account::new(frame);
    for entry in entries {
        collector.note(entry);
        account.take(entry, &mut collector);
    }
    let summary = account.finish(at(5000), &mut collector);
    finish(&pack, collector, &summary, &facts())?;
    Ok(summary)
}

pub(super) fn made() -> BTreeMap<String, String> {
    made_of(&history())
}

/// The files of the pack of a log.
pub(super) fn made_of(entries: &[Entry]) -> BTreeMap<String, String> {
    let folder = Memory::default();
    pack_of(&folder, entries).unwrap();
    let files = folder.files.lock().unwrap().clone();
    files
        .into_iter()
        .map(|(name, bytes)| (name, String::from_utf8(bytes).unwrap()))
        .collect()
}
