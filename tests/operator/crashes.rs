//! What a crash or a full disk leaves behind.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::program::{Program, Replica};
use super::world::{POLICIES, condition, eventually, turn};

/// Moments of death after the drift, from before it is seen to after it is put back.
const MOMENTS: [u64; 4] = [0, 9, 23, 50];

#[test]
fn a_kill_at_any_moment_loses_nothing_and_leaves_nothing_half_done() {
    let world = turn();
    let (namespace, path) = world.denying_namespace();
    let replica = Replica::new(&world);
    let policy = world.default_deny("Enforce", &namespace);
    let mut program = replica.start();
    for (kills, moment) in MOMENTS.into_iter().enumerate() {
        program.metric_becomes("leader", &[], 1.0);
        program.metric_becomes("subjects", &[("policy", &policy), ("outcome", "Pass")], 1.0);
        world.appears(&path);
        let before = replica.log_lines();
        world.delete(&path);
        // The moment of the fault, not a wait for anything.
        thread::sleep(Duration::from_millis(moment));
        program.kill();
        let died = replica.log_lines();
        assert!(died.starts_with(&before), "entries were lost or altered");
        program = replica.start();
        eventually("policy put back", || match world.get(&path) {
            Some(_) => Ok(()),
            None => Err(format!(
                "killed after {moment} ms\n{}",
                told(&replica, &program)
            )),
        });
        eventually("closed deviation", || {
            let log = replica.log();
            let last = log.iter().rfind(|entry| entry["type"] == "transition");
            match last {
                Some(entry) if entry["to"] == "Pass" => Ok(()),
                other => Err(format!(
                    "the last transition is {other:?}\n{}",
                    program.tail()
                )),
            }
        });
        assert!(
            replica.log_lines().starts_with(&died),
            "entries were lost or altered"
        );
        check(&replica.log(), kills + 1);
    }
    world.settled(&policy);
    assert!(program.stop().success());
    check(&replica.log(), MOMENTS.len());
}

/// The end of what was logged, for error messages.
fn told(replica: &Replica, program: &Program) -> String {
    let lines = replica.log_lines();
    let last = &lines[lines.len().saturating_sub(12)..];
    format!("{}\n{}", last.join("\n"), program.tail())
}

/// No entry is missing, no intent open, and each crash is a gap.
fn check(log: &[Value], kills: usize) {
    let of =
        |kind: &str| -> Vec<&Value> { log.iter().filter(|entry| entry["type"] == kind).collect() };
    for (place, entry) in log.iter().enumerate() {
        assert_eq!(entry["seq"].as_u64(), u64::try_from(place).ok());
    }
    for intent in of("intent") {
        let outcomes = of("outcome");
        let told = outcomes
            .iter()
            .filter(|outcome| outcome["intent"] == intent["id"]);
        assert_eq!(told.count(), 1, "{intent}");
    }
    let gaps = of("gap").into_iter().filter(|gap| gap["scope"] == "all");
    assert_eq!(gaps.count(), kills, "{log:#?}");
    assert_eq!(of("start").len(), kills + 1);
}

/// A file system of a few blocks. It goes away on drop.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// `None` where this process may not mount.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=2m,mode=0700", "probity-test"])
            .arg(folder.path());
        mount
            .output()
            .ok()?
            .status
            .success()
            .then_some(Self { folder })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Takes all the space there is.
    fn fill(&self) {
        let written = std::fs::write(self.filler(), vec![0_u8; 4 << 20]);
        assert_eq!(written.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The folder can't be removed otherwise; a busy one is detached.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.path())
            .status();
    }
}

#[test]
fn a_full_disk_stops_writes_but_not_verdicts() {
    let Some(disk) = SmallDisk::mount() else {
        println!("not run: only root may mount a small disk");
        return;
    };
    let world = turn();
    let (namespace, path) = world.denying_namespace();
    let replica = Replica::new(&world).logging_to(&disk.path().join("data"));
    let program = replica.start();
    let policy = world.default_deny("Enforce", &namespace);
    world.settled(&policy);
    disk.fill();
    // The last block of the log has room for a little more: say things until it is full.
    let mut said = 0;
    eventually("full log", || {
        said += 1;
        let ticket = format!("{said:0>200}");
        let change = json!({ "approvedBy": "alice", "ticket": ticket });
        world.patch(
            &format!("{POLICIES}/{policy}"),
            &json!({ "spec": { "change": change } }),
        );
        let policy = world.get(&format!("{POLICIES}/{policy}")).unwrap();
        match condition(&policy["status"], "Ready") {
            ready if ready["reason"] == "EvidenceLogFailing" => Ok(()),
            ready => Err(format!("{ready}")),
        }
    });
    world.delete(&path);
    let status = world.status(&policy, "seen drift", |status| {
        status["summary"]["failing"] == 1
    });
    assert_eq!(condition(&status, "Ready")["status"], "False", "{status:#}");
    assert_eq!(condition(&status, "Ready")["reason"], "EvidenceLogFailing");
    program.metric_becomes("evidence_failing", &[], 1.0);
    assert!(world.get(&path).is_none());
    disk.free();
    world.appears(&path);
    let status = world.status(&policy, "a passing policy", |status| {
        status["summary"]["passing"] == "1/1" && condition(status, "Ready")["status"] == "True"
    });
    assert_eq!(status["controls"][0]["lastDriftEnded"], "PutBack");
    assert!(program.stop().success());
    let log = replica.log();
    let place = |kind: &str| log.iter().position(|entry| entry["type"] == kind).unwrap();
    assert!(place("transition") < place("intent"));
    assert_eq!(replica.said("intent").len(), 1);
}
