//! The time that an examination is about: coverage, gaps, deviations, and what is due; of each audit period, and of any range.

use super::{
    super::{
        dashboard::{
            ALL_IS_GOOD, Dashboard, NEUTRAL, NONE_IS_BETTER, NONE_IS_GOOD, ONE_IS_GOOD, Panel, Row,
            Unit, View, query,
        },
        queries::{SCOPE, deviations, in_period, of_families, oldest_deviation},
    },
    CLUSTER, FAMILY, PERIOD, POLICY, number,
};

const PAGE: &str = "periods.md";

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        name: "period",
        title: "Probity / Audit period",
        description: "How each audit period stands, how completely controls were observed in the chosen range, what deviates, and what is due. The evidence log is what counts; this is a view for those who run the period.",
        from: "now-90d",
        variables: vec![CLUSTER, PERIOD, POLICY, FAMILY],
        rows: vec![periods(), period_by_control(), coverage(), open(), due()],
    }
}

/// Share of the chosen range in which a control was not unknown. Each scrape counts the same, however many pods they
/// were of: one that lived for a minute says nothing of the other days.
fn judged() -> String {
    let over = |how: &str| {
        format!(
            r#"sum by (cluster, policy, control) ({how}_over_time(probity_control_outcome{{{SCOPE}, outcome="Unknown"}}[$__range]))"#
        )
    };
    format!("1 - {} / {}", over("sum"), over("count"))
}

/// What the log says of the chosen audit periods: the figures of their statuses.
fn periods() -> Row {
    let of = |metric: &str, more: &str, by: &str| of_families(&in_period(metric, more, by));
    let unready = r#"sum(1 - max by (cluster, period) (probity_period_ready{cluster=~"$cluster", period=~"$period"}))"#;
    let figure = |said, unit, steps, expr: String| number(said, unit, steps, expr, PAGE);
    Row {
        title: "Audit periods",
        panels: vec![
            figure(
                (
                    "Periods that can't be judged",
                    "Their spec can't be used, or the log can't be read: their condition Ready says why.",
                ),
                Unit::Count,
                NONE_IS_GOOD,
                unready.to_owned(),
            ),
            figure(
                (
                    "Least coverage",
                    "Share of the whole period that is observed at its end if nothing more is missed, of the control of which least is.",
                ),
                Unit::Share,
                ALL_IS_GOOD,
                format!("min({})", of("coverage_ratio", "", "")),
            ),
            figure(
                (
                    "Longest time in gaps",
                    "Time in which nobody looked, in gaps that have ended, of the control with most of it.",
                ),
                Unit::Seconds,
                NEUTRAL,
                format!("max({})", of("gap_seconds", "", "")),
            ),
            figure(
                (
                    "Open deviations",
                    "Deviations of the period that have not ended.",
                ),
                Unit::Count,
                NONE_IS_BETTER,
                format!("sum({})", of("deviations_open", "", "")),
            ),
            figure(
                (
                    "Controls that have not operated",
                    "Nobody has looked at them in the period: at its end they could not be tested.",
                ),
                Unit::Count,
                NONE_IS_GOOD,
                format!("sum({})", of("operated", r#", state="NotOperated""#, "")),
            ),
            figure(
                (
                    "Overdue",
                    "Kinds of things, by control, that should have happened by now and have not.",
                ),
                Unit::Count,
                NONE_IS_GOOD,
                format!(
                    "sum(({}) < bool time())",
                    in_period("due_timestamp_seconds", "", ", kind")
                ),
            ),
        ],
    }
}

/// The same for each control.
fn period_by_control() -> Row {
    let of = |metric: &str, more: &str, by: &str| of_families(&in_period(metric, more, by));
    let due = format!(
        "1000 * {}",
        in_period("due_timestamp_seconds", "", ", kind")
    );
    let columns = [
        "gap_seconds",
        "coverage_ratio",
        "deviations",
        "deviations_open",
        "deviation_longest_seconds",
    ];
    Row {
        title: "Audit periods by control",
        panels: vec![
            Panel {
                title: "Gaps and deviations",
                description: "Of each control in each period: time that nobody observed, what that leaves to be covered, deviations, those that are open, and the longest that has ended.",
                size: (24, 10),
                view: View::Table(&[
                    ("Gaps", Unit::Seconds),
                    ("Coverage", Unit::Share),
                    ("Deviations", Unit::Count),
                    ("Open", Unit::Count),
                    ("Longest", Unit::Seconds),
                ]),
                unit: Unit::Count,
                steps: NEUTRAL,
                queries: columns.map(|column| query(of(column, "", ""), "")).into(),
                page: PAGE,
            },
            Panel {
                title: "Due before the period ends",
                description: "What has to happen, or the control will be missing at the end: a restore test, an access review and its decisions, an attestation. Of each kind, the next.",
                size: (16, 8),
                view: View::Table(&[("Due", Unit::Since)]),
                unit: Unit::Count,
                steps: NEUTRAL,
                queries: vec![query(of_families(&due), "")],
                page: PAGE,
            },
            Panel {
                title: "Whether controls operated",
                description: "Controls of the chosen periods by whether they operated: observed and judged, observed and never judged, nothing to judge, or not observed.",
                size: (8, 8),
                view: View::Bars,
                unit: Unit::Count,
                steps: NEUTRAL,
                queries: vec![query(
                    format!("sum by (state) ({})", of("operated", "", ", state")),
                    "{{state}}",
                )],
                page: PAGE,
            },
        ],
    }
}

fn coverage() -> Row {
    let led = r#"min(clamp_max(sum_over_time((max by (cluster) (probity_leader{cluster=~"$cluster"}))[$__range:1m]) * 60 / $__range_s, 1))"#;
    let unobserved = format!("{} > 0", of_families(&format!("(1 - ({}))", judged())));
    let gaps =
        r#"sum by (kind) (increase(probity_watch_gaps_total{cluster=~"$cluster"}[$__range]))"#;
    Row {
        title: "Coverage in the chosen range",
        panels: vec![
            number(
                (
                    "Operator on watch",
                    "Share of the chosen range in which a replica led; of several clusters, where it was least. The rest is a gap in the evidence.",
                ),
                Unit::Share,
                ALL_IS_GOOD,
                led,
                "runbooks/ProbityAbsent.md",
            )
            .sized(6, 8),
            number(
                (
                    "Controls judged",
                    "Share of the time on watch in which controls could be judged, over all of them.",
                ),
                Unit::Share,
                ALL_IS_GOOD,
                format!("avg({})", of_families(&format!("({})", judged()))),
                PAGE,
            )
            .sized(6, 8),
            Panel {
                title: "Not judged",
                description: "Controls that were unknown for a part of the chosen range, and for how large a part.",
                size: (6, 8),
                view: View::Bars,
                unit: Unit::Share,
                steps: NEUTRAL,
                queries: vec![query(unobserved, "{{control}} · {{policy}}")],
                page: PAGE,
            },
            Panel {
                title: "Watches that missed something",
                description: "Times that a watch had missed a change or was sent what can't be read. Each is repaired, and recorded as a gap.",
                size: (6, 8),
                view: View::Bars,
                unit: Unit::Count,
                steps: NEUTRAL,
                queries: vec![query(gaps, "{{kind}}")],
                page: "runbooks/ProbityWatchStale.md",
            },
        ],
    }
}

fn open() -> Row {
    let all = deviations("Baseline|New");
    let by_severity = format!("sum by (severity) ({})", of_families(&all));
    let since = format!("1000 * {}", oldest_deviation("Baseline|New"));
    Row {
        title: "Deviations",
        panels: vec![
            Panel {
                title: "Open deviations by severity",
                description: "Subjects that fail, by how severe that is.",
                size: (12, 10),
                view: View::Areas,
                unit: Unit::Count,
                steps: NEUTRAL,
                queries: vec![query(by_severity, "{{severity}}")],
                page: PAGE,
            },
            Panel {
                title: "Open deviations, the oldest first",
                description: "What an auditor will ask about: what has been open for longest.",
                size: (12, 10),
                view: View::Table(&[("Open since", Unit::Since), ("Subjects", Unit::Count)]),
                unit: Unit::Count,
                steps: NEUTRAL,
                queries: vec![
                    query(of_families(&since), ""),
                    query(of_families(&format!("{all} > 0")), ""),
                ],
                page: "runbooks/ProbityDeviationOverdue.md",
            },
        ],
    }
}

fn due() -> Row {
    let deadline = format!(
        "1000 * min by (cluster, policy, control) (probity_control_deadline_timestamp_seconds{{{SCOPE}}})"
    );
    let of_cluster =
        |metric: &str| format!(r#"sum(max by (cluster) ({metric}{{cluster=~"$cluster"}}))"#);
    Row {
        title: "What is due",
        panels: vec![
            Panel {
                title: "Controls that fail unless something happens",
                description: "Until when the first of its subjects passes by itself: a backup must follow, a certificate be renewed, a restore be tested.",
                size: (8, 10),
                view: View::Table(&[("Due", Unit::Since)]),
                unit: Unit::Count,
                steps: NEUTRAL,
                queries: vec![query(of_families(&deadline), "")],
                page: PAGE,
            },
            number(
                (
                    "Exceptions that end within 7 days",
                    "What they accept fails when they end.",
                ),
                Unit::Count,
                NONE_IS_BETTER,
                of_cluster("probity_exceptions_expiring"),
                "runbooks/ProbityExceptionExpiring.md",
            ),
            number(
                (
                    "Attestations that end within 30 days",
                    "The attested control fails when its attestation ends.",
                ),
                Unit::Count,
                NONE_IS_BETTER,
                of_cluster("probity_attestations_expiring"),
                "runbooks/ProbityAttestationExpiring.md",
            ),
            number(
                (
                    "Anchored outside",
                    "1 if a checkpoint of every leader's log is kept where the cluster's administrators can't change it.",
                ),
                Unit::Count,
                ONE_IS_GOOD,
                r#"min(max by (cluster) (probity_evidence_externally_anchored{cluster=~"$cluster"} and on (cluster, instance) (probity_leader{cluster=~"$cluster"} == 1)))"#,
                "runbooks/ProbityEvidenceNotAnchoredOutside.md",
            ),
            number(
                (
                    "Evidence broken",
                    "Logs that could not go on from the one before. Has to be explained to the auditor.",
                ),
                Unit::Count,
                NONE_IS_GOOD,
                of_cluster("probity_evidence_log_broken"),
                "runbooks/ProbityEvidenceLogBroken.md",
            ),
        ],
    }
}
