//! What the files of the examples say that is found in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A failing subject of a control.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Finding {
    /// Id of the control.
    pub(super) control: String,
    /// Kind, namespace and name.
    pub(super) subject: String,
}

/// The folder of the example clusters.
pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/clusters")
}

/// What stands behind a mark in the comments of some files, and of all files of some folders.
fn marked(paths: &[&str], mark: &str) -> Vec<String> {
    let mut files = Vec::new();
    for path in paths.iter().map(|path| folder().join(path)) {
        if path.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            files.extend(entries.map(|entry| entry.unwrap().path()));
        } else {
            files.push(path);
        }
    }
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
    let marks = texts.flat_map(|text| {
        let lines = text.lines().map(str::trim);
        let marks = lines.filter_map(|line| line.strip_prefix(mark)?.strip_prefix(' '));
        marks.map(str::to_owned).collect::<Vec<_>>()
    });
    marks.collect()
}

/// Every `# planted: CONTROL SUBJECT` of the bad cluster, while its second API server has the
/// configuration of this name.
pub(super) fn planted(second: &str) -> BTreeSet<Finding> {
    let second = format!("api-servers/{second}.yaml");
    let marks = marked(
        &["bad", "bad-people", "api-servers/first.yaml", &second],
        "# planted:",
    );
    assert!(!marks.is_empty());
    let findings = marks.iter().map(|mark| {
        let (control, subject) = mark.split_once(' ').unwrap();
        Finding {
            control: control.to_owned(),
            subject: subject.to_owned(),
        }
    });
    findings.collect()
}

/// The controls of which `# can't be planted: CONTROL why` says that no finding can be.
pub(super) fn not_plantable() -> BTreeSet<String> {
    let marks = marked(&["policy.yaml"], "# can't be planted:");
    let controls = marks
        .iter()
        .map(|mark| mark.split_once(' ').unwrap().0.to_owned());
    controls.collect()
}

/// Every `# not a pass: CONTROL OUTCOME: why` of the good cluster.
pub(super) fn not_passing() -> BTreeMap<String, String> {
    let marks = marked(&["good", "api-servers/good.yaml"], "# not a pass:");
    let controls = marks.iter().map(|mark| {
        let (said, why) = mark.split_once(':').unwrap();
        assert!(!why.trim().is_empty(), "{mark}: why?");
        let (control, outcome) = said.split_once(' ').unwrap();
        (control.to_owned(), outcome.to_owned())
    });
    controls.collect()
}
