//! The operator itself: whether it sees, decides, writes and remembers as it should.

use super::{
    super::dashboard::{
        Dashboard, NEUTRAL, NONE_IS_BETTER, NONE_IS_GOOD, Panel, Row, Unit, View, query,
    },
    CLUSTER, number,
};

const PAGE: &str = "runbooks/README.md";

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        name: "operator",
        title: "Probity / Operator",
        description: "The operator itself: watches, rounds, writes, evidence, leadership, API server, memory.",
        from: "now-6h",
        variables: vec![CLUSTER],
        rows: vec![now(), watching(), writing(), evidence(), process()],
    }
}

/// The series of the chosen clusters.
fn of(metric: &str) -> String {
    format!(r#"{metric}{{cluster=~"$cluster"}}"#)
}

/// Lines over time, half as wide as the dashboard.
fn lines(
    (title, description): (&'static str, &'static str),
    unit: Unit,
    queries: Vec<super::Query>,
    page: &'static str,
) -> Panel {
    Panel {
        title,
        description,
        size: (12, 8),
        view: View::Lines,
        unit,
        steps: NEUTRAL,
        queries,
        page,
    }
}

/// The time within which a share of what a histogram counted was done.
fn quantile(share: &str, metric: &str) -> String {
    format!(
        "histogram_quantile({share}, sum by (le) (rate({}[$__rate_interval])))",
        of(&format!("{metric}_bucket"))
    )
}

fn now() -> Row {
    Row {
        title: "Now",
        panels: vec![
            number(
                (
                    "Leading replicas",
                    "One replica of each cluster must lead: only it writes. Of several clusters, the one with the fewest.",
                ),
                Unit::Count,
                &[(None, "red"), (Some(1.0), "green")],
                format!("min(sum by (cluster) ({}))", of("probity_leader")),
                "runbooks/ProbityAbsent.md",
            ),
            number(
                ("Policies", "Policies that are held."),
                Unit::Count,
                NEUTRAL,
                format!("sum(max by (cluster) ({}))", of("probity_policies")),
                PAGE,
            ),
            number(
                (
                    "Kinds that can't be judged",
                    "Kinds whose watch is stale, forbidden, or not complete yet. Controls that read them are Unknown.",
                ),
                Unit::Count,
                NONE_IS_GOOD,
                format!("count({} == 0) or vector(0)", of("probity_watch_available")),
                "runbooks/ProbityWatchStale.md",
            ),
            number(
                (
                    "Brakes latched",
                    "Controls that write nothing more until a person releases their brake.",
                ),
                Unit::Count,
                NONE_IS_GOOD,
                format!("sum({}) or vector(0)", of("probity_brake_latched")),
                "runbooks/ProbityBrakeLatched.md",
            ),
            number(
                (
                    "Log can't be written",
                    "Replicas whose evidence log fails. Nothing is put back meanwhile.",
                ),
                Unit::Count,
                NONE_IS_GOOD,
                format!("sum({})", of("probity_evidence_failing")),
                "runbooks/ProbityEvidenceFailing.md",
            ),
            number(
                (
                    "Anchors failing",
                    "Places that don't take checkpoints of the log now.",
                ),
                Unit::Count,
                NONE_IS_BETTER,
                format!(
                    "sum({}) or vector(0)",
                    of("probity_evidence_anchor_failing")
                ),
                "runbooks/ProbityEvidenceNotAnchored.md",
            ),
        ],
    }
}

fn watching() -> Row {
    Row {
        title: "Watching and deciding",
        panels: vec![
            lines(
                (
                    "Watch staleness",
                    "Time since the last sign of life of each watch; stale from 90 s on.",
                ),
                Unit::Seconds,
                vec![query(
                    format!("max by (kind) ({})", of("probity_watch_staleness_seconds")),
                    "{{kind}}",
                )],
                "runbooks/ProbityWatchStale.md",
            ),
            lines(
                (
                    "Objects held",
                    "Objects in the inventory by kind: what memory is used for.",
                ),
                Unit::Count,
                vec![query(
                    format!("max by (kind) ({})", of("probity_inventory_objects")),
                    "{{kind}}",
                )],
                PAGE,
            ),
            lines(
                (
                    "Queues",
                    "What waits for the loop: changes, results of requests, Events to publish. They are bounded.",
                ),
                Unit::Count,
                vec![query(
                    format!("max by (queue) ({})", of("probity_queue_length")),
                    "{{queue}}",
                )],
                PAGE,
            ),
            lines(
                (
                    "Rounds",
                    "Rounds of the engine each second, over all replicas.",
                ),
                Unit::PerSecond,
                vec![query(
                    format!(
                        "sum(rate({}[$__rate_interval]))",
                        of("probity_evaluation_seconds_count")
                    ),
                    "rounds",
                )],
                PAGE,
            ),
            lines(
                ("Time of a round", "How long rounds of the engine take."),
                Unit::Seconds,
                vec![
                    query(
                        quantile("0.5", "probity_evaluation_seconds"),
                        "half of them within",
                    ),
                    query(
                        quantile("0.99", "probity_evaluation_seconds"),
                        "99 % of them within",
                    ),
                ],
                PAGE,
            ),
            lines(
                (
                    "Time since the last round",
                    "The loop turns at least once a second.",
                ),
                Unit::Seconds,
                vec![query(
                    format!("time() - {}", of("probity_last_round_timestamp_seconds")),
                    "{{instance}}",
                )],
                "runbooks/ProbityAbsent.md",
            ),
        ],
    }
}

fn writing() -> Row {
    Row {
        title: "Writing",
        panels: vec![
            lines(
                (
                    "Write budget",
                    "Writes within the last minute, and how many there may be. Beyond it, writes wait.",
                ),
                Unit::Count,
                vec![
                    query(
                        format!("max by (policy) ({})", of("probity_writes_last_minute")),
                        "{{policy}}",
                    ),
                    query(
                        format!("min({})", of("probity_writes_per_minute_limit")),
                        "Limit",
                    ),
                ],
                "runbooks/ProbityBudgetReached.md",
            ),
            lines(
                ("Remedies", "How remedies ended, each second."),
                Unit::PerSecond,
                vec![query(
                    format!(
                        "sum by (result) (rate({}[$__rate_interval]))",
                        of("probity_remediation_total")
                    ),
                    "{{result}}",
                )],
                PAGE,
            ),
            lines(
                (
                    "Requests to the API server",
                    "Writes of remedies, statuses and Events, each second, by what became of them.",
                ),
                Unit::PerSecond,
                vec![query(
                    format!(
                        "sum by (verb, result) (rate({}[$__rate_interval]))",
                        of("probity_api_requests_total")
                    ),
                    "{{verb}} {{result}}",
                )],
                PAGE,
            ),
            lines(
                (
                    "API errors since the start",
                    "Requests that failed, and watches that broke, by what went wrong. Short breaks cost nothing.",
                ),
                Unit::Count,
                vec![query(
                    r#"sum by (verb, result) (probity_api_requests_total{cluster=~"$cluster", result!="Ok"}) or vector(0)"#,
                    "{{verb}} {{result}}",
                )],
                PAGE,
            ),
        ],
    }
}

fn evidence() -> Row {
    Row {
        title: "Evidence",
        panels: vec![
            lines(
                ("Entries", "Entries given to the log each second."),
                Unit::PerSecond,
                vec![query(
                    format!(
                        "rate({}[$__rate_interval])",
                        of("probity_evidence_entries_total")
                    ),
                    "{{instance}}",
                )],
                PAGE,
            ),
            lines(
                (
                    "Time until entries are durable",
                    "What a write to the cluster waits for: the sync of the disk.",
                ),
                Unit::Seconds,
                vec![
                    query(
                        quantile("0.5", "probity_evidence_sync_seconds"),
                        "half of them within",
                    ),
                    query(
                        quantile("0.99", "probity_evidence_sync_seconds"),
                        "99 % of them within",
                    ),
                ],
                "runbooks/ProbityEvidenceFailing.md",
            ),
            lines(
                (
                    "Age of the last anchor",
                    "Time since a checkpoint of the log was last kept outside the volume. At most an hour while all is well, a day for a timestamp authority.",
                ),
                Unit::Seconds,
                vec![query(
                    format!(
                        "max by (target) ({})",
                        of("probity_evidence_anchor_age_seconds")
                    ),
                    "{{target}}",
                )],
                "runbooks/ProbityEvidenceNotAnchored.md",
            ),
            lines(
                (
                    "Room on the disk of the log",
                    "Of the volume that the log is on.",
                ),
                Unit::Share,
                vec![query(
                    format!(
                        "{} / {}",
                        of("probity_disk_free_bytes"),
                        of("probity_disk_size_bytes")
                    ),
                    "{{instance}}",
                )],
                "runbooks/ProbityDiskFilling.md",
            ),
        ],
    }
}

fn process() -> Row {
    Row {
        title: "Replicas",
        panels: vec![
            lines(
                ("Leadership", "1 while a replica leads."),
                Unit::Count,
                vec![query(of("probity_leader"), "{{instance}}")],
                "runbooks/ProbityAbsent.md",
            ),
            lines(
                ("Memory", "Resident memory of each replica."),
                Unit::Bytes,
                vec![query(
                    of("probity_process_resident_memory_bytes"),
                    "{{instance}}",
                )],
                PAGE,
            ),
            lines(
                ("Processor", "Seconds of processor time in each second."),
                Unit::Share,
                vec![query(
                    format!(
                        "rate({}[$__rate_interval])",
                        of("probity_process_cpu_seconds_total")
                    ),
                    "{{instance}}",
                )],
                PAGE,
            ),
            lines(
                ("Open files", "File descriptors that each replica holds."),
                Unit::Count,
                vec![query(of("probity_process_open_fds"), "{{instance}}")],
                PAGE,
            ),
        ],
    }
}
