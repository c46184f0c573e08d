//! What an auditor gets from the log of a real operator, without a cluster.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::program::{Replica, output};
use super::world::turn;

/// Runs a command and returns what it printed.
fn printed(arguments: &[&str]) -> String {
    let output = output(arguments);
    assert_eq!(
        output.code,
        Some(0),
        "{arguments:?}: {}{}",
        output.stdout,
        output.stderr
    );
    output.stdout
}

#[test]
#[allow(clippy::too_many_lines, reason = "one story from a policy to its pack")]
fn a_period_is_told_sampled_and_packed_from_the_log_alone() {
    let world = turn();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let bare = world.namespace("bare");
    let replica = Replica::new(&world).logging_to(&folder.path().join("data"));
    let program = replica.start();
    let policy = world.policy(&json!({
        "scope": { "include": [bare] }, "controls": { "netNamespaceDefaultDeny": {} },
    }));
    world.status(&policy, "a failing subject", |status| {
        status["summary"]["failing"] == 1
    });
    assert!(program.stop().success());

    let today = Timestamp::now().to_string()[..10].to_owned();
    let period = json!({
        "apiVersion": "probity.dev/v1alpha1", "kind": "AuditPeriod", "metadata": { "name": "today" },
        "spec": {
            "start": today, "end": today, "timeZone": "UTC", "policies": [policy],
            "controlMatrix": [{ "id": "N-1", "wording": "=denied", "controls": ["net-namespace-default-deny"] }],
        },
    });
    let (file, data, pack) = (path("period.yaml"), path("data"), path("pack"));
    std::fs::write(&file, period.to_string()).unwrap();

    let told: Value =
        serde_json::from_str(&printed(&["period", &file, "--log", &data, "--json"])).unwrap();
    let control = &told["controls"][0];
    assert_eq!(control["control"], "net-namespace-default-deny");
    assert_eq!(
        control["population"],
        json!({ "opening": 0, "added": 1, "removed": 0, "closing": 1 })
    );
    assert_eq!(
        (
            &control["deviations"]["count"],
            &control["deviations"]["open"],
            &control["deviations"]["beforeObservation"]
        ),
        (&json!(1), &json!(1), &json!(1)),
        "{control}"
    );
    // No heartbeat had come yet, so nothing proves that anybody looked.
    assert_eq!(control["operated"], "NotOperated");
    let table = printed(&["period", &file, "--log", &data]);
    assert!(
        table.contains("net-namespace-default-deny") && table.contains("1 (1 open)"),
        "{table}"
    );
    let readiness = printed(&["period", &file, "--log", &data, "--readiness"]);
    assert_eq!(
        readiness
            .lines()
            .filter(|line| line.starts_with(['C', 'A', 'P']))
            .count(),
        62,
        "61, and what is tested against\n{readiness}"
    );

    let draw = [
        "sample",
        &file,
        "--log",
        &data,
        "--control",
        "net-namespace-default-deny",
        "--seed",
        "s",
        "--count",
        "5",
    ];
    let drawn = printed(&draw);
    assert!(
        drawn.contains("Population: 1 subject,") && drawn.contains(&format!("/Namespace//{bare}")),
        "{drawn}"
    );
    assert_eq!(printed(&draw), drawn);

    printed(&["report", "--period", &file, "--log", &data, "--out", &pack]);
    let sums = std::process::Command::new("sha256sum")
        .args(["--check", "--quiet", "SHA256SUMS"])
        .current_dir(&pack)
        .output()
        .unwrap();
    assert!(
        sums.status.success(),
        "{}",
        String::from_utf8_lossy(&sums.stdout)
    );
    let key = std::fs::read_dir(format!("{pack}/keys"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    printed(&[
        "verify",
        &format!("{pack}/log"),
        "--key",
        &key.display().to_string(),
    ]);
    let private = std::fs::read(format!("{data}/key")).unwrap();
    let found = grep(std::path::Path::new(&pack), &private);
    assert_eq!(found, None, "the private key stays where it is");
    let deviations = std::fs::read_to_string(format!("{pack}/deviations.csv")).unwrap();
    assert_eq!(deviations.lines().count(), 2, "{deviations}");
}

/// A file below a folder that holds some bytes.
fn grep(folder: &std::path::Path, bytes: &[u8]) -> Option<std::path::PathBuf> {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if let Some(found) = grep(&path, bytes) {
                return Some(found);
            }
        } else if std::fs::read(&path)
            .unwrap()
            .windows(bytes.len())
            .any(|part| part == bytes)
        {
            return Some(path);
        }
    }
    None
}

#[test]
fn what_is_asked_wrongly_is_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (file, empty) = (path("period.yaml"), path("empty"));
    std::fs::create_dir(&empty).unwrap();
    let period = |start: &str, end: &str, zone: &str| {
        let period = json!({
            "apiVersion": "probity.dev/v1alpha1", "kind": "AuditPeriod", "metadata": { "name": "h1" },
            "spec": { "start": start, "end": end, "timeZone": zone },
        });
        std::fs::write(&file, period.to_string()).unwrap();
    };
    let refused = |arguments: &[&str]| {
        let output = output(arguments);
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (Some(2), ""),
            "{arguments:?}"
        );
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        output.stderr
    };
    period("2026-06-30", "2026-01-01", "UTC");
    assert!(refused(&["period", &file, "--log", &empty]).contains("exchange the dates"));
    period("2026-01-01", "2026-06-30", "Vienna");
    assert!(refused(&["period", &file, "--log", &empty]).contains("IANA"));
    period("2026-01-01", "2026-06-30", "UTC");
    assert!(
        refused(&["period", &file, "--log", &path("nowhere")])
            .contains("is neither a folder nor an archive")
    );
    assert!(refused(&["period", "h1", "--log", &empty]).contains("holds no evidence log"));
    std::fs::create_dir(path("empty/wal")).unwrap();
    assert!(refused(&["period", "h1", "--log", &empty]).contains("knows no AuditPeriod"));
    std::fs::write(&file, "kind: [").unwrap();
    assert!(refused(&["period", &file, "--log", &empty]).contains("holds no AuditPeriod"));
}
