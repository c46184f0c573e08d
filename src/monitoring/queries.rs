//! Parts of queries.
//!
//! Replicas export the same facts of controls, and for a moment two of them may export the series of a policy: whatever
//! is joined or summed is first reduced by `max by`, so that a join has one partner and nothing is counted twice.

/// What the variables of a dashboard select.
pub(super) const SCOPE: &str = r#"cluster=~"$cluster", policy=~"$policy""#;

/// Each control of the chosen families, with its family.
const FAMILIES: &str = r#"max by (cluster, control, family) (probity_control_info{cluster=~"$cluster", family=~"$family"})"#;

/// Each criterion of each control.
const CRITERIA: &str =
    r#"max by (cluster, control, criterion) (probity_control_criterion{cluster=~"$cluster"})"#;

/// Whether each control of each policy has this outcome: 0 or 1.
pub(super) fn outcome(outcome: &str) -> String {
    format!(
        r#"max by (cluster, policy, control) (probity_control_outcome{{{SCOPE}, outcome="{outcome}"}})"#
    )
}

/// Whether there is something to judge for each control of each policy: 0 or 1.
pub(super) fn applicable() -> String {
    format!(
        r#"max by (cluster, policy, control) (probity_control_outcome{{{SCOPE}, outcome!="NotApplicable"}})"#
    )
}

/// The series of the chosen families, each with its family.
pub(super) fn of_families(series: &str) -> String {
    format!("({series}) * on (cluster, control) group_left (family) {FAMILIES}")
}

/// The sum of series by criterion.
pub(super) fn by_criterion(series: &str) -> String {
    format!(
        "sum by (criterion) ({CRITERIA} * on (cluster, control) group_left () sum by (cluster, control) ({}))",
        of_families(series)
    )
}

/// How much a counter of controls rose over the chosen range, by these labels.
pub(super) fn rise(metric: &str, more: &str, by: &str) -> String {
    format!("sum by (cluster, policy, control{by}) (increase({metric}{{{SCOPE}{more}}}[$__range]))")
}

/// Open deviations of controls, by severity and by whether they were there from the begin.
pub(super) fn deviations(origin: &str) -> String {
    format!(
        r#"max by (cluster, policy, control, severity, origin) (probity_deviations_open{{{SCOPE}, origin=~"{origin}"}})"#
    )
}

/// When the oldest of them began.
pub(super) fn oldest_deviation(origin: &str) -> String {
    format!(
        r#"min by (cluster, policy, control, severity, origin) (probity_deviation_oldest_timestamp_seconds{{{SCOPE}, origin=~"{origin}"}})"#
    )
}

/// What a metric says of each control in each audit period.
pub(super) fn in_period(metric: &str, more: &str, by: &str) -> String {
    format!(
        r#"max by (cluster, period, policy, control{by}) (probity_period_{metric}{{{SCOPE}, period=~"$period"{more}}})"#
    )
}

/// The outcome of each control of each policy as a number: see the mappings of dashboards.
pub(super) fn state() -> String {
    let [fail, unknown, excepted, pass] = ["Fail", "Unknown", "Excepted", "Pass"].map(outcome);
    format!("4 * {fail} + 3 * {unknown} + 2 * {excepted} + {pass}")
}
