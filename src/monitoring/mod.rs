//! What people watch Probity with: Grafana dashboards, Prometheus rules, and a runbook per alert.
//!
//! Everything is data that [`files`] renders; `probity generate` writes it. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod alerts;
mod dashboard;
mod dashboards;
mod queries;
mod rules;

use std::collections::BTreeMap;

/// Where the documentation is on the web. The chart replaces it by its value `docsUrl`.
pub const DOCS: &str = "https://probity.dev/docs";

/// Folder of the dashboards.
pub const DASHBOARDS: &str = "charts/probity/dashboards";
/// The rules, as Prometheus reads them.
pub const RULES: &str = "charts/probity/files/rules.yaml";
/// Folder of the runbooks.
pub const RUNBOOKS: &str = "docs/runbooks";

/// The content of every file, by its path in the repository.
pub fn files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for dashboard in dashboards::all() {
        let path = format!("{DASHBOARDS}/{}.json", dashboard.name);
        files.insert(path, format!("{:#}\n", dashboard.json()));
    }
    files.insert(RULES.to_owned(), rules::file());
    let alerts: Vec<_> = alerts::all().collect();
    for alert in &alerts {
        files.insert(format!("{RUNBOOKS}/{}.md", alert.name), alert.runbook());
    }
    files.insert(format!("{RUNBOOKS}/README.md"), rules::index(&alerts));
    files
}
