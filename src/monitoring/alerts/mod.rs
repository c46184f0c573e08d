//! The alerts. Each is whole in one place: what fires it, and what to do then.

mod compliance;
mod evidence;
mod operator;
mod people;
mod writing;

/// An alert.
pub(super) struct Alert {
    /// Its name, and that of its runbook.
    pub(super) name: &'static str,
    /// The query whose series fire it.
    pub(super) expr: &'static str,
    /// For how long that must last.
    pub(super) lasting: &'static str,
    /// `critical`: wake someone; `warning`: within the day; `info`: within the week. Or a template.
    pub(super) severity: &'static str,
    /// One line with labels as Prometheus' templates write them.
    pub(super) summary: &'static str,
    /// A sentence or two, likewise.
    pub(super) description: &'static str,
    /// One line for the runbook.
    pub(super) plain_summary: &'static str,
    /// What it means.
    pub(super) meaning: &'static str,
    /// What it costs.
    pub(super) impact: &'static str,
    /// How to find the cause, with commands.
    pub(super) diagnosis: &'static str,
    /// What to do.
    pub(super) remedy: &'static str,
}

/// Every alert, the most important first.
pub(super) fn all() -> impl Iterator<Item = Alert> {
    compliance::ALERTS
        .into_iter()
        .chain(operator::ALERTS)
        .chain(evidence::ALERTS)
        .chain(writing::ALERTS)
        .chain(people::ALERTS)
}
