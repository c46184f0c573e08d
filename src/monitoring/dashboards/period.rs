//! The time that an examination is about: coverage, gaps, open deviations, and what is due.

use super::{
    super::{
        dashboard::{
            ALL_IS_GOOD, Dashboard, NEUTRAL, NONE_IS_BETTER, NONE_IS_GOOD, Panel, Row, Unit, View,
            query,
        },
        queries::{SCOPE, deviations, of_families, oldest_deviation},
    },
    CLUSTER, FAMILY, POLICY, number,
};

const PAGE: &str = "periods.md";

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        name: "period",
        title: "Probity / Audit period",
        description: "How completely controls were observed in the chosen range, what deviates, and what is due. The evidence log is what counts; this is a view for those who run the period.",
        from: "now-90d",
        variables: vec![CLUSTER, POLICY, FAMILY],
        rows: vec![coverage(), open(), due()],
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
                size: (12, 10),
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
