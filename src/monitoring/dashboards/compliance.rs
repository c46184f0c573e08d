//! What holds, by criterion and family, now and over the chosen range.

use super::{
    super::{
        dashboard::{
            ALL_IS_GOOD, Dashboard, NEUTRAL, NONE_IS_BETTER, NONE_IS_GOOD, Panel, Row, Unit, View,
            query,
        },
        queries::{
            applicable, by_criterion, deviations, of_families, oldest_deviation, outcome, rise,
            state,
        },
    },
    CLUSTER, FAMILY, POLICY, number,
};

const PAGE: &str = "controls/README.md";

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        name: "compliance",
        title: "Probity / Compliance",
        description: "Which controls hold, by criterion and family; what failed, since when, and what put it back.",
        from: "now-7d",
        variables: vec![CLUSTER, POLICY, FAMILY],
        rows: vec![now(), parts(), failures(), over_time()],
    }
}

fn now() -> Row {
    let satisfied = format!(
        "sum({}) / sum({})",
        of_families(&outcome("Pass")),
        of_families(&applicable())
    );
    let controls = |of: &str| format!("sum({})", of_families(&outcome(of)));
    Row {
        title: "Now",
        panels: vec![
            number(
                (
                    "Controls satisfied",
                    "Share of the controls with something to judge whose outcome is Pass. Nothing else counts as satisfied.",
                ),
                Unit::Share,
                ALL_IS_GOOD,
                satisfied,
                PAGE,
            ),
            number(
                (
                    "Failing controls",
                    "Controls with at least one failing subject.",
                ),
                Unit::Count,
                NONE_IS_GOOD,
                controls("Fail"),
                PAGE,
            ),
            number(
                (
                    "Unknown controls",
                    "Controls that could not be judged completely: something could not be read or reached. Unknown is never taken for Pass.",
                ),
                Unit::Count,
                NONE_IS_BETTER,
                controls("Unknown"),
                PAGE,
            ),
            number(
                (
                    "Excepted controls",
                    "Controls whose failures are all covered by valid exceptions.",
                ),
                Unit::Count,
                NEUTRAL,
                controls("Excepted"),
                "people.md",
            ),
            number(
                (
                    "New failures",
                    "Subjects that fail now, and did not when the policy first looked. These are what alerts are about.",
                ),
                Unit::Count,
                NONE_IS_GOOD,
                format!("sum({})", of_families(&deviations("New"))),
                "runbooks/ProbityComplianceLost.md",
            ),
            number(
                (
                    "Baseline failures",
                    "Subjects that failed already when the policy was first applied, and still do. They are listed, and page nobody.",
                ),
                Unit::Count,
                NONE_IS_BETTER,
                format!("sum({})", of_families(&deviations("Baseline"))),
                "runbooks/ProbityComplianceLost.md",
            ),
        ],
    }
}

fn by_family(series: &str) -> String {
    format!("sum by (family) ({})", of_families(series))
}

/// Shares of satisfied controls: by which part of all and what that is called, how they are shown, and what is told of them.
fn shares(
    (part, legend): (fn(&str) -> String, &'static str),
    view: View,
    (title, description): (&'static str, &'static str),
) -> Panel {
    let share = format!("{} / {}", part(&outcome("Pass")), part(&applicable()));
    let (size, steps) = match view {
        View::Bars => ((12, 12), ALL_IS_GOOD),
        _ => ((12, 9), NEUTRAL),
    };
    Panel {
        title,
        description,
        size,
        view,
        unit: Unit::Share,
        steps,
        queries: vec![query(share, legend)],
        page: PAGE,
    }
}

const CRITERION: (fn(&str) -> String, &str) = (by_criterion, "{{criterion}}");
const OF_FAMILY: (fn(&str) -> String, &str) = (by_family, "{{family}}");

fn parts() -> Row {
    Row {
        title: "By criterion and family",
        panels: vec![
            shares(
                CRITERION,
                View::Bars,
                (
                    "Satisfied by criterion",
                    "Trust Services Criteria: of the controls that support each, the share that is satisfied now.",
                ),
            ),
            shares(
                OF_FAMILY,
                View::Bars,
                (
                    "Satisfied by family",
                    "Of the controls of each family, the share that is satisfied now.",
                ),
            ),
        ],
    }
}

fn failures() -> Row {
    let failing = deviations("Baseline|New");
    // Grafana wants milliseconds.
    let since = format!("1000 * {}", oldest_deviation("Baseline|New"));
    let ended = rise("probity_deviations_ended_total", "", ", how");
    Row {
        title: "What failed, since when, and what put it back",
        panels: vec![
            Panel {
                title: "Failing now",
                description: "Open deviations by control: since when the oldest has been open, and how many subjects fail. Origin Baseline: it was so when the policy first looked.",
                size: (14, 11),
                view: View::Table(&[("Open since", Unit::Since), ("Subjects", Unit::Count)]),
                unit: Unit::Count,
                steps: NEUTRAL,
                queries: vec![
                    query(of_families(&since), ""),
                    query(of_families(&format!("{failing} > 0")), ""),
                ],
                page: PAGE,
            },
            Panel {
                title: "How deviations ended",
                description: "Deviations that ended in the chosen range. PutBack: Probity restored it. FixedByOthers: a person or another tool did. Everything else is no remediation.",
                size: (5, 11),
                view: View::Bars,
                unit: Unit::Count,
                steps: NEUTRAL,
                queries: vec![query(
                    format!("sum by (how) ({})", of_families(&ended)),
                    "{{how}}",
                )],
                page: "periods.md",
            },
            Panel {
                title: "Drift by control",
                description: "Subjects that went from passing to failing in the chosen range, because an object or time changed.",
                size: (5, 11),
                view: View::Bars,
                unit: Unit::Count,
                steps: NEUTRAL,
                queries: vec![query(
                    format!(
                        "sum by (control) ({}) > 0",
                        of_families(&rise("probity_drift_total", "", ""))
                    ),
                    "{{control}}",
                )],
                page: "periods.md",
            },
        ],
    }
}

fn over_time() -> Row {
    let was_bad = r#"max by (cluster, policy, control) (max_over_time(probity_control_outcome{outcome=~"Fail|Unknown"}[$__range] @ end())) > 0"#;
    Row {
        title: "Over the chosen range",
        panels: vec![
            shares(
                CRITERION,
                View::Lines,
                (
                    "Satisfied by criterion, over time",
                    "Trust Services Criteria: of the controls that support each, the share that was satisfied.",
                ),
            ),
            shares(
                OF_FAMILY,
                View::Lines,
                (
                    "Satisfied by family, over time",
                    "Of the controls of each family, the share that was satisfied.",
                ),
            ),
            Panel {
                title: "Controls that were not satisfied all the time",
                description: "Outcome over time of every control that failed or was unknown at some time of the chosen range. A blank is time in which nobody looked.",
                size: (24, 14),
                view: View::States,
                unit: Unit::Outcome,
                steps: NEUTRAL,
                queries: vec![query(
                    format!(
                        "({}) and on (cluster, policy, control) ({was_bad})",
                        of_families(&state())
                    ),
                    "{{control}} · {{policy}}",
                )],
                page: PAGE,
            },
        ],
    }
}
