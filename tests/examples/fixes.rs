//! What is said to mend the failures of the bad example: commands that an API server takes, and words only where a decision
//! is left that nobody else can take.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use probity::cli::words_and_commands;
use serde_json::Value;

use super::expected;
use crate::harness::Cluster;
use crate::operator::program::{Output, output};

/// Controls of which some failure is mended by no command: in files of a node, or by somebody who knows which peers, ports,
/// addresses or pods a workload needs. What is said then is a snippet of what to write.
const DECIDED: [&str; 8] = [
    "enc-etcd-tls",
    "net-cross-namespace-explicit",
    "net-egress-internet-restricted",
    "net-host-network",
    "net-metadata-endpoint-blocked",
    "net-no-allow-all",
    "net-policy-dead",
    "workload-psa-enforced",
];

/// A failure, and what is said to mend it.
struct Fix {
    control: String,
    subject: String,
    text: String,
}

impl Fix {
    /// The commands in it: the whole, or what follows the words.
    fn commands(&self) -> Option<&str> {
        let (_, commands) = words_and_commands(&self.text);
        (!commands.is_empty()).then_some(commands)
    }
}

fn fixes(scan: &Output) -> Vec<Fix> {
    let report: Value = serde_json::from_str(&scan.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", scan.stderr));
    let mut fixes = Vec::new();
    for control in report["controls"].as_array().unwrap() {
        let findings = control["findings"].as_array().unwrap().iter();
        for finding in findings.filter(|finding| finding["outcome"] == "Fail") {
            fixes.push(Fix {
                control: control["id"].as_str().unwrap().to_owned(),
                subject: finding["subject"].to_string(),
                text: finding["fix"].as_str().unwrap_or_default().to_owned(),
            });
        }
    }
    fixes
}

fn policy() -> String {
    expected::folder().join("policy.yaml").display().to_string()
}

#[test]
fn every_failure_of_the_manifests_is_mended_by_a_command_or_is_somebodys_decision() {
    let [good, bad] =
        ["good", "bad"].map(|name| expected::folder().join(name).display().to_string());
    let policy = policy();
    let scan = output(&[
        "scan",
        "-f",
        &good,
        "-f",
        &bad,
        "--complete",
        "-p",
        &policy,
        "-o",
        "json",
        "--all",
    ]);
    let fixes = fixes(&scan);
    assert!(fixes.len() > 35, "{}", fixes.len());
    let mut decided = BTreeSet::new();
    for fix in &fixes {
        if fix.commands().is_some() {
            continue;
        }
        decided.insert(&*fix.control);
        // A snippet of what to write, with what it is about.
        let snippet = ["{\"", "--", "kubectl "]
            .iter()
            .any(|part| fix.text.contains(part));
        let named = fix.text.contains(" in ") || fix.text.starts_with("in ");
        assert!(
            snippet || named,
            "{} {}: {}",
            fix.control,
            fix.subject,
            fix.text
        );
    }
    assert_eq!(decided, BTreeSet::from(DECIDED));
}

/// Has the server try each command, as far as it writes; nothing is changed.
pub(super) fn are_taken(cluster: &Cluster) {
    let kubeconfig = format!("--kubeconfig={}", cluster.kubeconfig().display());
    let scan = output(&["scan", "-p", &policy(), "-o", "json", "--all", &kubeconfig]);
    let user = [
        "auth",
        "whoami",
        "-o",
        "jsonpath={.status.userInfo.username}",
    ];
    let user = cluster.kubectl_ok(&user, None);
    let (mut problems, mut tried) = (Vec::new(), 0);
    for fix in fixes(&scan) {
        let Some(commands) = fix.commands() else {
            continue;
        };
        tried += 1;
        if let Err(why) = dry(cluster, &filled(commands, &user)) {
            problems.push(format!(
                "{} {}: {commands}\n{why}",
                fix.control, fix.subject
            ));
        }
    }
    assert!(tried > 40, "{tried} commands");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// With what a person fills in.
fn filled(commands: &str, user: &str) -> String {
    let hash = "0".repeat(64);
    let filled = [
        ("name: NAME", "name: a-name"),
        ("from: BEGIN", "from: 2026-01-01T00:00:00Z"),
        ("to: END", "to: 2026-02-01T00:00:00Z"),
        ("validUntil: TIME", "validUntil: 2199-01-01T00:00:00Z"),
        ("YOUR USER NAME", user),
        ("ADDRESS", "https://records.example.com/1"),
        ("HASH", &hash),
        ("CA_BASE64", "Y2E="),
    ];
    let mut text = commands.to_owned();
    for (placeholder, value) in filled {
        text = text.replace(placeholder, value);
    }
    text
}

fn dry(cluster: &Cluster, commands: &str) -> Result<(), String> {
    let stand_ins = r#"
        kubectl() {
            case "$1" in
            apply|create|delete|patch|label|annotate) command kubectl "$1" --dry-run=server "${@:2}" ;;
            describe|edit|logs|rollout|cnpg) ;;
            *) echo "kubectl $1 is no command of ours" >&2; return 1 ;;
            esac
        }
        velero() { :; }
        probity() { :; }
    "#;
    let path = [cluster.bin(), Path::new("/usr/bin"), Path::new("/bin")];
    let path = path.map(|folder| folder.display().to_string());
    let done = Command::new("bash")
        .args(["-e", "-c", &format!("{stand_ins}\n{commands}")])
        .env("KUBECONFIG", cluster.kubeconfig())
        .env("HOME", cluster.folder())
        .env("PATH", path.join(":"))
        .output()
        .unwrap();
    if done.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&done.stderr).into_owned())
    }
}
