//! Reads manifests: YAML with several documents, JSON, lists, folders, standard input.

use std::{
    fmt, fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use serde_json::Value;
use serde_saphyr::{MessageFormatter as _, UserMessageFormatter};

use super::unread::Unread;
use crate::{cli::Failure, inventory::Kind};

/// Where an object is declared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) struct Place {
    /// The file as it was found; `stdin` for standard input.
    pub(in crate::cli) file: String,
    /// The line at which its document begins, from 1.
    pub(in crate::cli) line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// An object, and where it is declared.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Manifest {
    pub(super) place: Place,
    pub(super) object: Value,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Manifests {
    pub(super) objects: Vec<Manifest>,
    /// How many files there were.
    pub(super) files: usize,
    /// Documents of folders that hold no object, such as values of a chart.
    pub(super) passed_over: Vec<Place>,
    /// Documents of folders that look like an object and lack what makes them one.
    pub(super) unread: Vec<Unread>,
    broken: Vec<String>,
}

/// Reads files, all below folders, and standard input for `-`. Every broken document is named.
pub(super) fn read(paths: &[PathBuf]) -> Result<Manifests, Failure> {
    let mut all = Manifests::default();
    for path in paths {
        let name = path.display().to_string();
        if name == "-" {
            let mut text = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut text);
            read.map_err(|error| format!("standard input can't be read: {error}"))?;
            all.file("stdin", &text, true);
        } else if name.contains("://") {
            return Err(format!(
                "{name} is not downloaded: pipe it, as in `curl -fsSL {name} | probity scan -f -`"
            ));
        } else if path.is_dir() {
            all.folder(path)?;
        } else {
            let text = fs::read(path).map_err(|error| format!("{name} can't be read: {error}"))?;
            all.file(&name, &text, true);
        }
    }
    if !all.broken.is_empty() {
        return Err(all.broken.join("\nprobity: "));
    }
    if all.objects.is_empty() {
        return Err(format!(
            "there is no Kubernetes object in {}: name manifests, or pipe `helm template` into `probity scan -f -`",
            named(paths)
        ));
    }
    Ok(all)
}

fn named(paths: &[PathBuf]) -> String {
    let names = paths.iter().map(|path| path.display().to_string());
    names.collect::<Vec<_>>().join(", ")
}

impl Manifests {
    fn folder(&mut self, folder: &Path) -> Result<(), Failure> {
        let problem =
            |error: std::io::Error| format!("{} can't be listed: {error}", folder.display());
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder).map_err(problem)? {
            paths.push(entry.map_err(problem)?.path());
        }
        paths.sort();
        for path in paths {
            let hidden = path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            let kind = path.extension().unwrap_or_default();
            // A link may lead round in a circle.
            if path.is_dir() && !path.is_symlink() && !hidden {
                self.folder(&path)?;
            } else if path.is_file()
                && !hidden
                && (kind == "yaml" || kind == "yml" || kind == "json")
            {
                let name = path.display().to_string();
                let text =
                    fs::read(&path).map_err(|error| format!("{name} can't be read: {error}"))?;
                self.file(&name, &text, false);
            }
        }
        Ok(())
    }

    /// Takes in one file. `meant` is whether it was named itself: then all of it must be objects.
    fn file(&mut self, name: &str, text: &[u8], meant: bool) {
        self.files += 1;
        let Ok(text) = std::str::from_utf8(text) else {
            self.broken.push(format!("{name}:1: is not UTF-8 text"));
            return;
        };
        let text = text.trim_start_matches('\u{feff}');
        for (line, document) in documents(text) {
            let place = Place {
                file: name.to_owned(),
                line,
            };
            match parse(document) {
                Ok(values) => {
                    for (below, value) in values {
                        let line = line + below;
                        let file = name.to_owned();
                        self.value(Place { file, line }, value, meant);
                    }
                }
                Err((below, why)) => {
                    let line = place.line + below;
                    self.broken.push(format!("{name}:{line}: {why}"));
                    if why == TEMPLATE {
                        return; // so are its other documents
                    }
                }
            }
        }
    }

    fn value(&mut self, place: Place, value: Value, meant: bool) {
        if value.is_null() {
            return;
        }
        let text = |pointer: &str| {
            let found = value.pointer(pointer).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        let (kind, version) = (text("/kind"), text("/apiVersion"));
        if kind.is_empty() || version.is_empty() {
            let missing = match (kind.as_str(), version.as_str()) {
                ("", "") => "apiVersion and kind are missing",
                ("", _) => "kind is missing",
                _ => "apiVersion is missing",
            };
            let half = !(kind.is_empty() && version.is_empty());
            if meant {
                self.broken
                    .push(format!("{place}: is no Kubernetes object: {missing}"));
            } else if half && value["metadata"].is_object() {
                // Values of a chart may hold a kind; but not this too.
                self.unread.push(Unread {
                    place,
                    what: format!("{version}{kind}"),
                    why: missing.to_owned(),
                });
            } else {
                self.passed_over.push(place);
            }
            return;
        }
        if let (Some(of), Some(items)) = (kind.strip_suffix("List"), value["items"].as_array()) {
            for item in items {
                let mut item = item.clone();
                // Items of typed lists don't say what they are.
                if item["kind"].is_null() && !of.is_empty() && item.is_object() {
                    item["kind"] = of.into();
                    item["apiVersion"] = version.clone().into();
                }
                self.value(place.clone(), item, meant);
            }
            return;
        }
        let (name, generated) = (text("/metadata/name"), text("/metadata/generateName"));
        let name = if name.is_empty() { generated } else { name };
        let no_text = ["name", "generateName", "namespace"]
            .iter()
            .find_map(|field| {
                let what = match &value["metadata"][field] {
                    Value::Bool(_) => "a boolean",
                    Value::Number(_) => "a number",
                    _ => return None,
                };
                Some(format!("metadata.{field} is {what}: quote it"))
            });
        if let Some(why) = no_text {
            self.broken.push(format!("{place}: {why}"));
        } else if name.contains("{{") {
            self.broken.push(format!("{place}: {TEMPLATE}"));
        } else if name.is_empty() && !is_read(&kind, &version) {
            // What configures a tool (kustomize, kubeadm, kind) need not have a name.
            self.passed_over.push(place);
        } else if name.is_empty() {
            self.broken
                .push(format!("{place}: the {kind} has no metadata.name"));
        } else {
            let object = value;
            self.objects.push(Manifest { place, object });
        }
    }
}

/// Whether some control reads objects of a kind.
fn is_read(kind: &str, version: &str) -> bool {
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let mut all = Kind::ALL.iter().map(|kind| kind.info());
    all.any(|info| info.kind == kind && info.group == group)
}

const TEMPLATE: &str =
    "is a template, not a manifest: pipe `helm template` into `probity scan -f -`";

/// The documents of a file, each with the line at which it begins.
fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let (mut start, mut first, mut at) = (0, 1, 0);
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let end = at + line.len();
        let bare = line.trim_end();
        let rest = bare.strip_prefix("---").or(bare.strip_prefix("..."));
        if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t'])) {
            found.push((first, &text[start..at]));
            // What stands behind the mark belongs to the document.
            start = if rest.trim_start().is_empty() {
                end
            } else {
                at + 3
            };
            first = if start == end { number + 1 } else { number };
        }
        at = end;
    }
    found.push((first, &text[start..]));
    found.retain(|(_, document)| !document.lines().all(is_idle));
    found
}

/// Whether a line says nothing.
fn is_idle(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#') || line.starts_with('%')
}

/// The values of a document, each with the lines above it; else the lines above what is wrong.
fn parse(document: &str) -> Result<Vec<(usize, Value)>, (usize, String)> {
    let above = |text: &str| text.bytes().filter(|byte| *byte == b'\n').count();
    let begin = |at: usize| {
        let rest = &document[at..];
        let comments = rest.lines().take_while(|line| is_idle(line));
        above(&document[..at]) + comments.count()
    };
    if document.trim_start().starts_with('{') && !document.trim_start().starts_with("{{") {
        let mut stream = serde_json::Deserializer::from_str(document).into_iter();
        let mut values = Vec::new();
        loop {
            let at = stream.byte_offset();
            match stream.next() {
                Some(Ok(value)) => values.push((begin(at), value)),
                None => return Ok(values),
                // It may still be YAML, of which JSON is a part.
                Some(Err(_)) => break,
            }
        }
    }
    match serde_saphyr::from_str::<Value>(document) {
        Ok(value) => Ok(vec![(begin(0), value)]),
        Err(error) => Err(problem(document, &error)),
    }
}

/// Where and why a document can't be read: lines above, and a sentence.
fn problem(document: &str, error: &serde_saphyr::Error) -> (usize, String) {
    let line = error.location().map_or(1, |location| location.line());
    let line = usize::try_from(line).unwrap_or(1).max(1);
    let lines: Vec<&str> = document.lines().collect();
    if let Some(template) = lines.iter().position(|line| line.contains("{{")) {
        return (template, TEMPLATE.to_owned());
    }
    let tab = |line: &str| line.trim_start_matches(' ').starts_with('\t');
    if let Some(tab) = lines.iter().position(|line| tab(line)) {
        let why = "is indented with a tab: YAML wants spaces";
        return (tab, why.to_owned());
    }
    // As it is said to people, and without its place: that counts from the document, and ours from the file.
    let why = UserMessageFormatter.format_message(error.without_snippet());
    let why = why.lines().next().unwrap_or_default();
    (line - 1, format!("is no YAML: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<(usize, String)>, Failure> {
        let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
        fs::write(file.path(), text).unwrap();
        let read = read(&[file.path().to_owned()])
            .map_err(|error| error.replace(&file.path().display().to_string(), "f"))?;
        let objects = read.objects.iter();
        let named = objects.map(|found| {
            let name = found.object["metadata"]["name"].as_str();
            (found.place.line, name.unwrap_or_default().to_owned())
        });
        Ok(named.collect())
    }

    const ONE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n";

    #[test]
    fn each_document_has_the_line_at_which_it_begins() {
        let text = format!(
            "# Source: chart\n\n{ONE}---\n{}--- # again\n# a comment\n{}",
            ONE.replace("name: a", "name: b"),
            ONE.replace("name: a", "name: c")
        );
        let found = read_text(&text).unwrap();
        let lines: Vec<(usize, &str)> = found.iter().map(|(l, n)| (*l, &**n)).collect();
        assert_eq!(lines, [(3, "a"), (8, "b"), (14, "c")]);
    }

    #[test]
    fn lists_are_taken_apart_in_yaml_and_json() {
        let text = r#"{"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}}]}
            {"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "y"}}]}"#;
        let names: Vec<String> = read_text(text).unwrap().into_iter().map(|f| f.1).collect();
        assert_eq!(names, ["x", "y"]);
    }

    #[test]
    fn what_is_broken_is_named_with_its_line_in_one_line_each() {
        let said = |text: &str| read_text(text).unwrap_err();
        let tab = said(&format!("{ONE}---\nkind: Pod\nmetadata:\n\tname: b\n"));
        assert_eq!(tab, "f:8: is indented with a tab: YAML wants spaces");
        let template = said("kind: Pod\n{{- if .Values.on }}\nx: y\n{{- end }}\n");
        assert_eq!(template, format!("f:2: {TEMPLATE}"));
        let broken = said(&format!("{ONE}---\nkind: [Pod\nx: y\n---\na: b: c\n"));
        let lines: Vec<&str> = broken.lines().collect();
        assert_eq!(lines.len(), 2, "{broken}");
        assert!(lines[0].starts_with("f:"), "{broken}");
        assert!(
            lines[1].starts_with("probity: f:9: is no YAML: "),
            "{broken}"
        );
        let twice = said(&format!("{ONE}---\n{ONE}metadata: {{}}\n"));
        assert_eq!(
            twice,
            "f:10: is no YAML: duplicate mapping key `metadata` is not allowed here"
        );
        assert_eq!(
            said("name: me\n"),
            "f:1: is no Kubernetes object: apiVersion and kind are missing"
        );
        assert_eq!(
            said("kind: Pod\nmetadata: { name: a }\n"),
            "f:1: is no Kubernetes object: apiVersion is missing"
        );
        assert_eq!(
            said("apiVersion: v1\nkind: Pod\n"),
            "f:1: the Pod has no metadata.name"
        );
        // YAML 1.1, as Kubernetes reads it.
        for (name, what) in [("n", "a boolean"), ("yes", "a boolean"), ("12", "a number")] {
            let odd = said(&ONE.replace("name: a", &format!("name: {name}")));
            assert_eq!(odd, format!("f:1: metadata.name is {what}: quote it"));
            let odd = said(&format!("{ONE}  namespace: {name}\n"));
            assert_eq!(odd, format!("f:1: metadata.namespace is {what}: quote it"));
        }
        let quoted = said(&ONE.replace("name: a", "name: \"{{ .Release.Name }}\""));
        assert_eq!(quoted, format!("f:1: {TEMPLATE}"));
        assert!(said("# nothing\n").starts_with("there is no Kubernetes object in f"));
    }

    #[test]
    fn folders_are_read_below_and_what_is_no_object_in_them_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("b");
        fs::create_dir(&below).unwrap();
        fs::create_dir(folder.path().join(".git")).unwrap();
        fs::write(folder.path().join(".git/x.yaml"), "broken: [").unwrap();
        fs::write(folder.path().join("values.yaml"), "replicas: 2\n").unwrap();
        fs::write(folder.path().join("README.md"), "broken: [").unwrap();
        fs::write(below.join("one.yml"), ONE).unwrap();
        let tool = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n";
        fs::write(below.join("kustomization.yaml"), tool).unwrap();
        fs::write(
            below.join("half.yaml"),
            "kind: Pod\nmetadata: { name: a }\n",
        )
        .unwrap();
        let found = read(&[folder.path().to_owned()]).unwrap();
        assert_eq!((found.objects.len(), found.passed_over.len()), (1, 2));
        let said = found.unread[0].to_string();
        assert!(
            said.ends_with("half.yaml:1: Pod is not read: apiVersion is missing"),
            "{said}"
        );
    }
}
