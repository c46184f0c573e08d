//! Exit codes: the same mistake ends every command in the same way, and as the table in the documentation says.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use super::examples::COMMANDS;
use crate::operator::program::{Output, file, output};
use crate::operator::world::eventually;

/// Mistakes, and the arguments with which each command makes them. `EMPTY` is a folder with nothing in it, `FOREIGN` one
/// with something else, `TEXT` a file that is nothing of ours, `PERIOD` a period, `KEY` a key, `DATA` a folder for data,
/// `AWAY` a server that nobody is.
const MISTAKES: [(&str, &[&str]); 6] = [
    (
        "a file that is not there",
        &[
            "scan -f nope",
            "scan -p nope",
            "scan --kubeconfig nope",
            "status --kubeconfig nope",
            "explain ns/a --kubeconfig nope",
            "diff --kubeconfig nope",
            "diff --log nope",
            "approve attestation/a --kubeconfig nope",
            "reject attestation/a --kubeconfig nope",
            "review a --kubeconfig nope",
            "review a --listing nope --server AWAY",
            "run --data-dir DATA --kubeconfig nope",
            "log --data-dir nope",
            "undo --data-dir nope",
            "new-key --data-dir nope",
            "verify nope",
            "verify --proof nope --key KEY",
            "verify EMPTY --anchor nope",
            "prove 0 --log nope",
            "fleet index nope",
            "fleet verify nope",
            "period PERIOD --log nope",
            "report --period PERIOD --log nope --out EMPTY/out",
            "sample PERIOD --log nope --control net-policy-dead --seed 1 --count 1",
        ],
    ),
    (
        "a value that is none",
        &[
            "scan --fail-on never",
            "scan -o xml",
            "status --color pink",
            "explain no-such-control",
            "explain /shop/web",
            "diff --color pink",
            "undo --since soon",
            "undo one",
            "approve nothing",
            "reject nothing",
            "review",
            "log --type nonsense",
            "verify",
            "verify FOREIGN --key nonsense",
            "prove",
            "fleet",
            "period",
            "report",
            "sample PERIOD --control net-policy-dead --seed 1 --count 0",
            "new-key --data-dir",
            "controls --family fruit",
            "controls --criterion CC99",
            "crds --nonsense",
            "baseline --nonsense",
            "completions csh",
            "man --nonsense",
            "run --otlp-endpoint nowhere",
            "nonsense",
        ],
    ),
    (
        "a folder with nothing in it",
        &[
            "scan -f EMPTY",
            "log --data-dir EMPTY",
            "undo --data-dir EMPTY",
            "undo --data-dir EMPTY --control nonsense",
            "new-key --data-dir EMPTY",
            "verify EMPTY",
            "prove 0 --log EMPTY",
            "fleet index EMPTY",
            "fleet verify EMPTY",
            "period h1 --log EMPTY",
            "period PERIOD --log EMPTY",
            "report --period PERIOD --log EMPTY --out FOREIGN/out",
            "sample PERIOD --log EMPTY --control net-policy-dead --seed 1 --count 1",
        ],
    ),
    (
        "a folder with something else in it",
        &[
            "scan -f FOREIGN",
            "log --data-dir FOREIGN",
            "undo --data-dir FOREIGN",
            "verify FOREIGN",
            "prove 0 --log FOREIGN",
            "fleet index FOREIGN",
            "fleet verify FOREIGN",
            "period PERIOD --log FOREIGN",
            "report --period PERIOD --log FOREIGN --out EMPTY/out",
            "sample PERIOD --log FOREIGN --control net-policy-dead --seed 1 --count 1",
        ],
    ),
    (
        "a file of something else",
        &[
            "scan -f TEXT",
            "scan -p TEXT",
            "scan --kubeconfig TEXT",
            "status --kubeconfig TEXT",
            "diff --log TEXT",
            "log --data-dir TEXT",
            "undo --data-dir TEXT",
            "verify TEXT",
            "verify --proof TEXT --key KEY",
            "verify EMPTY --key TEXT",
            "verify EMPTY --anchor TEXT",
            "prove 0 --log TEXT",
            "fleet index TEXT",
            "fleet verify TEXT",
            "period TEXT --log EMPTY",
            "report --period TEXT --log EMPTY --out EMPTY/out",
            "sample TEXT --log EMPTY --control net-policy-dead --seed 1 --count 1",
            "review a --listing TEXT --server AWAY",
            "man --dir TEXT/man1",
        ],
    ),
    (
        "a server that is not there",
        &[
            "scan --server AWAY",
            "status --server AWAY",
            "explain ns/a --server AWAY",
            "diff --server AWAY",
            "approve attestation/a --server AWAY",
            "reject attestation/a --server AWAY",
            "review a --server AWAY",
        ],
    ),
];

/// Runs a line of the table.
fn run(line: &str, folder: &Path) -> Output {
    let named = |name: &str| folder.join(name).display().to_string();
    let key = "probity.dev/log/c/probity-0/20260101T000000Z+1234abcd+AbCd";
    let line = line
        .replace("EMPTY", &named("empty"))
        .replace("FOREIGN", &named("foreign"))
        .replace("DATA", &named("data"))
        .replace("TEXT", &named("foreign/text"))
        .replace("PERIOD", &named("period.yaml"))
        .replace("KEY", key)
        .replace("AWAY", "http://127.0.0.1:1");
    output(&line.split(' ').collect::<Vec<_>>())
}

/// A folder with what the table names.
fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::create_dir(path.join("empty")).unwrap();
    std::fs::create_dir(path.join("foreign")).unwrap();
    std::fs::write(path.join("foreign/text"), "Dear diary,\n").unwrap();
    let period = "apiVersion: probity.dev/v1alpha1\nkind: AuditPeriod\nmetadata: { name: h1 }\n\
                  spec: { start: \"2026-01-01\", end: \"2026-06-30\", timeZone: UTC }\n";
    std::fs::write(path.join("period.yaml"), period).unwrap();
    folder
}

#[test]
fn the_same_mistake_ends_every_command_in_the_same_way() {
    let folder = prepared();
    let mut problems = Vec::new();
    for (mistake, lines) in MISTAKES {
        for line in lines {
            let ended = run(line, folder.path());
            // One line of ours, or what the reader of arguments says.
            let one = ended.stderr.starts_with("probity: ") && ended.stderr.lines().count() == 1;
            let told =
                one || ended.stderr.contains("Usage:") || ended.stderr.starts_with("error: ");
            if ended.code != Some(2) || !told || !ended.stdout.is_empty() {
                let Output {
                    stdout,
                    stderr,
                    code,
                } = ended;
                problems.push(format!("{mistake}: {line}: {code:?} {stdout}{stderr}"));
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    let left = std::fs::read_dir(folder.path().join("empty")).unwrap();
    let left: Vec<_> = left.map(|file| file.unwrap().file_name()).collect();
    assert!(left.is_empty(), "nothing is left half done: {left:?}");
}

#[test]
fn every_command_is_in_the_table() {
    let lines = MISTAKES.iter().flat_map(|(_, lines)| *lines);
    let tried: BTreeSet<&str> = lines.filter_map(|line| line.split(' ').next()).collect();
    for command in COMMANDS {
        assert!(tried.contains(command), "{command}");
    }
}

#[test]
fn what_is_wrong_is_told_from_what_could_not_be_done() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("pod.yaml");
    let pod = |host: bool| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{ name: a }}\nspec: {{ hostNetwork: {host} }}\n"
        )
    };
    let scan = |host, heeded| {
        std::fs::write(&manifest, pod(host)).unwrap();
        let file = manifest.display().to_string();
        output(&["scan", "-f", &file, "--fail-on", heeded]).code
    };
    assert_eq!(scan(true, "low"), Some(1));
    assert_eq!(scan(true, "none"), Some(0));
    assert_eq!(scan(false, "none"), Some(0));
    assert_eq!(output(&["controls"]).code, Some(0));
}

#[test]
fn the_table_in_the_documentation_is_the_one_that_the_program_prints() {
    let help = output(&["--help"]).stdout;
    let (_, table) = help.split_once("Exit codes:\n").unwrap();
    // Help is broken to the terminal's width; a code begins a row.
    let mut rows: Vec<String> = Vec::new();
    for line in table.lines() {
        match rows.last_mut() {
            Some(row) if !line.trim_start().starts_with(|c: char| c.is_ascii_digit()) => {
                *row = format!("{row} {}", line.trim());
            }
            _ => rows.push(line.trim().to_owned()),
        }
    }
    let page = include_str!("../../docs/command-line.md");
    assert_eq!(rows.len(), 3, "{rows:?}");
    for row in rows {
        let (code, meaning) = row.split_once("  ").unwrap();
        let documented = format!("| {code} | {meaning} |\n");
        assert!(page.contains(&documented), "{documented}");
    }
}

/// A server that takes connections and never says anything keeps the operator at its very beginning.
#[test]
fn an_operator_that_is_told_to_stop_while_it_begins_stops_in_good_order() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    silent.set_nonblocking(true).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = format!("http://{}", silent.local_addr().unwrap());
    let data = folder.path().display().to_string();
    let mut program = Command::new(file())
        .args(["run", "--server", &server, "--namespace", "probity-system"])
        .args(["--replica", "probity-0", "--data-dir", &data])
        .args(["--metrics-address", "127.0.0.1:0"])
        .env_remove("KUBECONFIG")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It has asked its first question.
    let asked = eventually("a connection", || {
        silent.accept().map_err(|error| error.to_string())
    });
    let pid = program.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    let ended = eventually("the end", || {
        let ended = program.try_wait().map_err(|error| error.to_string())?;
        ended.ok_or_else(|| "it runs on".to_owned())
    });
    assert!(ended.success(), "{ended}");
    drop(asked);
}
