//! Logs of every version of the format that was ever written, kept in the repository: each build must still verify and
//! report them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::operator::program::output;

fn kept() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/evidence/formats");
    let mut logs: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    logs.sort();
    logs
}

#[test]
fn every_log_that_was_kept_still_verifies() {
    let logs = kept();
    let current = format!("v{}", probity::evidence::entry::VERSION);
    assert!(logs.iter().any(|log| log.ends_with(&current)), "{logs:?}");
    for log in logs {
        let path = |name: &str| log.join(name).display().to_string();
        let (data, key, anchor) = (path("data"), path("key"), path("anchor"));
        let checked = output(&[
            "verify", &data, "--key", &key, "--anchor", &anchor, "--json",
        ]);
        let report: Value = serde_json::from_str(&checked.stdout).unwrap();
        assert_eq!(checked.code, Some(0), "{report:#}");
        assert_eq!(report["logs"][0]["anchored"], report["logs"][0]["size"]);
        // With another key it does not.
        let other = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert_eq!(output(&["verify", &data, "--key", other]).code, Some(1));
    }
}

#[test]
fn every_log_that_was_kept_still_gives_the_numbers_that_it_gave() {
    for log in kept() {
        let path = |name: &str| log.join(name).display().to_string();
        let printed = output(&["log", "--json", "--data-dir", &path("data")]);
        assert_eq!(printed.code, Some(0), "{}", printed.stderr);
        let expected: Value =
            serde_json::from_str(&fs::read_to_string(path("expected.json")).unwrap()).unwrap();
        let mut counted = json!({});
        for line in printed.stdout.lines() {
            let entry: Value = serde_json::from_str(line).unwrap();
            let kind = entry["type"].as_str().unwrap();
            counted[kind] = json!(counted[kind].as_u64().unwrap_or(0) + 1);
        }
        assert_eq!(counted, expected["entries"], "{}", log.display());

        let period = output(&[
            "period",
            &path("period.yaml"),
            "--log",
            &path("data"),
            "--json",
        ]);
        assert_eq!(period.code, Some(0), "{}", period.stderr);
        let summary: Value = serde_json::from_str(&period.stdout).unwrap();
        let control = &summary["controls"][0];
        let numbers = &expected["numbers"];
        for (field, value) in numbers.as_object().unwrap() {
            assert_eq!(control.pointer(field), Some(value), "{field}: {control:#}");
        }
    }
}

/// What a command says of a log that is damaged, or of what is no log.
fn ends(code: i32, arguments: &[&str]) -> String {
    let done = output(arguments);
    let said = format!("{arguments:?}\n{}{}", done.stdout, done.stderr);
    assert_eq!(done.code, Some(code), "{said}");
    said
}

#[test]
fn whoever_asks_for_numbers_is_told_whether_to_trust_them() {
    let kept = kept().pop().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let period = kept.join("period.yaml").display().to_string();
    let (data, tar) = (path("data"), path("log.tar"));
    copy(&kept.join("data"), Path::new(&data));
    fs::write(&tar, archive(&data)).unwrap();
    let [of_folder, of_archive] = [&data, &tar].map(|log| {
        let told = ends(0, &["period", &period, "--log", log, "--json"]);
        told.split_once('\n').unwrap().1.to_owned()
    });
    assert_eq!(of_folder, of_archive);
    let summary: Value = serde_json::from_str(&of_folder).unwrap();
    let control = summary["controls"][0]["control"].as_str().unwrap();
    let sample = ["sample", &period, "--log", &tar, "--control", control];
    let sample = [&sample[..], &["--seed", "s", "--count"]].concat();
    let drawn = ends(0, &[&sample[..], &["1"]].concat());
    assert!(drawn.contains("Drawn 1 with seed"), "{drawn}");
    assert!(ends(2, &[&sample[..], &["0"]].concat()).contains("--count above 0"));
    let unknown = [
        "sample",
        &period,
        "--log",
        &tar,
        "--control",
        "nope",
        "--seed",
        "s",
        "--count",
        "1",
    ];
    assert!(
        ends(2, &unknown).contains(control),
        "it names those that it knows"
    );
    let nowhere = path("nowhere");
    let said = ends(2, &["period", &period, "--log", &nowhere]);
    assert!(said.contains("neither a folder nor an archive"), "{said}");
    let twice = ends(2, &["verify", &data, &tar]);
    assert!(twice.contains("once more"), "{twice}");

    let log = fs::read_dir(Path::new(&data).join("epochs")).unwrap();
    let log = log.map(|log| log.unwrap().path()).next().unwrap();
    let checkpoint = log.join("checkpoint");
    let text = fs::read_to_string(&checkpoint).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let other = if lines[2].starts_with('A') { "B" } else { "A" };
    let root = format!("{other}{}", &lines[2][1..]);
    lines[2] = &root;
    fs::write(&checkpoint, format!("{}\n", lines.join("\n"))).unwrap();
    for told in [
        ends(1, &["period", &period, "--log", &data]),
        ends(
            1,
            &[
                &["sample", &period, "--log", &data, "--control", control][..],
                &["--seed", "s", "--count", "1"],
            ]
            .concat(),
        ),
        ends(
            1,
            &[
                "report",
                "--period",
                &period,
                "--log",
                &data,
                "--out",
                &path("pack"),
            ],
        ),
        ends(1, &["verify", &data]),
    ] {
        assert!(told.contains("NOT VERIFIED"), "{told}");
    }
    let page = fs::read_to_string(folder.path().join("pack/index.html")).unwrap();
    assert!(page.contains("does not verify"), "the first page says so");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let path = file.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}

/// A tar archive of a folder.
fn archive(folder: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_dir_all("log", folder).unwrap();
    archive.into_inner().unwrap()
}
