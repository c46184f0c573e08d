//! One control: its subjects, drift and reverts, times and deviations.

use super::{
    super::{
        dashboard::{
            Dashboard, NEUTRAL, NONE_IS_BETTER, NONE_IS_GOOD, Panel, Row, Unit, Variable, View,
            query,
        },
        queries::SCOPE,
    },
    CLUSTER, FAMILY, POLICY, number,
};

const PAGE: &str = "controls/${control}.md";

/// Those that are in a chosen policy and of a chosen family: no one metric says both.
const CONTROL: Variable = Variable {
    name: "control",
    label: "Control",
    values: r#"query_result(count by (control) (probity_control_outcome{cluster=~"$cluster", policy=~"$policy"} * on (cluster, control) group_left () max by (cluster, control) (probity_control_info{cluster=~"$cluster", family=~"$family"})))"#,
    part: r#"/control="([^"]+)"/"#,
    many: false,
};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        name: "control",
        title: "Probity / Control",
        description: "One control: subjects by outcome, drift and reverts, time to detect and to revert, deviations.",
        from: "now-24h",
        variables: vec![CLUSTER, POLICY, FAMILY, CONTROL],
        rows: vec![now(), subjects(), times()],
    }
}

/// The series of a metric that are about the chosen control.
fn of(metric: &str, more: &str) -> String {
    format!(r#"{metric}{{{SCOPE}, control="$control"{more}}}"#)
}

fn now() -> Row {
    let outcome = |outcome: &str| {
        let series = of(
            "probity_control_outcome",
            &format!(r#", outcome="{outcome}""#),
        );
        format!("max by (cluster, policy) ({series})")
    };
    let [fail, unknown, excepted, pass] = ["Fail", "Unknown", "Excepted", "Pass"].map(outcome);
    let open = |origin: &str| {
        let series = of(
            "probity_deviations_open",
            &format!(r#", origin="{origin}""#),
        );
        format!("sum(max by (cluster, policy, origin) ({series}))")
    };
    let oldest = of("probity_deviation_oldest_timestamp_seconds", "");
    Row {
        title: "$control now",
        panels: vec![
            Panel {
                title: "Outcome",
                description: "Outcome of the control in each policy.",
                size: (8, 5),
                view: View::Word,
                unit: Unit::Outcome,
                steps: NEUTRAL,
                queries: vec![query(
                    format!("4 * {fail} + 3 * {unknown} + 2 * {excepted} + {pass}"),
                    "{{policy}}",
                )],
                page: PAGE,
            },
            number(
                (
                    "New failures",
                    "Subjects that fail now, and did not when the policy first looked.",
                ),
                Unit::Count,
                NONE_IS_GOOD,
                open("New"),
                PAGE,
            ),
            number(
                (
                    "Baseline failures",
                    "Subjects that failed already when the policy was first applied, and still do.",
                ),
                Unit::Count,
                NONE_IS_BETTER,
                open("Baseline"),
                PAGE,
            ),
            number(
                (
                    "Oldest deviation",
                    "How long the oldest open deviation has been open.",
                ),
                Unit::Seconds,
                NEUTRAL,
                format!("time() - min({oldest})"),
                "runbooks/ProbityDeviationOverdue.md",
            ),
            Panel {
                title: "Facts",
                description: "Family, severity and criteria of the control.",
                size: (4, 5),
                view: View::Table(&[("", Unit::Count)]),
                unit: Unit::Count,
                steps: NEUTRAL,
                queries: vec![query(
                    r#"max by (family, severity, criteria) (probity_control_info{cluster=~"$cluster", control="$control"})"#,
                    "",
                )],
                page: PAGE,
            },
        ],
    }
}

fn subjects() -> Row {
    let by_outcome = format!(
        "sum by (outcome) (max by (cluster, policy, outcome) ({}))",
        of("probity_subjects", "")
    );
    let owners = format!(
        "sum by (owner) (max by (cluster, policy, owner) ({}))",
        of("probity_subjects_failing_by_owner", "")
    );
    Row {
        title: "Subjects",
        panels: vec![
            Panel {
                title: "Subjects by outcome",
                description: "The population of the control. Only Pass counts as satisfied.",
                size: (16, 10),
                view: View::Areas,
                unit: Unit::Count,
                steps: NEUTRAL,
                queries: vec![query(by_outcome, "{{outcome}}")],
                page: PAGE,
            },
            Panel {
                title: "Failing by owner",
                description: "Failing subjects by the owner of their namespace; at most 200 owners, the rest is `other`.",
                size: (8, 10),
                view: View::Bars,
                unit: Unit::Count,
                steps: NEUTRAL,
                queries: vec![query(owners, "{{owner}}")],
                page: PAGE,
            },
        ],
    }
}

fn times() -> Row {
    let rise =
        |metric: &str, more: &str| format!("sum(increase({}[$__rate_interval]))", of(metric, more));
    let quantile = |share: &str, metric: &str| {
        format!(
            r#"histogram_quantile({share}, sum by (le) ({metric}{{cluster=~"$cluster", control="$control"}}))"#
        )
    };
    let took = |title, description, metric: &str| Panel {
        title,
        description,
        size: (12, 8),
        view: View::Lines,
        unit: Unit::Seconds,
        steps: NEUTRAL,
        queries: vec![
            query(quantile("0.5", metric), "half of them within"),
            query(quantile("0.99", metric), "99 % of them within"),
        ],
        page: PAGE,
    };
    Row {
        title: "Drift and what became of it",
        panels: vec![
            Panel {
                title: "Drift and reverts",
                description: "Subjects that drifted, and deviations that ended because Probity put it back or somebody else fixed it.",
                size: (24, 8),
                view: View::Lines,
                unit: Unit::Count,
                steps: NEUTRAL,
                queries: vec![
                    query(rise("probity_drift_total", ""), "Drift"),
                    query(
                        rise("probity_deviations_ended_total", r#", how="PutBack""#),
                        "PutBack",
                    ),
                    query(
                        rise("probity_deviations_ended_total", r#", how="FixedByOthers""#),
                        "FixedByOthers",
                    ),
                ],
                page: PAGE,
            },
            took(
                "Time to detect",
                "From the bytes of a change to the verdict, since the operator started.",
                "probity_drift_detect_seconds_bucket",
            ),
            took(
                "Time to revert",
                "From the bytes of a change to the API server's answer to the remedy, since the operator started.",
                "probity_drift_revert_seconds_bucket",
            ),
        ],
    }
}
