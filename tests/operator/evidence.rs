//! The evidence log as an auditor meets it: verified offline, compared with what was kept elsewhere, read by others' tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::program::{Program, Replica, output};
use super::world::{Turn, World, condition, eventually, network_policies, turn};
use crate::harness::{free_port, fsck};

const LOGS: &str = "/apis/probity.dev/v1alpha1/evidencelogs";

pub(super) fn evidence_log(replica: &Replica) -> String {
    format!("{LOGS}/{}.probity-0", replica.namespace())
}

/// Runs an operator while drift happens, and stops it.
pub(super) fn some_drift(world: &Turn, replica: &Replica) {
    let (namespace, _) = world.denying_namespace();
    let policy = world.default_deny("Enforce", &namespace);
    let mut program = replica.start();
    program.ready();
    world.settled(&policy);
    world.delete(&format!("{}/deny", network_policies(&namespace)));
    world.appears(&format!("{}/deny", network_policies(&namespace)));
    eventually("an outcome in the log", || {
        let outcomes = replica.said("outcome");
        if outcomes.is_empty() {
            Err("none".to_owned())
        } else {
            Ok(())
        }
    });
    assert!(program.stop().success());
}

/// What `probity verify` prints, and its exit code.
pub(super) fn verified(data: &Path, more: &[&str]) -> (Value, Option<i32>) {
    let data = data.to_str().unwrap();
    let output = output(&[&["verify", "--json", data], more].concat());
    let report = serde_json::from_str(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", output.stdout, output.stderr));
    (report, output.code)
}

pub(super) struct Kept {
    folder: tempfile::TempDir,
    pub(super) data: PathBuf,
}

impl Kept {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        Self { folder, data }
    }

    pub(super) fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

pub(super) fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(status.unwrap().success());
}

#[test]
fn a_log_is_verified_offline_against_what_the_api_server_keeps() {
    let world = turn();
    let kept = Kept::new();
    let anchors = kept.beside("anchors");
    let audit = world.namespace("audit");
    let replica = Replica::new(&world).logging_to(&kept.data).with_args(&[
        &format!("--anchor-namespace={audit}"),
        &format!("--anchor-dir={}", anchors.display()),
    ]);
    some_drift(&world, &replica);

    let log = world.get(&evidence_log(&replica)).unwrap();
    let status = &log["status"];
    assert_eq!(condition(status, "Intact")["status"], "True");
    assert_eq!(condition(status, "Published")["status"], "True");
    assert_eq!(condition(status, "ExternallyAnchored")["status"], "True");
    let map = format!(
        "/api/v1/namespaces/{audit}/configmaps/probity-evidence-{}.probity-0",
        replica.namespace()
    );
    let map = world.get(&map).unwrap();
    assert_eq!(map["data"]["checkpoint"], status["checkpoint"]);

    let object = kept.file("log.json", &log.to_string());
    let note = kept.file("map.note", map["data"]["checkpoint"].as_str().unwrap());
    let trust = [
        "--key",
        status["key"].as_str().unwrap(),
        "--anchor",
        &object,
        "--anchor",
        &note,
        "--anchor",
        anchors.to_str().unwrap(),
    ];
    let (report, code) = verified(&kept.data, &trust);
    assert_eq!(
        (&report["verified"], code),
        (&json!(true), Some(0)),
        "{report:#}"
    );
    assert_eq!(report["logs"][0]["anchored"], status["size"]);
    assert_eq!(report["logs"][0]["anchors"].as_array().unwrap().len(), 3);
    assert_eq!(report["logs"][0]["openIntents"], 0);

    // The same, as an archive.
    let archive = kept.beside("log.tgz");
    let tar = Command::new("tar")
        .args([
            "-C",
            kept.data.to_str().unwrap(),
            "-czf",
            archive.to_str().unwrap(),
            "epochs",
        ])
        .status();
    assert!(tar.unwrap().success());
    let (report, code) = verified(&archive, &trust);
    assert_eq!(
        (&report["verified"], code),
        (&json!(true), Some(0)),
        "{report:#}"
    );

    one_entry_is_proved_without_the_log(&kept, status);

    // Somebody edits an entry.
    let epoch = fs::read_dir(kept.data.join("epochs"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let segment = fs::read_dir(epoch.join("wal"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut bytes = fs::read(&segment).unwrap();
    bytes[200] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let (report, code) = verified(&kept.data, &trust);
    assert_eq!(
        (&report["verified"], code),
        (&json!(false), Some(1)),
        "{report:#}"
    );
}

/// Makes the proof of a deviation, and checks it with nothing but the key and a checkpoint.
fn one_entry_is_proved_without_the_log(kept: &Kept, status: &Value) {
    let data = kept.data.to_str().unwrap();
    let log = output(&["log", "--json", "--type=transition", "--data-dir", data]);
    let opened = log.stdout.lines().find_map(|line| {
        let entry: Value = serde_json::from_str(line).unwrap();
        entry["deviation"].is_string().then_some(entry)
    });
    let opened = opened.expect("a deviation");
    let id = opened["deviation"].as_str().unwrap();
    let file = kept.beside("finding.tlog-proof");
    let file = file.to_str().unwrap();
    let made = output(&["prove", id, "--log", data, "--out", file]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);

    let anchor = kept.file("anchor", status["checkpoint"].as_str().unwrap());
    let key = status["key"].as_str().unwrap();
    let check = ["verify", "--proof", file, "--key", key, "--anchor", &anchor];
    let checked = output(&[&check[..], &["--json"]].concat());
    let said: Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(
        (&said["verified"], checked.code),
        (&json!(true), Some(0)),
        "{said:#}"
    );
    assert_eq!(said["entry"], opened);
    assert_eq!(said["proved"].as_array().unwrap().len(), 2, "{said:#}");

    // Without the key nothing is proved; with another entry in it, it is no proof.
    assert_eq!(output(&["verify", "--proof", file]).code, Some(2));
    let text = fs::read_to_string(file).unwrap();
    let index = format!("index {}\n", opened["seq"]);
    assert!(text.contains(&index));
    fs::write(file, text.replace(&index, "index 0\n")).unwrap();
    let checked = output(&check);
    assert_eq!(checked.code, Some(1), "{}", checked.stdout);
    assert!(checked.stdout.contains("WRONG: "), "{}", checked.stdout);
    let far = output(&["prove", "123456", "--log", data]);
    assert_eq!(far.code, Some(2));
    assert!(
        far.stderr.contains("the checkpoint covers"),
        "{}",
        far.stderr
    );
}

#[test]
fn a_volume_that_was_rolled_back_is_found_at_the_start_and_said_everywhere() {
    let world = turn();
    let kept = Kept::new();
    let replica = Replica::new(&world).logging_to(&kept.data);
    some_drift(&world, &replica);
    let backup = kept.beside("backup");
    copy(&kept.data, &backup);
    some_drift(&world, &replica);
    let late = world.get(&evidence_log(&replica)).unwrap()["status"].clone();
    fs::remove_dir_all(&kept.data).unwrap();
    copy(&backup, &kept.data);

    let mut program = replica.start();
    program.ready();
    program.metric_becomes("evidence_log_broken", &[], 1.0);
    let log = world.becomes(&evidence_log(&replica), |log| {
        condition(&log["status"], "Intact")["status"] == "False"
    });
    let status = &log["status"];
    assert_ne!(status["origin"], late["origin"]);
    let message = condition(status, "Intact")["message"].as_str().unwrap();
    assert!(message.contains("rolled back"), "{message}");
    assert!(program.stop().success());

    let epochs = replica.said("epoch");
    assert_eq!(epochs.len(), 2);
    assert_eq!(epochs[1]["before"]["size"], late["size"]);
    assert_eq!(epochs[1]["before"]["root"], late["root"]);
    let anchor = kept.file("late", late["checkpoint"].as_str().unwrap());
    let (report, code) = verified(&kept.data, &["--anchor", &anchor]);
    assert_eq!(code, Some(1), "{report:#}");
    let remarks = report["logs"][1]["remarks"].to_string();
    assert!(remarks.contains("are lost"), "{remarks}");

    // A person has looked into it.
    let origin = status["origin"].as_str().unwrap();
    world.patch(
        &evidence_log(&replica),
        &json!({ "metadata": { "annotations": { "probity.dev/acknowledged": origin } } }),
    );
    let program = replica.start();
    world.becomes(&evidence_log(&replica), |log| {
        condition(&log["status"], "Intact")["status"] == "True"
    });
    program.metric_becomes("evidence_log_broken", &[], 0.0);
    assert!(program.stop().success());
}

#[test]
fn a_key_is_replaced_in_good_order_and_whoever_trusts_the_old_one_trusts_the_log() {
    let world = turn();
    let kept = Kept::new();
    let replica = Replica::new(&world).logging_to(&kept.data);
    some_drift(&world, &replica);
    let before = world.get(&evidence_log(&replica)).unwrap()["status"].clone();
    let made = output(&["new-key", "--data-dir", kept.data.to_str().unwrap()]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    some_drift(&world, &replica);
    let log = world.becomes(&evidence_log(&replica), |log| {
        log["status"]["key"] != before["key"]
    });
    let status = &log["status"];
    assert_ne!(status["origin"], before["origin"]);
    // Nothing was lost, and nobody has to look into anything.
    assert_eq!(condition(status, "Intact")["status"], "True", "{log:#}");
    assert_eq!(replica.said("keyChange").len(), 1);
    let old = before["key"].as_str().unwrap();
    let (report, code) = verified(&kept.data, &["--key", old]);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report["logs"].as_array().unwrap().len(), 2, "{report:#}");
}

#[test]
fn tools_of_others_read_the_log_over_http() {
    let world = turn();
    let kept = Kept::new();
    let port = free_port().unwrap();
    let replica = Replica::new(&world)
        .logging_to(&kept.data)
        .with_args(&[&format!("--log-address=127.0.0.1:{port}")]);
    let mut program = replica.start();
    program.ready();
    many_entries(&world, &program);
    let log = world.becomes(&evidence_log(&replica), |log| {
        log["status"]["size"].as_i64() > Some(0)
    });
    let key = kept.file("key", log["status"]["key"].as_str().unwrap());
    eventually("a log that Tessera's fsck finds whole", || {
        let fsck = Command::new(fsck().unwrap())
            .args([
                &format!("--storage_url=http://127.0.0.1:{port}/"),
                &format!("--public_key={key}"),
                "--ui=false",
            ])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&fsck.stderr).into_owned();
        // It ends in good order whatever it found.
        if said.contains("Successfully fsck'd log") {
            Ok(())
        } else {
            Err(said)
        }
    });
    assert!(program.stop().success());
}

/// More than a bundle holds: each Ingress without TLS is a failure.
fn many_entries(world: &World, program: &Program) {
    let namespace = world.namespace("many");
    world.policy(&json!({
        "scope": { "include": [namespace] }, "controls": { "encIngressTls": {} },
    }));
    let path = format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses");
    for n in 0..260 {
        let host = format!("h{n}.example");
        world.create(
            &path,
            &json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                "metadata": { "name": format!("i{n}") },
                "spec": { "rules": [{ "host": host }] },
            }),
        );
    }
    eventually("many entries", || {
        let entries = program.metric("evidence_log_size", &[]);
        if entries > 257.0 {
            Ok(())
        } else {
            Err(format!("{entries}"))
        }
    });
}
