//! Heads and copies of the log in other trust domains: what an auditor finds there, and what happens while one is away.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::evidence::{Kept, evidence_log, some_drift, verified};
use super::program::Replica;
use super::world::{World, condition, turn};
use crate::harness::{S3, Signal};

fn bucket_args(s3: &S3) -> [String; 2] {
    [
        format!("--anchor-bucket=s3://{}/prod", S3::BUCKET),
        format!("--anchor-endpoint={}", s3.endpoint()),
    ]
}

/// The copy of the log of a replica.
fn copied(s3: &S3, replica: &Replica) -> PathBuf {
    let clusters = s3.files().join("prod");
    let cluster = fs::read_dir(clusters).unwrap().next().unwrap().unwrap();
    cluster
        .path()
        .join(format!("{}.probity-0", replica.namespace()))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn anchor<'a>(log: &'a Value, kind: &str) -> &'a Value {
    let anchors = log["status"]["anchors"].as_array().unwrap();
    let is_it = |anchor: &&Value| anchor["target"].as_str().unwrap().starts_with(kind);
    anchors.iter().find(is_it).unwrap()
}

fn forget(world: &World, replica: &Replica, data: &Path) {
    fs::remove_dir_all(data).unwrap();
    world.delete(&evidence_log(replica));
}

#[test]
fn a_bucket_with_object_lock_holds_what_an_auditor_verifies_and_outlives_the_cluster() {
    let world = turn();
    let kept = Kept::new();
    let s3 = S3::start().unwrap();
    let [bucket, endpoint] = bucket_args(&s3);
    let replica = Replica::new(&world)
        .logging_to(&kept.data)
        .with_args(&[&bucket, &endpoint])
        .with_environment(S3::environment());
    some_drift(&world, &replica);

    let log = world.get(&evidence_log(&replica)).unwrap();
    let status = &log["status"];
    let external = condition(status, "ExternallyAnchored");
    assert_eq!(external["status"], "True", "{log:#}");
    assert_eq!(anchor(&log, "bucket")["size"], status["size"]);
    assert!(!log.to_string().contains("planted"));

    let copy = copied(&s3, &replica);
    let key = status["key"].as_str().unwrap();
    let object = kept.file("log.json", &log.to_string());
    let (report, code) = verified(&copy, &["--key", key, "--anchor", &object]);
    assert_eq!(
        (&report["verified"], code),
        (&json!(true), Some(0)),
        "{report:#}"
    );
    assert_eq!(report["logs"][0]["size"], status["size"]);

    // Whoever holds the bucket's own credentials can't take anything away.
    let mut all = Vec::new();
    files(&copy, &mut all);
    let refused = s3.delete(&all[0]).unwrap_err();
    assert!(
        refused.contains("Lock") || refused.contains("AccessDenied"),
        "{refused}"
    );

    // Volume and API object are gone: the bucket alone knows that there was a log.
    forget(&world, &replica, &kept.data);
    let mut program = replica.start();
    program.ready();
    program.metric_becomes("evidence_log_broken", &[], 1.0);
    assert!(program.stop().success());
    let epochs = replica.said("epoch");
    assert_eq!(epochs[0]["before"]["size"], status["size"]);
    let source = epochs[0]["before"]["source"].as_str().unwrap();
    assert!(source.starts_with("bucket s3://"), "{source}");
    let (report, code) = verified(&copied(&s3, &replica), &[]);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report["logs"].as_array().unwrap().len(), 2, "{report:#}");
}

#[test]
fn a_bucket_that_hangs_holds_up_no_start_and_no_other_anchor() {
    let world = turn();
    let kept = Kept::new();
    let audit = world.namespace("audit");
    let s3 = S3::start().unwrap();
    s3.signal(Signal::Stop).unwrap();
    let [bucket, endpoint] = bucket_args(&s3);
    let replica = Replica::new(&world)
        .logging_to(&kept.data)
        .with_args(&[&bucket, &endpoint, &format!("--anchor-namespace={audit}")])
        .with_environment(S3::environment());
    let mut program = replica.start();
    program.ready();
    let map = format!(
        "/api/v1/namespaces/{audit}/configmaps/probity-evidence-{}.probity-0",
        replica.namespace()
    );
    world.appears(&map);
    s3.signal(Signal::Continue).unwrap();
    let log = world.becomes(&evidence_log(&replica), |log| {
        log["status"]["size"].as_i64() > Some(0)
    });
    assert_eq!(anchor(&log, "ConfigMap")["size"], log["status"]["size"]);
    // What hung has gone on meanwhile, or has said why not.
    let bucket = anchor(&log, "bucket");
    assert!(
        bucket["size"] == log["status"]["size"] || bucket["problem"].is_string(),
        "{log:#}"
    );
    assert!(program.stop().success());
    let log = world.get(&evidence_log(&replica)).unwrap();
    assert_eq!(
        condition(&log["status"], "ExternallyAnchored")["status"],
        "True",
        "{log:#}"
    );
}

#[test]
fn a_bucket_that_refuses_is_named_and_the_log_is_not_called_anchored() {
    let world = turn();
    let kept = Kept::new();
    let s3 = S3::start().unwrap();
    let [bucket, endpoint] = bucket_args(&s3);
    let mut wrong = S3::environment();
    wrong[1].1 = "another-planted-secret".to_owned();
    let replica = Replica::new(&world)
        .logging_to(&kept.data)
        .with_args(&[&bucket, &endpoint])
        .with_environment(wrong);
    let mut program = replica.start();
    program.ready();
    program.metric_becomes("evidence_anchor_failing", &[("target", "bucket")], 1.0);
    let log = world.becomes(&evidence_log(&replica), |log| {
        log["status"]["size"].as_i64() > Some(0)
    });
    let anchor = anchor(&log, "bucket");
    assert_eq!(anchor["size"], 0, "it took none");
    let problem = anchor["problem"].as_str().unwrap();
    assert!(problem.contains("SignatureDoesNotMatch"), "{problem}");
    let external = condition(&log["status"], "ExternallyAnchored");
    assert_eq!(external["status"], "False");
    for text in [log.to_string(), program.tail(), replica.log_text()] {
        assert!(!text.contains("planted"), "{text}");
    }
    assert!(program.stop().success());
}
