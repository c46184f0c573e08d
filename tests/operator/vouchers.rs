//! Timestamps and witnesses, judged by openssl and by the libraries of public witnesses.

use std::fs;
use std::path::{Path, PathBuf};

use probity::evidence::timestamp::{Authorities, question};
use serde_json::json;

use super::evidence::{Kept, evidence_log, some_drift, verified};
use super::program::{Replica, output};
use super::world::{condition, eventually, turn};
use crate::harness::{Authority, Kind, Process, free_port, witness};

const FILE: &[u8] = b"a signed checkpoint\n";

fn trusting(authority: &Authority) -> Authorities {
    Authorities::read(&fs::read_to_string(authority.root()).unwrap()).unwrap()
}

#[test]
fn responses_of_openssl_are_accepted_and_a_changed_byte_never_tells_another_time() {
    for (key, digest) in [
        ("rsa:2048", "sha256"),
        ("rsa:2048", "sha512"),
        ("prime256v1", "sha256"),
        ("secp384r1", "sha384"),
    ] {
        let authority = Authority::new(Kind {
            key,
            digest,
            ..Kind::USUAL
        })
        .unwrap();
        let asked = question(FILE, 7).unwrap();
        let response = authority.answer(&asked.bytes).unwrap();
        asked.is_answered_by(&response).unwrap();
        // What only lies between is trusted for what a root says of it, never by itself.
        let between = fs::read_to_string(authority.root().with_file_name("tsa.pem")).unwrap();
        let refused = Authorities::read(&between).unwrap_err();
        assert!(refused.contains("no root"), "{refused}");
        let trusted = trusting(&authority);
        let time = trusted.check(&response, FILE);
        let time = time.unwrap_or_else(|why| panic!("{key} {digest}: {why}"));
        let age = jiff::Timestamp::now().duration_since(time);
        assert!(age.as_secs().abs() < 600, "{age:?}");

        let mut accepted = 0;
        assert!(trusted.check(&response, b"another file").is_err());
        assert!(
            question(FILE, 9)
                .unwrap()
                .is_answered_by(&response)
                .is_err()
        );
        for at in 0..response.len() {
            let mut changed = response.clone();
            changed[at] ^= 1;
            // Some bytes are no part of what is signed, such as those of a root that the auditor has anyway.
            if let Ok(changed) = trusted.check(&changed, FILE) {
                assert_eq!(changed, time, "byte {at}");
                accepted += 1;
            }
        }
        assert!(
            accepted < response.len() / 2,
            "{accepted} of {}",
            response.len()
        );
    }
}

#[test]
fn strangers_and_certificates_for_something_else_are_refused() {
    let (ours, other) = (
        Authority::new(Kind::USUAL).unwrap(),
        Authority::new(Kind::USUAL).unwrap(),
    );
    let asked = question(FILE, 7).unwrap();
    let response = other.answer(&asked.bytes).unwrap();
    assert!(
        trusting(&ours)
            .check(&response, FILE)
            .unwrap_err()
            .contains("no authority that you trust")
    );
    let servers = Authority::new(Kind {
        purpose: "servers",
        ..Kind::USUAL
    });
    let servers = servers.unwrap();
    // openssl itself refuses to stamp with such a certificate.
    assert!(
        servers.answer(&asked.bytes).is_err() || trusting(&servers).check(&response, FILE).is_err()
    );
}

fn heads(data: &Path) -> Vec<PathBuf> {
    let epoch = fs::read_dir(data.join("epochs"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let heads = fs::read_dir(epoch.path().join("checkpoints")).unwrap();
    let mut heads: Vec<_> = heads.map(|file| file.unwrap().path()).collect();
    heads.retain(|path| {
        path.extension()
            .is_some_and(|ending| ending == "checkpoint")
    });
    heads.sort();
    heads
}

#[test]
fn a_timestamp_lies_beside_the_checkpoint_and_openssl_agrees() {
    let world = turn();
    let kept = Kept::new();
    let anchors = kept.beside("anchors");
    let authority = Authority::new(Kind::USUAL).unwrap();
    let replica = Replica::new(&world).logging_to(&kept.data).with_args(&[
        &format!("--timestamp-url={}", authority.serve().unwrap()),
        &format!("--anchor-dir={}", anchors.display()),
    ]);
    let mut program = replica.start();
    program.ready();
    let log = world.becomes(&evidence_log(&replica), |log| {
        log["status"]["size"].as_i64() > Some(0)
    });
    assert!(program.stop().success());
    assert!(
        log["status"]["anchors"][0]["target"]
            .as_str()
            .unwrap()
            .starts_with("timestamp ")
    );
    let head = heads(&kept.data).remove(0);
    authority
        .accepts(&head.with_extension("tsr"), &head)
        .unwrap();

    let root = authority.root();
    let trust = ["--timestamp-ca", root.to_str().unwrap()];
    let (report, code) = verified(&kept.data, &trust);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(
        report["logs"][0]["vouchers"][0]["who"],
        "a timestamp authority"
    );
    assert!(report["proved"].to_string().contains("timestamp authority"));
    // The folder of anchors has it too, and says so of a log without.
    let bare = kept.beside("bare");
    super::evidence::copy(&kept.data, &bare);
    for epoch in fs::read_dir(bare.join("epochs")).unwrap() {
        fs::remove_dir_all(epoch.unwrap().path().join("checkpoints")).unwrap();
    }
    let (report, _) = verified(
        &bare,
        &[trust[0], trust[1], "--anchor", anchors.to_str().unwrap()],
    );
    assert_eq!(
        report["logs"][0]["vouchers"][0]["who"], "a timestamp authority",
        "{report:#}"
    );

    // Without the certificate it is said that nobody looked; with a stranger's, it is wrong.
    let (report, code) = verified(&kept.data, &[]);
    assert_eq!(
        (&report["logs"][0]["uncheckedTimestamps"], code),
        (&json!(1), Some(0))
    );
    let stranger = Authority::new(Kind::USUAL).unwrap();
    let root = stranger.root();
    let (report, code) = verified(&kept.data, &["--timestamp-ca", root.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{report:#}");
    let said = report["logs"][0]["problems"].to_string();
    assert!(
        said.contains(".tsr") && said.contains("no authority that you trust"),
        "{said}"
    );
}

#[test]
fn a_witness_signs_what_goes_on_from_what_it_signed_and_the_signature_is_kept_everywhere() {
    let world = turn();
    let kept = Kept::new();
    let port = free_port().unwrap();
    let (log_key, output_file) = (kept.beside("log.key"), kept.beside("witness.log"));
    let arguments = [format!("127.0.0.1:{port}"), log_key.display().to_string()];
    let witness = Process::spawn("witness", &witness().unwrap(), &arguments, &output_file).unwrap();
    let key = eventually("the witness's key", || {
        let text = fs::read_to_string(&output_file).unwrap_or_default();
        let line = text
            .lines()
            .find(|line| line.starts_with("witness.example"));
        line.map(str::to_owned).ok_or(text.clone())
    });
    let replica = Replica::new(&world).logging_to(&kept.data).with_args(&[
        &format!("--witness-url=http://127.0.0.1:{port}/"),
        &format!("--witness-key={key}"),
    ]);
    // The witness has not heard of this log yet: that is told, and holds nothing up.
    let mut program = replica.start();
    program.ready();
    let log = world.becomes(&evidence_log(&replica), |log| {
        log["status"]["size"].as_i64() > Some(0)
    });
    let problem = log["status"]["anchors"][0]["problem"].as_str().unwrap();
    assert!(problem.contains("doesn't know the log"), "{problem}");
    fs::write(&log_key, log["status"]["key"].as_str().unwrap()).unwrap();
    assert!(program.stop().success());

    for _ in 0..2 {
        some_drift(&world, &replica);
        let log = world.get(&evidence_log(&replica)).unwrap();
        let anchor = &log["status"]["anchors"][0];
        assert_eq!(anchor["size"], log["status"]["size"], "{log:#}");
        assert_eq!(
            condition(&log["status"], "ExternallyAnchored")["status"],
            "False"
        );
        let note = log["status"]["checkpoint"].as_str().unwrap();
        assert_eq!(note.matches("\u{2014} ").count(), 2, "{note}");
        let (report, code) = verified(&kept.data, &["--witness-key", &key]);
        assert_eq!(code, Some(0), "{report:#}");
        let vouchers = report["logs"][0]["vouchers"].as_array().unwrap();
        let last = vouchers
            .iter()
            .map(|voucher| voucher["size"].as_i64())
            .max()
            .unwrap();
        assert_eq!(last, log["status"]["size"].as_i64());
    }

    // A signature that is not the witness's.
    let head = heads(&kept.data).pop().unwrap();
    let note = fs::read_to_string(&head).unwrap();
    let line = note.lines().last().unwrap();
    let mut forged = line.to_owned();
    forged.replace_range(line.len() - 9..line.len() - 4, "AAAAA");
    fs::write(&head, note.replace(line, &forged)).unwrap();
    let (report, code) = verified(&kept.data, &["--witness-key", &key]);
    assert_eq!(code, Some(1), "{report:#}");
    drop(witness);
}

#[test]
fn keys_and_certificates_that_are_none_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    for (argument, value) in [("--witness-key", "a+b"), ("--timestamp-ca", "/nowhere.pem")] {
        let output = output(&["verify", data, argument, value]);
        assert_eq!(output.code, Some(2));
        assert!(output.stderr.contains(argument), "{}", output.stderr);
        assert_eq!(output.stderr.trim().lines().count(), 1, "{}", output.stderr);
    }
}
