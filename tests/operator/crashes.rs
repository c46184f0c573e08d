//! What a crash or a full disk leaves behind.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::program::{Program, Replica};
use super::world::{POLICIES, World, condition, eventually, turn};

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
        eventually("complete log", || {
            check(&replica.log(), kills + 1)
                .map_err(|why| format!("{why}\n{}", told(&replica, &program)))
        });
        assert!(
            replica.log_lines().starts_with(&died),
            "entries were lost or altered"
        );
    }
    world.settled(&policy);
    assert!(program.stop().success());
    check(&replica.log(), MOMENTS.len()).unwrap();
}

/// The end of what was logged, for error messages.
fn told(replica: &Replica, program: &Program) -> String {
    let lines = replica.log_lines();
    let last = &lines[lines.len().saturating_sub(12)..];
    format!("{}\n{}", last.join("\n"), program.tail())
}

/// No entry is missing, no intent open, each crash is a gap, and all is well in the end.
fn check(log: &[Value], kills: usize) -> Result<(), String> {
    let of =
        |kind: &str| -> Vec<&Value> { log.iter().filter(|entry| entry["type"] == kind).collect() };
    for (place, entry) in log.iter().enumerate() {
        assert_eq!(entry["seq"].as_u64(), u64::try_from(place).ok());
    }
    let outcomes = of("outcome");
    for intent in of("intent") {
        let told = outcomes
            .iter()
            .filter(|outcome| outcome["intent"] == intent["id"]);
        let told = told.count();
        assert!(told < 2, "{intent} has {told} outcomes");
        if told == 0 {
            return Err(format!("{intent} is open"));
        }
    }
    let gaps = of("gap")
        .into_iter()
        .filter(|gap| gap["scope"] == "all")
        .count();
    assert!(gaps <= kills, "{gaps} gaps after {kills} crashes");
    if (gaps, of("start").len()) != (kills, kills + 1) {
        return Err(format!("{gaps} gaps after {kills} crashes"));
    }
    match of("transition").last() {
        Some(last) if last["to"] == "Pass" => Ok(()),
        last => Err(format!("the last transition is {last:?}")),
    }
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
            .args(["-t", "tmpfs", "-o", "size=4m,mode=0700", "probity-test"])
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

    /// Takes all the space that is left.
    fn fill(&self) {
        let mut filler = File::options()
            .create(true)
            .append(true)
            .open(self.filler())
            .unwrap();
        let written = filler.write_all(&vec![0_u8; 8 << 20]);
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

/// So long a full log must stay full: it is tried again every two seconds.
const FULL: Duration = Duration::from_secs(7);

/// The log has taken space ahead of what it says: makes it say things until that is used up.
fn fill_the_log(world: &World, disk: &SmallDisk, policy: &str) {
    let path = format!("{POLICIES}/{policy}");
    let (mut said, mut since) = (0, Instant::now());
    eventually("full log", || {
        // A retry gives up what was laid out: that is taken too.
        disk.fill();
        let status = world.get(&path).unwrap()["status"].clone();
        let failing = condition(&status, "Ready")["reason"] == "EvidenceLogFailing";
        if failing && since.elapsed() > FULL {
            return Ok(());
        }
        if !failing {
            since = Instant::now();
            said += 1;
            world.patch(&path, &talkative(said));
        }
        Err(format!("{status:#}"))
    });
}

/// A change of about 28 kB, in a control that has nothing to do with the test.
fn talkative(said: usize) -> Value {
    let reason = format!("{said:0>500}");
    let allowed = |n| json!({ "kind": "User", "name": format!("{n:0>500}"), "reason": reason });
    let allowed: Vec<Value> = (0..28).map(allowed).collect();
    let control = json!({ "mode": "Observe", "allowedSubjects": allowed });
    json!({ "spec": { "controls": { "rbacClusterAdminAllowlist": control } } })
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
    fill_the_log(&world, &disk, &policy);
    world.delete(&path);
    let status = world.status(&policy, "seen drift", |status| {
        status["summary"]["failing"] == 1
    });
    assert_eq!(condition(&status, "Ready")["status"], "False", "{status:#}");
    assert_eq!(condition(&status, "Ready")["reason"], "EvidenceLogFailing");
    program.metric_becomes("evidence_failing", &[], 1.0);
    assert!(world.get(&path).is_none());
    disk.free();
    eventually("policy put back", || {
        let status = world.get(&format!("{POLICIES}/{policy}")).unwrap()["status"].take();
        let told = || format!("{status:#}\n{}", program.tail());
        world.get(&path).map(drop).ok_or_else(told)
    });
    let status = world.status(&policy, "a passing policy", |status| {
        status["summary"]["failing"] == 0 && condition(status, "Ready")["status"] == "True"
    });
    let mut controls = status["controls"].as_array().unwrap().iter();
    assert!(controls.any(|control| control["lastDriftEnded"] == "PutBack"));
    assert!(program.stop().success());
    let log = replica.log();
    let place = |kind: &str| log.iter().position(|entry| entry["type"] == kind).unwrap();
    assert!(place("transition") < place("intent"));
    assert_eq!(replica.said("intent").len(), 1);
}
