//! Backups that are made because one is overdue.

use super::*;

const UID: &str = "aaaaaaaa-0000-4000-8000-00000000000";

fn spec(mode: &str) -> Value {
    json!({ "mode": mode, "controls": { "backupRpoMet": { "triggerBackups": true } } })
}

impl Drive {
    /// A claim with this number, on a volume that a pod mounts.
    fn claim(&mut self, number: u32) {
        let name = format!("data-{number}");
        let meta = json!({ "name": name, "namespace": "shop", "uid": format!("{UID}{number}") });
        let spec = json!({ "storageClassName": "fast", "volumeName": format!("pv-{number}") });
        let status = json!({ "phase": "Bound" });
        let claim = json!({ "metadata": meta, "spec": spec, "status": status });
        self.put(Kind::Claim, claim);
        let csi = json!({ "driver": "ebs.csi.aws.com", "volumeHandle": format!("vol-{number}") });
        let meta = json!({ "name": format!("pv-{number}") });
        self.put(
            Kind::Volume,
            json!({ "metadata": meta, "spec": { "csi": csi } }),
        );
        let volumes = json!([{ "name": "d", "persistentVolumeClaim": { "claimName": name } }]);
        let meta = json!({ "name": format!("db-{number}"), "namespace": "shop" });
        let spec = json!({ "containers": [{ "name": "db" }], "volumes": volumes });
        let status = json!({ "phase": "Running" });
        self.put(
            Kind::Pod,
            json!({ "metadata": meta, "spec": spec, "status": status }),
        );
    }

    /// A Backup of the schedule in this phase, with parts of these claims if it is completed.
    fn run(&mut self, name: &str, phase: &str, started: &str, claims: &[u32]) {
        let labels = json!({ "velero.io/backup-name": name });
        for number in claims {
            let mut labels = labels.clone();
            labels["velero.io/pvc-uid"] = json!(format!("{UID}{number}"));
            let meta = json!({
                "name": format!("{name}-{number}"), "namespace": "velero", "labels": labels,
            });
            let status = json!({ "phase": "Completed", "startTimestamp": started });
            self.put(
                Kind::PodVolumeBackup,
                json!({ "metadata": meta, "status": status }),
            );
        }
        let key = (Kind::VeleroBackup, "velero".to_owned(), name.to_owned());
        let new = json!({
            "metadata": {
                "name": name, "namespace": "velero", "creationTimestamp": self.wall.to_string(),
                "labels": { "velero.io/schedule-name": "nightly" },
            },
            "spec": {},
        });
        let mut backup = self.objects.get(&key).cloned().unwrap_or(new);
        backup["status"] = json!({ "phase": phase, "startTimestamp": started });
        self.put(Kind::VeleroBackup, backup);
    }

    /// The Backups that we made.
    fn made(&self) -> Vec<String> {
        let ours = self.objects.iter().filter(|((kind, ..), object)| {
            *kind == Kind::VeleroBackup
                && object["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "probity"
        });
        ours.map(|((.., name), _)| name.clone()).collect()
    }
}

/// Velero, a schedule that holds everything, and claims whose last backup is of 25 hours ago: an
/// hour before it is too old.
fn drive(claims: &[u32]) -> Drive {
    let mut drive = Drive::new();
    drive.namespace("shop");
    drive.namespace("velero");
    let meta = json!({ "name": "default", "namespace": "velero" });
    let (spec, status) = (json!({ "default": true }), json!({ "phase": "Available" }));
    drive.put(
        Kind::VeleroLocation,
        json!({ "metadata": meta, "spec": spec, "status": status }),
    );
    let meta = json!({ "name": "nightly", "namespace": "velero" });
    let template = json!({ "defaultVolumesToFsBackup": true, "ttl": "720h0m0s" });
    let spec = json!({ "schedule": "0 11 * * *", "template": template });
    let status = json!({ "phase": "Enabled" });
    drive.put(
        Kind::VeleroSchedule,
        json!({ "metadata": meta, "spec": spec, "status": status }),
    );
    for number in claims {
        drive.claim(*number);
    }
    drive.run("nightly-1", "Completed", "2026-05-31T11:00:00Z", claims);
    drive
}

#[test]
fn an_overdue_backup_is_made_once_and_mends_when_it_is_completed() {
    let mut drive = drive(&[1, 2]);
    drive.policy(1, spec("Enforce"));
    assert!(drive.actions.is_empty());
    drive.wait(7200);
    assert_eq!(drive.actions.len(), 1, "two claims, one schedule");
    assert_eq!(drive.actions[0].step, Step::DryRun);
    assert_eq!(drive.serve(), 1);
    let made = drive.made();
    assert_eq!(made.len(), 1);
    // While it runs, there is nothing more to do.
    let began = drive.wall.to_string();
    for phase in ["New", "InProgress", "FinalizingPartiallyFailed"] {
        drive.run(&made[0], phase, &began, &[]);
        drive.wait(3600);
        assert_eq!(drive.actions, [], "{phase}");
    }
    drive.run(&made[0], "Completed", &began, &[1, 2]);
    assert_eq!(drive.count("intent"), 1);
    let ends: Vec<_> = drive.transitions().into_iter().skip(2).collect();
    let mended = (FAIL, PASS, Why::Object, Some(End::PutBack));
    assert_eq!(ends, [mended, mended]);
}

#[test]
fn one_that_failed_is_not_made_again_at_once() {
    let mut drive = drive(&[1]);
    drive.policy(1, spec("Enforce"));
    drive.wait(7200);
    drive.serve();
    let first = drive.made();
    let began = drive.wall.to_string();
    drive.run(&first[0], "Failed", &began, &[]);
    drive.wait(6 * 3600 - 60);
    assert_eq!(drive.actions, []);
    drive.wait(120);
    assert_eq!(drive.serve(), 1);
    let both = drive.made();
    assert_eq!((both.len(), drive.count("intent")), (2, 2), "{both:?}");
}

#[test]
fn one_that_a_person_deletes_does_not_come_back_at_once() {
    let mut drive = drive(&[1]);
    drive.policy(1, spec("Enforce"));
    drive.wait(7200);
    drive.serve();
    let made = drive.made();
    drive.wait(60);
    drive.delete(Kind::VeleroBackup, "velero", &made[0]);
    drive.wait(5 * 3600);
    assert_eq!(drive.actions, []);
    drive.wait(3600);
    assert_eq!(drive.serve(), 1);
}

#[test]
fn what_somebody_elses_run_mends_is_not_our_work() {
    let mut drive = drive(&[1]);
    drive.policy(1, spec("Enforce"));
    drive.wait(7200);
    drive.serve();
    let began = drive.wall.to_string();
    let made = drive.made();
    drive.run(&made[0], "Failed", &began, &[]);
    drive.run("nightly-2", "Completed", &began, &[1]);
    let (.., ended) = drive.transitions().pop().unwrap();
    assert_eq!(ended, Some(End::FixedByOthers));
}

#[test]
fn it_is_made_only_if_what_the_server_would_store_holds_the_claim() {
    let mut drive = drive(&[1]);
    drive.policy(1, spec("Enforce"));
    drive.wait(7200);
    let action = drive.actions.pop().unwrap();
    let mut stored = action.remedy.content().clone();
    stored["metadata"]["uid"] = json!("00000000-0000-4000-8000-000000000000");
    stored["spec"]["excludedNamespaces"] = json!(["shop"]); // as a webhook may say
    drive.apply(Event::Action(action.id, ActionResult::Accepted(stored)));
    drive.round();
    assert_eq!((drive.actions.len(), drive.count("intent")), (0, 0));
    assert_eq!(drive.status().summary.failing, 1);
}

#[test]
fn a_run_that_begins_meanwhile_is_left_to_do_it() {
    let mut drive = drive(&[1]);
    drive.policy(1, spec("Enforce"));
    drive.wait(7200);
    let action = drive.actions.pop().unwrap();
    let began = drive.wall.to_string();
    drive.run("nightly-2", "InProgress", &began, &[]);
    let mut stored = action.remedy.content().clone();
    stored["metadata"]["uid"] = json!("00000000-0000-4000-8000-000000000000");
    drive.apply(Event::Action(action.id, ActionResult::Accepted(stored)));
    drive.round();
    drive.wait(600);
    assert_eq!((drive.actions.len(), drive.count("intent")), (0, 0));
}

#[test]
fn nothing_is_made_where_nobody_asked_for_it() {
    let mut observing = drive(&[1]);
    observing.policy(1, spec("Observe"));
    observing.wait(7200);
    assert_eq!(observing.actions, []);
    let mut without = drive(&[1]);
    without.policy(
        1,
        json!({ "mode": "Enforce", "controls": { "backupRpoMet": {} } }),
    );
    without.wait(7200);
    assert_eq!(without.actions, []);
    // What was overdue before Enforce began stays a proposal.
    let mut existing = drive(&[1]);
    existing.wait(7200);
    existing.policy(1, spec("Enforce"));
    assert_eq!(existing.actions, []);
}

#[test]
fn a_class_of_snapshots_that_can_not_be_read_is_unknown_only_where_it_is_listed() {
    let with = |classes: &[&str]| json!({ "controls": { "backupDeletionRestricted": { "retainedClasses": classes } } });
    let mut drive = Drive::new();
    for (name, policy) in [
        ("kept", json!("Retain")),
        ("broken", json!({ "not": "a policy" })),
    ] {
        let class = json!({
            "metadata": { "name": name }, "driver": "d", "deletionPolicy": policy,
        });
        drive.put(Kind::SnapshotClass, class);
    }
    drive.policy(1, with(&["kept"]));
    let control = &drive.status().controls[0];
    assert_eq!(
        (control.outcome, control.population),
        (Outcome::Pass, 1),
        "{control:?}"
    );
    drive.policy(2, with(&["kept", "broken"]));
    let control = &drive.status().controls[0];
    assert_eq!(
        (control.outcome, control.population),
        (Outcome::Unknown, 2),
        "{control:?}"
    );
}
