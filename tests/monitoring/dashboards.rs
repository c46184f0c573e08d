//! The dashboards as files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::{Group, ensure};

/// A query of a panel.
pub(super) struct Query {
    /// Dashboard and panel.
    pub(super) place: String,
    pub(super) expr: String,
    /// Whether it asks for the present alone.
    pub(super) instant: bool,
}

/// The dashboards, by their files.
pub(super) fn all() -> Vec<(PathBuf, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/probity/dashboards");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let read = files.into_iter().map(|file| {
        let text = std::fs::read_to_string(&file).unwrap();
        (file, serde_json::from_str(&text).unwrap())
    });
    read.collect()
}

fn array<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

/// Every query of every panel.
pub(super) fn queries() -> Vec<Query> {
    let mut queries = Vec::new();
    for (_, dashboard) in all() {
        for panel in array(&dashboard, "panels") {
            for target in array(panel, "targets") {
                queries.push(Query {
                    place: format!("{} / {}", dashboard["title"], panel["title"]),
                    expr: target["expr"].as_str().unwrap().to_owned(),
                    instant: target["instant"] == true,
                });
            }
        }
    }
    queries
}

/// The query of every variable of every dashboard, with its place.
pub(super) fn variables() -> Vec<Query> {
    let mut queries = Vec::new();
    for (_, dashboard) in all() {
        for variable in array(&dashboard["templating"], "list") {
            let Some(asked) = variable["definition"].as_str() else {
                continue; // the data source
            };
            queries.push(Query {
                place: format!("{} / {}", dashboard["title"], variable["name"]),
                expr: series_of(asked).to_owned(),
                instant: true,
            });
        }
    }
    queries
}

/// What Grafana asks Prometheus for, of a variable's query: `label_values(SERIES, LABEL)` or `query_result(QUERY)`.
fn series_of(asked: &str) -> &str {
    let inside = |name: &str| asked.strip_prefix(name)?.strip_suffix(')');
    let series = inside("label_values(").and_then(|both| Some(both.rsplit_once(", ")?.0));
    let query = series.or_else(|| inside("query_result("));
    query.unwrap_or_else(|| panic!("{asked} is no query of a variable"))
}

#[test]
fn people_choose_by_cluster_policy_and_family_and_no_choice_is_without_effect() {
    for (file, dashboard) in all() {
        let names: Vec<&str> = array(&dashboard["templating"], "list")
            .iter()
            .map(|variable| variable["name"].as_str().unwrap())
            .collect();
        for name in names.iter().filter(|name| **name != "datasource") {
            let uses = dashboard.to_string().matches(&format!("${name}")).count();
            assert!(uses > 0, "{}: nothing uses {name}", file.display());
        }
        let wanted: &[&str] = match &*file.file_stem().unwrap().to_string_lossy() {
            "operator" => &["cluster"],
            _ => &["cluster", "policy", "family"],
        };
        for wanted in wanted {
            assert!(names.contains(wanted), "{}: no {wanted}", file.display());
        }
    }
}

#[test]
fn grafanas_own_types_know_every_field() {
    let program = ensure(Group::Grafana).unwrap().join("dashboards");
    let files = all().into_iter().map(|(file, _)| file);
    let output = Command::new(program).args(files).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

#[test]
fn panels_lie_beside_each_other_and_say_what_they_mean() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let dashboards = all();
    let titles: Vec<_> = dashboards
        .iter()
        .map(|(_, dashboard)| &dashboard["title"])
        .collect();
    assert_eq!(titles.len(), 4, "{titles:?}");
    for (file, dashboard) in &dashboards {
        let mut cells = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in array(dashboard, "panels") {
            let title = format!("{} / {}", file.display(), panel["title"]);
            assert!(ids.insert(panel["id"].as_u64()), "{title}: id");
            let at = |side: &str| panel["gridPos"][side].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{title}: too far right");
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(cells.insert((x, y)), "{title}: covers another panel");
                }
            }
            if panel["type"] == "row" {
                continue;
            }
            let said = panel["description"].as_str().unwrap_or_default();
            assert!(said.ends_with('.'), "{title}: {said:?} is no description");
            assert!(!array(panel, "targets").is_empty(), "{title}: no query");
            let unit = &panel["fieldConfig"]["defaults"]["unit"];
            assert!(unit.is_string(), "{title}: no unit");
            let link = panel["links"][0]["url"].as_str().unwrap();
            let page = link.strip_prefix("https://probity.dev/docs/").unwrap();
            let page = page.replace("${control}", "net-namespace-default-deny");
            assert!(docs.join(&page).is_file(), "{title}: no page {page}");
        }
    }
}

#[test]
fn no_query_asks_for_names_of_objects() {
    for Query { place, expr, .. } in queries() {
        for label in ["namespace", "name", "pod", "subject", "uid"] {
            for form in [
                format!("{label}="),
                format!("({label}"),
                format!(" {label},"),
                format!(", {label})"),
            ] {
                assert!(!expr.contains(&form), "{place}: {expr}");
            }
        }
    }
}
