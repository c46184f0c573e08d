//! What the documentation says can be done: links lead somewhere, commands are commands, objects are objects.

mod commands;
mod markdown;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::error::ErrorKind;
use serde_json::Value;

use self::commands::{commands, inline};
use self::markdown::{Block, Page};
use crate::harness::{Group, ensure};
use crate::operator::world::turn;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files of the repository whose names end like this, new ones too.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    let list = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let wanted = |name: &&str| endings.iter().any(|ending| name.ends_with(ending));
    let found: Vec<_> = list.lines().filter(wanted).map(PathBuf::from).collect();
    found
        .into_iter()
        .filter(|path| root().join(path).exists())
        .collect()
}

fn pages() -> Vec<Page> {
    let pages: Vec<_> = files(&[".md"]).into_iter().map(Page::read).collect();
    assert!(pages.len() > 80, "{} pages", pages.len());
    pages
}

/// Fails with all problems at once.
fn report(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let anchors: BTreeMap<&Path, &BTreeSet<String>> = pages
        .iter()
        .map(|page| (page.path.as_path(), &page.anchors))
        .collect();
    let mut problems = Vec::new();
    let mut seen = 0;
    for page in &pages {
        for (line, link) in &page.links {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            seen += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = page.resolve(path);
            let known = anchor.is_empty()
                || anchors
                    .get(target.as_path())
                    .is_some_and(|anchors| anchors.contains(anchor));
            if !root().join(&target).exists() || !known {
                problems.push(format!("{}:{line}: {link}", page.path.display()));
            }
        }
    }
    assert!(seen > 300, "{seen} links");
    report(&problems);
}

#[test]
fn every_page_of_the_guide_is_in_its_index() {
    let index = Page::read("docs/README.md".into());
    let linked: BTreeSet<_> = index.links.iter().map(|(_, link)| link.as_str()).collect();
    let mut missing = Vec::new();
    for path in files(&[".md"]) {
        let Ok(name) = path.strip_prefix("docs") else {
            continue;
        };
        let name = name.display().to_string();
        let listed = linked.contains(name.as_str());
        let below_an_index = name.starts_with("controls/") || name.starts_with("runbooks/");
        if !listed && !below_an_index && name != "README.md" {
            missing.push(name);
        }
    }
    report(&missing);
}

/// Whether clap takes the words that follow `probity`.
fn parses(words: &[String]) -> Result<(), clap::Error> {
    let words = std::iter::once("probity").chain(words.iter().map(String::as_str));
    match probity::cli::arguments().try_get_matches_from(words) {
        Err(error)
            if !matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            ) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}

#[test]
fn every_command_of_the_program_is_one() {
    let mut problems = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let mut said = |line: usize, words: &[String], error: &clap::Error| {
            let first = error.to_string();
            let first = first.lines().next().unwrap_or_default().to_owned();
            problems.push(format!(
                "{}:{line}: probity {}: {first}",
                page.path.display(),
                words.join(" ")
            ));
        };
        for command in page.blocks.iter().flat_map(commands) {
            if let Some(words) = command.of_the_program() {
                seen += 1;
                if let Err(error) = parses(&words) {
                    said(command.line, &words, &error);
                }
            }
        }
        for (line, code) in &page.codes {
            let Some(words) = inline(code) else { continue };
            seen += 1;
            match parses(&words) {
                // In a sentence, a command is named by what matters of it.
                Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => {}
                Err(error) => said(*line, &words, &error),
                Ok(()) => {}
            }
        }
    }
    assert!(seen > 60, "{seen} commands");
    report(&problems);
    assert!(parses(&["log".into(), "--tpye".into()]).is_err());
}

#[test]
fn commands_of_kubectl_and_helm_have_the_flags_that_they_use() {
    let kubectl = ensure(Group::Kubernetes).unwrap().join("kubectl");
    let helm = ensure(Group::Helm).unwrap().join("helm");
    let mut helps: BTreeMap<(String, Vec<String>), String> = BTreeMap::new();
    let mut problems = Vec::new();
    let mut seen = 0;
    for page in pages() {
        for command in page.blocks.iter().flat_map(commands) {
            let program = match command.words.first().map(String::as_str) {
                Some("kubectl") => &kubectl,
                Some("helm") => &helm,
                _ => continue,
            };
            seen += 1;
            let verbs = command.verbs();
            let key = (command.words[0].clone(), verbs.clone());
            let help = helps.entry(key).or_insert_with(|| help(program, &verbs));
            for flag in command.flags() {
                if !help.contains(&flag) {
                    problems.push(format!(
                        "{}:{}: {} {} has no {flag}",
                        page.path.display(),
                        command.line,
                        command.words[0],
                        verbs.join(" ")
                    ));
                }
            }
        }
    }
    assert!(seen > 40, "{seen} commands");
    report(&problems);
    assert!(!help(&helm, &["install".into()]).contains("--no-such-flag"));
}

/// What a program says of one of its commands, and of the flags that all of them have.
fn help(program: &Path, verbs: &[String]) -> String {
    let said = |args: &[&str]| {
        let output = Command::new(program).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let mut args: Vec<&str> = verbs.iter().map(String::as_str).collect();
    args.push("--help");
    said(&args) + &said(&["options"]) + &said(&["--help"])
}

#[test]
fn every_value_that_is_set_is_one_of_the_charts() {
    let values = fs::read_to_string(root().join("charts/probity/values.yaml")).unwrap();
    let values: Value = serde_saphyr::from_str(&values).unwrap();
    let mut problems = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let commands = page.blocks.iter().flat_map(commands);
        let set = commands.flat_map(|command| {
            let line = command.line;
            command.sets().into_iter().map(move |set| (line, set))
        });
        // Pages of controls name parameters.
        let names_values = !page.path.starts_with("docs/controls");
        let codes = page.codes.iter().filter(|_| names_values);
        let named = codes.filter_map(|(line, code)| {
            let name = code.split('=').next().unwrap_or_default();
            let top = name.split('.').next().unwrap_or_default();
            let is_name = name
                .split('.')
                .all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric()));
            (name.contains('.') && is_name && values.get(top).is_some_and(Value::is_object))
                .then(|| (*line, name.to_owned()))
        });
        for (line, name) in set.chain(named) {
            seen += 1;
            if !has(&values, &name) {
                problems.push(format!("{}:{line}: {name}", page.path.display()));
            }
        }
    }
    assert!(seen > 20, "{seen} values");
    report(&problems);
    assert!(!has(&values, "image.tga"));
}

/// Whether a chart has a value; below an object that is empty by default, any.
fn has(values: &Value, name: &str) -> bool {
    let mut at = values;
    for part in name.split('.') {
        let part = part.split('[').next().unwrap_or_default();
        match at {
            Value::Object(map) if map.is_empty() => return true,
            Value::Object(map) => match map.get(part) {
                Some(next) => at = next,
                None => return false,
            },
            _ => return false,
        }
    }
    true
}

#[test]
fn files_and_targets_that_commands_name_are_there() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let mut problems = Vec::new();
    let mut seen = 0;
    for page in pages() {
        for command in page.blocks.iter().flat_map(commands) {
            let mut missing = |what: &str| {
                problems.push(format!("{}:{}: {what}", page.path.display(), command.line));
            };
            if command.words.first().is_some_and(|word| word == "make") {
                for target in command.words.iter().skip(1).filter(|w| !w.contains('=')) {
                    seen += 1;
                    if !makefile.contains(&format!("\n{target}:")) {
                        missing(target);
                    }
                }
            }
            for word in &command.words {
                let ours = ["examples/", "charts/", "crds/", "docs/", "tests/", "image/"];
                // Folders that are made by building, and patterns.
                let made = word.contains(".bin") || word.contains('*') || word.contains('$');
                if ours.iter().any(|folder| word.starts_with(folder)) && !made {
                    seen += 1;
                    if !root().join(word).exists() {
                        missing(word);
                    }
                }
            }
        }
    }
    assert!(seen > 15, "{seen}");
    report(&problems);
}

#[test]
fn every_object_of_ours_is_taken_by_an_api_server() {
    let world = turn();
    let mut namespaces = BTreeSet::new();
    let mut problems = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let yaml = page.blocks.iter().filter(|block| block.language == "yaml");
        for (line, object) in yaml.flat_map(objects) {
            let ours = object["apiVersion"].as_str().unwrap_or_default();
            if !ours.starts_with("probity.dev/") {
                continue;
            }
            seen += 1;
            if let Some(namespace) = object["metadata"]["namespace"].as_str()
                && namespaces.insert(namespace.to_owned())
            {
                let made = world.cluster.kubectl(&["create", "namespace", namespace]);
                let said = String::from_utf8_lossy(&made.stderr).into_owned();
                assert!(
                    made.status.success() || said.contains("already exists"),
                    "{said}"
                );
            }
            let file = tempfile::NamedTempFile::new().unwrap();
            fs::write(file.path(), object.to_string()).unwrap();
            let path = file.path().display().to_string();
            let tried = [
                "create",
                "--dry-run=server",
                "--validate=strict",
                "-f",
                &path,
            ];
            let tried = world.cluster.kubectl(&tried);
            if !tried.status.success() {
                let why = String::from_utf8_lossy(&tried.stderr).replace('\n', " ");
                problems.push(format!("{}:{line}: {why}", page.path.display()));
            }
        }
    }
    assert!(seen > 75, "{seen} objects");
    report(&problems);
}

/// The objects of a block, each with the line on which the block begins.
fn objects(block: &Block) -> Vec<(usize, Value)> {
    let text = block.text();
    let parts = text.split("\n---\n").filter(|part| !part.trim().is_empty());
    parts
        .map(|part| {
            let object = serde_saphyr::from_str(part)
                .unwrap_or_else(|error| panic!("line {}: {error}\n{part}", block.line));
            (block.line, object)
        })
        .collect()
}

#[test]
fn no_file_names_a_machine_or_a_registry() {
    // Put together, so that this file doesn't hold them.
    let hosts = ["docker", "quay", "ghcr", "gcr", "crates"].map(|host| format!("{host}.io"));
    let folders = ["work", "home", "root"].map(|folder| format!("/{folder}/"));
    let mut problems = Vec::new();
    let endings = [
        ".md",
        "Makefile",
        "Containerfile",
        ".sh",
        ".yml",
        ".yaml",
        ".toml",
        ".json",
        ".txt",
        ".tpl",
    ];
    for path in files(&endings) {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        // Their examples name images as users do; what a chart's CRDs of others say is theirs.
        if path.starts_with("tests") || path.starts_with("examples/clusters") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let words = hosts.iter().chain(&folders);
            for word in words.filter(|word| line.contains(word.as_str())) {
                problems.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    report(&problems);
}
