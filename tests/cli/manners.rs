//! Pipes that close, terminals that are narrow, the name under which the program is called.

use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::operator::program::{file, output};

#[test]
fn a_closed_pipe_ends_no_command_in_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let manifests = folder.path().join("many.yaml");
    let one = |n| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: d{n} }}\nspec: {{ template: {{ spec: {{ hostNetwork: true }} }} }}\n---\n"
        )
    };
    let text: String = (0..500).map(one).collect();
    std::fs::write(&manifests, text).unwrap();
    let manifests = manifests.display().to_string();
    for args in [
        &["controls"][..],
        &["crds"],
        &["baseline"],
        &["explain", "net-policy-dead"],
        &["completions", "bash"],
        &["scan", "--help"],
        &["scan", "-f", &manifests, "--all", "--fail-on", "none"],
        &["scan", "-f", &manifests, "-o", "sarif", "--fail-on", "none"],
    ] {
        let mut child = Command::new(file())
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // As `head` does: it has seen enough before anything was written.
        drop(child.stdout.take());
        let mut said = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        let status = child.wait().unwrap();
        assert_eq!((status.code(), &*said), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn output_that_can_not_be_written_is_a_failure() {
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = Command::new(file())
        .arg("controls")
        .stdout(full)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("standard output can't be written: No space left"),
        "{said}"
    );
}

#[test]
fn as_a_plugin_of_kubectl_it_is_called_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("kubectl-probity");
    symlink(file(), &plugin).unwrap();
    let help = Command::new(&plugin)
        .args(["scan", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(help.contains("Usage: kubectl probity scan"), "{help}");
    // And kubectl finds it.
    let bin = crate::harness::ensure(crate::harness::Group::Kubernetes).unwrap();
    let path = format!(
        "{}:{}",
        folder.path().display(),
        std::env::var("PATH").unwrap()
    );
    let called = Command::new(bin.join("kubectl"))
        .args(["probity", "controls", "--family", "network"])
        .env("PATH", path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&called.stdout);
    assert!(said.contains("net-policy-dead"), "{said}");
}

#[test]
fn colours_are_for_terminals_and_whoever_asks() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("one.yaml");
    std::fs::write(
        &manifest,
        "apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec: { hostNetwork: true }\n",
    )
    .unwrap();
    let manifest = manifest.display().to_string();
    let scan = |more: &[&str]| {
        let args = ["scan", "-f", &manifest, "--fail-on", "none"];
        output(&[&args[..], more].concat()).stdout
    };
    assert!(!scan(&[]).contains('\u{1b}'));
    assert!(scan(&["--color", "always"]).contains('\u{1b}'));
}

#[test]
fn standard_input_is_read_as_helm_writes_it() {
    let bin = crate::harness::ensure(crate::harness::Group::Helm).unwrap();
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/probity");
    let script = format!(
        "'{}' template probity '{chart}' | '{}' scan -f - -o json --fail-on none",
        bin.join("helm").display(),
        file().display()
    );
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let (_, controls) = super::found(&String::from_utf8(output.stdout).unwrap());
    let judged = controls.iter().filter(|(_, outcome)| outcome == "Pass");
    assert!(judged.count() > 5, "{controls:#?}");
    // The templates themselves are none.
    let templates = format!("{chart}/templates/statefulset.yaml");
    let refused = crate::operator::program::output(&["scan", "-f", &templates]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.contains("is a template, not a manifest"),
        "{}",
        refused.stderr
    );
    assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
}

#[test]
fn what_a_log_says_fits_a_narrow_terminal_and_is_a_line_in_a_pipe() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/evidence/formats/v2");
    let path = |name: &str| kept.join(name).display().to_string();
    let (data, period) = (path("data"), path("period.yaml"));
    let log = ["log", "--data-dir", &data];
    let known = output(&["period", &period, "--log", &data, "--json"]).stdout;
    let known: serde_json::Value = serde_json::from_str(&known).unwrap();
    let control = known["controls"][0]["control"].as_str().unwrap();
    let sample = ["sample", &period, "--log", &data, "--control", control];
    let sample = [&sample[..], &["--seed", "s", "--count", "3"]].concat();
    for args in [
        &log[..],
        &["verify", &data],
        &sample,
        &["period", &period, "--log", &data],
        &["undo", "--data-dir", &data, "--since", "3650d"],
    ] {
        let printed = |columns: Option<&str>| {
            let mut command = Command::new(file());
            command.args(args).env_remove("COLUMNS");
            command.envs(columns.map(|columns| ("COLUMNS", columns)));
            let printed = command.output().unwrap();
            assert_eq!(printed.status.code(), Some(0), "{args:?}");
            String::from_utf8(printed.stdout).unwrap()
        };
        let is_wide = |line: &&str| line.chars().count() > 40;
        let whole = printed(None);
        assert!(
            whole.lines().any(|line| is_wide(&line)),
            "{args:?}: {whole}"
        );
        let narrow = printed(Some("40"));
        for line in narrow.lines().filter(is_wide) {
            // A word is not broken, nor is a command: it is to be copied.
            let said = line.trim_start().trim_start_matches("- ");
            let one = said.split_whitespace().count() == 1;
            assert!(one || line.starts_with("kubectl"), "{args:?}: {line}");
        }
        let words = |text: &str| -> Vec<String> {
            let words = text.split_whitespace().filter(|word| *word != "#");
            words.map(str::to_owned).collect()
        };
        if args[0] != "period" {
            assert_eq!(words(&narrow), words(&whole), "{args:?}: no word is lost");
        }
    }
}
