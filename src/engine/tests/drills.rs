//! Restore drills, with the test as API server and as Velero.

use super::*;
use crate::controls::backup::drill::{DRILL, RESULT, SOURCE};

mod broken_off;

const SANDBOX: &str = "probity-drill";
/// Uid of the role with the rights for drills.
const OWNER: &str = "aaaaaaaa-0000-4000-8000-00000000000d";

fn asks(change: &Value) -> Value {
    let mut control = json!({
        "requireVerifyJob": false,
        "drill": { "namespaces": ["shop"], "ttl": "1h" },
    });
    merge(&mut control, change);
    json!({ "controls": { "backupRestoreTestCurrent": control } })
}

/// A claim with a backup of it.
fn staged(memory: Memory) -> Drive {
    let mut drive = Drive::with_memory(memory);
    let role = json!({ "metadata": { "name": "probity-drill", "uid": OWNER }, "rules": [] });
    drive.put(Kind::ClusterRole, role);
    drive.namespace("shop");
    drive.put(Kind::Claim, claim("shop", true));
    backup(&mut drive, "nightly-1", "2026-06-01T01:00:00Z", "Completed");
    drive
}

/// The same, and a policy that asks for a drill of its namespace.
fn drive(memory: Memory, change: &Value) -> Drive {
    let mut drive = staged(memory);
    drive.policy(1, asks(change));
    drive.lead(1);
    drive
}

fn backup(drive: &mut Drive, name: &str, started: &str, phase: &str) {
    let backup = json!({
        "metadata": { "name": name, "namespace": "velero" },
        "spec": { "includedNamespaces": ["shop"] },
        "status": { "phase": phase, "startTimestamp": started, "completionTimestamp": started },
    });
    drive.put(Kind::VeleroBackup, backup);
}

fn claim(namespace: &str, bound: bool) -> Value {
    json!({
        "metadata": { "name": "data", "namespace": namespace },
        "spec": { "storageClassName": "fast", "volumeName": if bound { json!("pv") } else { json!(null) } },
        "status": { "phase": if bound { "Bound" } else { "Pending" } },
    })
}

impl Drive {
    /// The write that waits for an answer.
    fn write(&mut self) -> DrillWrite {
        let mut writes = std::mem::take(&mut self.drills);
        assert_eq!(writes.len(), 1, "{writes:?}");
        let write = writes.remove(0);
        let last = self.bodies().filter(|body| body.kind() == "intent").last();
        match last {
            Some(Body::Intent(intent)) => assert_eq!(intent.id, write.id),
            other => panic!("no intent before {write:?}: {other:?}"),
        }
        write
    }

    /// Does what a write asks for, and shows it.
    fn carry_out(&mut self, write: &DrillWrite) {
        let kind = match write.spot.kind {
            "Namespace" => Some(Kind::Namespace),
            "Restore" => Some(Kind::VeleroRestore),
            _ => None,
        };
        let (namespace, name) = (
            write.spot.namespace.to_string(),
            write.spot.name.to_string(),
        );
        if let Some(kind) = kind {
            let key = (kind, namespace.clone(), name.clone());
            match &write.call {
                DrillCall::Create(manifest) => {
                    let mut object = manifest.clone();
                    if !namespace.is_empty() {
                        object["metadata"]["namespace"] = json!(namespace);
                    }
                    object["metadata"]["creationTimestamp"] = json!(self.wall.to_string());
                    self.put(kind, object);
                }
                DrillCall::Merge(patch, ..) => {
                    let mut object = self.objects[&key].clone();
                    merge(&mut object, patch);
                    self.put(kind, object);
                }
                DrillCall::Delete(_) => self.delete(kind, &namespace, &name),
            }
        }
        self.apply(Event::Action(
            write.id,
            ActionResult::Written(Some(self.versions)),
        ));
        self.round();
    }

    fn refuse(&mut self, write: &DrillWrite, kind: FailureKind) {
        let failure = Failure {
            kind,
            message: "no".into(),
        };
        self.apply(Event::Action(write.id, ActionResult::Failed(failure)));
        self.round();
    }

    /// Begins a drill, and carries out so many of its writes.
    fn begin(&mut self, writes: usize) -> Vec<DrillWrite> {
        self.wait(3);
        let mut made = Vec::new();
        for _ in 0..writes {
            let write = self.write();
            self.carry_out(&write);
            made.push(write);
        }
        made
    }

    /// Velero says this of the only Restore.
    fn velero(&mut self, status: Value) {
        let mut objects = self.objects.iter();
        let found = objects.find(|((kind, ..), _)| *kind == Kind::VeleroRestore);
        let mut restore = found.unwrap().1.clone();
        restore["status"] = status;
        self.put(Kind::VeleroRestore, restore);
    }

    /// Carries out what the clean-up asks for, until it asks for nothing more.
    fn clean_up(&mut self) -> Vec<(&'static str, DrillCall)> {
        let mut done = Vec::new();
        for _ in 0..8 {
            while !self.drills.is_empty() {
                let write = self.write();
                self.carry_out(&write);
                done.push((write.spot.kind, write.call));
            }
            self.wait(3);
        }
        done
    }

    fn said_of_drills(&self) -> Vec<body::Drill> {
        let bodies = self.bodies().filter_map(|body| match body {
            Body::Drill(said) => Some(said.clone()),
            _ => None,
        });
        bodies.collect()
    }

    fn verdict_of_fast(&mut self) -> String {
        let status = self.status();
        let control = &status.controls[0];
        format!("{:?} {:?}", control.outcome, control.violations)
    }

    fn there(&self, kind: Kind) -> usize {
        let of = self
            .objects
            .keys()
            .filter(|(of, _, name)| *of == kind && name != "shop");
        of.count()
    }
}

fn completed() -> Value {
    json!({
        "phase": "Completed", "startTimestamp": "2026-06-01T12:00:00Z",
        "completionTimestamp": "2026-06-01T12:05:00Z",
        "progress": { "itemsRestored": 3, "totalItems": 3 },
    })
}

#[test]
fn a_sandbox_is_bounded_before_anything_is_restored_into_it() {
    let mut drive = drive(Memory::default(), &json!({}));
    backup(
        &mut drive,
        "nightly-2",
        "2026-06-01T02:00:00Z",
        "PartiallyFailed",
    );
    let made = drive.begin(4);
    let kinds: Vec<&str> = made.iter().map(|write| write.spot.kind).collect();
    assert_eq!(
        kinds,
        ["Namespace", "ResourceQuota", "NetworkPolicy", "Restore"]
    );
    let DrillCall::Create(namespace) = &made[0].call else {
        panic!()
    };
    assert_eq!(namespace["metadata"]["name"], SANDBOX);
    assert_eq!(namespace["metadata"]["annotations"][SOURCE], "shop");
    let DrillCall::Create(restore) = &made[3].call else {
        panic!()
    };
    let spec = &restore["spec"];
    assert_eq!(spec["backupName"], "nightly-1");
    assert_eq!(spec["includedNamespaces"], json!(["shop"]));
    assert_eq!(spec["namespaceMapping"], json!({ "shop": SANDBOX }));
    assert_eq!(spec["includeClusterResources"], false);
    let resources = spec["includedResources"].as_array().unwrap();
    assert!(!resources.contains(&json!("pods")) && !resources.contains(&json!("secrets")));
    // Velero takes its time: nothing is done meanwhile, and no second drill begins.
    drive.wait(600);
    assert!(drive.drills.is_empty());
}

#[test]
fn a_restore_that_brings_no_claim_back_shows_nothing() {
    let mut drive = drive(Memory::default(), &json!({}));
    drive.begin(4);
    drive.velero(completed());
    drive.clean_up();
    let said = drive.said_of_drills();
    assert!(
        said[0].message.contains("brought no claim back"),
        "{said:?}"
    );
    assert!(drive.verdict_of_fast().contains("brought no claim back"));
}

#[test]
fn a_drill_passes_once_every_claim_is_bound() {
    let mut drive = drive(Memory::default(), &json!({}));
    drive.begin(4);
    drive.put(Kind::Claim, claim(SANDBOX, false));
    drive.velero(completed());
    drive.wait(60);
    assert!(drive.drills.is_empty());
    drive.put(Kind::Claim, claim(SANDBOX, true));
    drive.round();
    let record = drive.write();
    let DrillCall::Merge(patch, ..) = &record.call else {
        panic!("{record:?}")
    };
    let result = patch["metadata"]["annotations"][RESULT].as_str().unwrap();
    assert!(result.contains("\"passed\":true"), "{result}");
    drive.carry_out(&record);
    let done = drive.clean_up();
    assert!(
        matches!(&done[..], [("Namespace", DrillCall::Delete(_))]),
        "{done:?}"
    );
    let said = drive.said_of_drills();
    assert_eq!(said.len(), 1);
    assert!(said[0].passed);
    let came_back = said[0].came_back.clone().unwrap();
    assert_eq!(
        (came_back.items, came_back.claims, came_back.bound),
        (3, 1, 1)
    );
    drive.delete(Kind::Claim, SANDBOX, "data");
    let verdict = drive.verdict_of_fast();
    assert!(verdict.starts_with("Pass"), "{verdict}");
    assert_eq!(drive.count("intent"), drive.count("outcome"));
    // The next one is due a month later, not before.
    drive.wait(29 * 24 * 3600);
    drive.wait(3);
    assert!(drive.drills.is_empty());
    drive.wait(2 * 24 * 3600);
    drive.wait(3);
    assert_eq!(drive.write().spot.kind, "Namespace");
}

#[test]
fn a_claim_that_stays_unbound_fails_although_velero_is_content() {
    let mut drive = drive(Memory::default(), &json!({}));
    drive.begin(4);
    drive.put(Kind::Claim, claim(SANDBOX, false));
    drive.velero(completed());
    drive.wait(3600);
    drive.round();
    drive.clean_up();
    let said = drive.said_of_drills();
    assert!(
        !said[0].passed && said[0].message.contains("0 of 1 claim is bound"),
        "{said:?}"
    );
    drive.delete(Kind::Claim, SANDBOX, "data");
    let verdict = drive.verdict_of_fast();
    assert!(
        verdict.starts_with("Fail") && verdict.contains("claim is bound"),
        "{verdict}"
    );
}

#[test]
fn a_restore_with_errors_or_warnings_shows_nothing() {
    for (status, words) in [
        (
            json!({ "phase": "PartiallyFailed", "errors": 2 }),
            "is PartiallyFailed, 0 items restored, 2 errors",
        ),
        (
            json!({ "phase": "FailedValidation", "validationErrors": ["backup not found"] }),
            "backup not found",
        ),
        (with_warning(), "1 warning"),
    ] {
        let mut drive = drive(Memory::default(), &json!({}));
        drive.begin(4);
        drive.put(Kind::Claim, claim(SANDBOX, true));
        drive.velero(status);
        let done = drive.clean_up();
        // Velero's own log of it stays: only the sandbox goes.
        assert!(
            done.iter()
                .all(|(kind, call)| *kind == "Namespace" || matches!(call, DrillCall::Merge(..)))
        );
        assert_eq!(drive.there(Kind::Namespace), 0);
        let said = drive.said_of_drills();
        assert!(
            !said[0].passed && said[0].message.contains(words),
            "{said:?}"
        );
        let verdict = drive.verdict_of_fast();
        assert!(verdict.contains(words), "{verdict}");
    }
}

fn with_warning() -> Value {
    let mut status = completed();
    status["warnings"] = json!(1);
    status
}

#[test]
fn where_a_job_has_to_verify_it_is_waited_for() {
    let mut drive = drive(Memory::default(), &json!({ "requireVerifyJob": true }));
    drive.begin(4);
    drive.put(Kind::Claim, claim(SANDBOX, true));
    drive.velero(completed());
    drive.wait(60);
    assert!(drive.drills.is_empty());
    let job = |kind: &str| {
        json!({
            "metadata": { "name": "verify", "namespace": SANDBOX, "labels": { "probity.dev/restore-test": "fast" } },
            "status": {
                "completionTime": "2026-06-01T12:10:00Z",
                "conditions": [{ "type": kind, "status": "True" }],
            },
        })
    };
    drive.put(Kind::Job, job("Complete"));
    drive.round();
    drive.clean_up();
    assert!(drive.said_of_drills()[0].passed);
    drive.delete(Kind::Claim, SANDBOX, "data");
    drive.delete(Kind::Job, SANDBOX, "verify");
    assert!(drive.verdict_of_fast().starts_with("Pass"));

    let mut drive = super::drills::drive(Memory::default(), &json!({ "requireVerifyJob": true }));
    drive.begin(4);
    drive.put(Kind::Claim, claim(SANDBOX, true));
    drive.velero(completed());
    drive.put(Kind::Job, job("Failed"));
    drive.round();
    drive.clean_up();
    let said = drive.said_of_drills();
    assert!(
        said[0]
            .message
            .contains("Job probity-drill/verify, which verifies it, failed"),
        "{said:?}"
    );
}

#[test]
fn where_velero_never_answers_the_restore_goes_before_the_sandbox() {
    let mut drive = drive(Memory::default(), &json!({}));
    drive.begin(4);
    drive.wait(3601);
    let done = drive.clean_up();
    let kinds: Vec<&str> = done.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, ["Restore", "Namespace"]);
    assert!(
        done.iter()
            .all(|(_, call)| matches!(call, DrillCall::Delete(_)))
    );
    let said = drive.said_of_drills();
    assert!(
        said[0].message.contains("ttl") && said[0].message.contains("which is New"),
        "{said:?}"
    );
    let verdict = drive.verdict_of_fast();
    assert!(
        verdict.starts_with("Fail") && verdict.contains("which is New"),
        "{verdict}"
    );
    // What the log says is known after a restart, and no second try comes before its time.
    let mut again = super::drills::drive(drive.memory(), &json!({}));
    again.wait(3);
    assert!(again.drills.is_empty());
    assert!(again.verdict_of_fast().contains("which is New"));
}

#[test]
fn a_restore_of_a_drill_shows_nothing_before_its_drill_is_over() {
    let mut drive = drive(Memory::default(), &json!({}));
    let restore = json!({
        "metadata": { "name": "probity-drill-1", "namespace": "velero", "labels": {
            DRILL: "probity-drill-1", "app.kubernetes.io/managed-by": "probity",
            "probity.dev/restore-test": "fast",
        } },
        "spec": { "backupName": "nightly-1", "namespaceMapping": { "shop": SANDBOX } },
        "status": completed(),
    });
    drive.put(Kind::VeleroRestore, restore);
    let verdict = drive.verdict_of_fast();
    assert!(verdict.starts_with("Fail"), "{verdict}");
}

#[test]
fn pods_are_bounded_before_they_come_back() {
    let pods = json!({ "drill": { "pods": 2, "cpu": "1", "priorityClass": "batch" } });
    let mut drive = drive(Memory::default(), &pods);
    let made = drive.begin(6);
    let kinds: Vec<(&str, &str)> = made
        .iter()
        .map(|write| (write.spot.kind, &*write.spot.name))
        .collect();
    assert_eq!(
        kinds[1..5],
        [
            ("ResourceQuota", "restore-drill"),
            ("ResourceQuota", "restore-drill-priorities"),
            ("LimitRange", "restore-drill"),
            ("NetworkPolicy", "restore-drill"),
        ]
    );
    let DrillCall::Create(quota) = &made[1].call else {
        panic!("{made:?}");
    };
    let hard = &quota["spec"]["hard"];
    assert_eq!(
        (&hard["limits.cpu"], &hard["requests.memory"]),
        (&json!("1"), &json!("8Gi"))
    );
    let DrillCall::Create(priorities) = &made[2].call else {
        panic!("{made:?}");
    };
    let which = &priorities["spec"]["scopeSelector"]["matchExpressions"];
    assert_eq!(which[1]["values"], json!(["batch"]));
}

#[test]
fn what_a_drill_makes_belongs_to_the_right_to_make_it_until_it_is_over() {
    let mut drive = drive(Memory::default(), &json!({}));
    for write in drive.begin(4) {
        let DrillCall::Create(manifest) = &write.call else {
            panic!("{write:?}");
        };
        let owner = &manifest["metadata"]["ownerReferences"][0]["uid"];
        let alone = ["Namespace", "Restore"].contains(&write.spot.kind);
        assert_eq!(
            owner.as_str(),
            alone.then_some(OWNER),
            "{}",
            write.spot.kind
        );
    }
    drive.put(Kind::Claim, claim(SANDBOX, true));
    drive.velero(completed());
    drive.wait(3);
    let write = drive.write();
    let DrillCall::Merge(patch, ..) = &write.call else {
        panic!("{write:?}");
    };
    assert_eq!(patch["metadata"]["ownerReferences"], Value::Null);
    assert!(
        patch["metadata"]
            .as_object()
            .unwrap()
            .contains_key("ownerReferences")
    );
}

#[test]
fn no_drill_begins_where_the_right_to_it_is_gone() {
    let mut drive = staged(Memory::default());
    drive.delete(Kind::ClusterRole, "", "probity-drill");
    drive.policy(1, asks(&json!({})));
    drive.lead(1);
    drive.wait(3);
    assert!(drive.drills.is_empty());
    assert!(drive.verdict_of_fast().contains("drill.enabled"));
}
