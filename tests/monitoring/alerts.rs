//! The alerts, judged by promtool: each fires when it should, not before, and no longer than it should.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Group, ensure};

/// What happens to series, a sample a minute, and what an alert makes of it.
struct Case {
    alert: &'static str,
    series: &'static [(&'static str, &'static str)],
    /// Minutes at which it is quiet, fires, and is quiet again.
    quiet: u32,
    fires: u32,
    recovered: u32,
    labels: &'static str,
    summary: &'static str,
    description: &'static str,
}

const CASES: [Case; 15] = [
    Case {
        alert: "ProbityComplianceLost",
        series: &[
            (
                r#"probity_deviations_open{policy="p", control="c", severity="Critical", origin="New"}"#,
                "0x5 2x10 0x5",
            ),
            // A baseline is listed, and pages nobody.
            (
                r#"probity_deviations_open{policy="p", control="old", severity="Critical", origin="Baseline"}"#,
                "3x25",
            ),
        ],
        quiet: 7,
        fires: 10,
        recovered: 18,
        labels: "{policy: p, control: c, severity: critical}",
        summary: "c fails in policy p",
        description: "2 subjects fail that did not when the policy first looked. Control severity: Critical.",
    },
    Case {
        alert: "ProbityDeviationOverdue",
        series: &[
            (
                r#"probity_deviation_oldest_timestamp_seconds{policy="p", control="c", severity="Critical", origin="New"}"#,
                "0x300 stale",
            ),
            // A day is allowed for these; a baseline has no objective.
            (
                r#"probity_deviation_oldest_timestamp_seconds{policy="p", control="d", severity="High", origin="New"}"#,
                "0x400",
            ),
            (
                r#"probity_deviation_oldest_timestamp_seconds{policy="p", control="old", severity="Critical", origin="Baseline"}"#,
                "0x400",
            ),
        ],
        quiet: 240,
        fires: 250,
        recovered: 305,
        labels: "{policy: p, control: c, severity: critical}",
        summary: "A deviation of c in policy p is open for 4h 10m 0s",
        description: "That is longer than the objective for severity Critical (Critical 4 hours, High 1 day, Medium 7 days, Low 30 days).",
    },
    Case {
        alert: "ProbityRestoreTestDue",
        series: &[(
            r#"probity_control_deadline_timestamp_seconds{policy="p", control="backup-restore-test-current"}"#,
            "864000x4400 8640000x60",
        )],
        quiet: 4300,
        fires: 4350,
        recovered: 4410,
        labels: "{policy: p, control: backup-restore-test-current, severity: warning}",
        summary: "A restore test is due in 6d 23h 30m 0s (policy p)",
        description: "The control backup-restore-test-current fails unless a restore is tested until then.",
    },
    Case {
        alert: "ProbityAbsent",
        series: &[
            (r#"probity_leader{instance="a"}"#, "1x5 0x10 1x5"),
            (r#"probity_leader{instance="b"}"#, "0x25"),
        ],
        quiet: 9,
        fires: 12,
        recovered: 18,
        labels: "{severity: critical}",
        summary: "No replica of Probity leads",
        description: "For five minutes no replica has led, or none could be scraped. Nothing is recorded and nothing is put back.",
    },
    Case {
        alert: "ProbityWatchStale",
        series: &[
            (
                r#"probity_watch_available{kind="Pod", instance="a"}"#,
                "1x5 0x10 1x5",
            ),
            (
                r#"probity_watch_available{kind="Namespace", instance="a"}"#,
                "1x25",
            ),
        ],
        quiet: 9,
        fires: 12,
        recovered: 18,
        labels: "{kind: Pod, severity: warning}",
        summary: "Pod can't be judged",
        description: "The watch of Pod has been stale, forbidden or incomplete for five minutes. Controls that read it are Unknown, and remedy nothing.",
    },
    Case {
        alert: "ProbityEvidenceFailing",
        series: &[(r#"probity_evidence_failing{instance="a"}"#, "0x5 1x10 0x5")],
        quiet: 6,
        fires: 8,
        recovered: 18,
        labels: "{instance: a, severity: critical}",
        summary: "The evidence log of a can't be written",
        description: "Entries wait in memory, and nothing is put back until they are durable.",
    },
    Case {
        alert: "ProbityEvidenceLogBroken",
        series: &[(
            r#"probity_evidence_log_broken{instance="a"}"#,
            "0x5 1x10 0x5",
        )],
        quiet: 5,
        fires: 7,
        recovered: 18,
        labels: "{instance: a, severity: critical}",
        summary: "The evidence log of a had to begin anew",
        description: "It could not go on from the one before: lost, rolled back, rewritten or damaged. The new log says which, and commits to what is known of the old one.",
    },
    Case {
        alert: "ProbityEvidenceNotAnchored",
        series: &[
            (
                r#"probity_evidence_anchor_age_seconds{instance="a", target="EvidenceLog"}"#,
                "100x5 8000x60 10x20",
            ),
            (
                r#"probity_evidence_anchor_failing{instance="a", target="EvidenceLog"}"#,
                "0x90",
            ),
            (r#"probity_leader{instance="a"}"#, "1x90"),
            // A timestamp authority is asked once a day.
            (
                r#"probity_evidence_anchor_age_seconds{instance="a", target="timestamp"}"#,
                "80000x90",
            ),
            // A follower writes nothing that had to be anchored.
            (
                r#"probity_evidence_anchor_age_seconds{instance="b", target="EvidenceLog"}"#,
                "9000x90",
            ),
            (r#"probity_leader{instance="b"}"#, "0x90"),
        ],
        quiet: 30,
        fires: 40,
        recovered: 70,
        labels: "{instance: a, target: EvidenceLog, severity: warning}",
        summary: "Checkpoints of the evidence log are not kept at EvidenceLog",
        description: "For half an hour the place has failed, or has kept nothing for more than two hours (a timestamp authority: 26 hours). It should at least every hour (once a day).",
    },
    Case {
        alert: "ProbityEvidenceNotAnchoredOutside",
        series: &[
            (
                r#"probity_evidence_externally_anchored{instance="a"}"#,
                "1x5 0x80 1x20",
            ),
            (r#"probity_leader{instance="a"}"#, "1x110"),
            // A follower writes nothing that had to be anchored.
            (
                r#"probity_evidence_externally_anchored{instance="b"}"#,
                "0x110",
            ),
            (r#"probity_leader{instance="b"}"#, "0x110"),
        ],
        quiet: 60,
        fires: 75,
        recovered: 95,
        labels: "{instance: a, severity: warning}",
        summary: "The evidence log of a is anchored nowhere outside of its cluster",
        description: "Whoever administers the cluster holds the log, its key and all of its checkpoints, and could write it anew.",
    },
    Case {
        alert: "ProbityDiskFilling",
        series: &[
            (
                r#"probity_disk_free_bytes{instance="a"}"#,
                "50x5 5x30 50x30",
            ),
            (r#"probity_disk_size_bytes{instance="a"}"#, "100x70"),
        ],
        quiet: 15,
        fires: 25,
        recovered: 45,
        labels: "{instance: a, severity: warning}",
        summary: "The disk of the evidence log of a fills up",
        description: "5% of it is free, and it will be full within four days, or less than a tenth is left.",
    },
    Case {
        alert: "ProbityBrakeLatched",
        series: &[(
            r#"probity_brake_latched{policy="p", control="c"}"#,
            "0x5 1x10 0x5",
        )],
        quiet: 6,
        fires: 8,
        recovered: 18,
        labels: "{policy: p, control: c, severity: warning}",
        summary: "The brake of c in policy p is latched",
        description: "Too large a share of the subjects would have been changed within ten minutes. Nothing more is written for this control until a person releases the brake.",
    },
    Case {
        alert: "ProbityBudgetReached",
        series: &[(r#"probity_budget_reached_total{policy="p"}"#, "0x5 1x40")],
        quiet: 9,
        fires: 13,
        recovered: 30,
        labels: "{policy: p, severity: warning}",
        summary: "Policy p has used up its budget of writes",
        description: "Remedies wait for the next minute. It goes on by itself.",
    },
    Case {
        alert: "ProbityContention",
        series: &[(
            r#"probity_contended_total{policy="p", control="c"}"#,
            "0x5 1x120",
        )],
        quiet: 5,
        fires: 10,
        recovered: 80,
        labels: "{policy: p, control: c, severity: warning}",
        summary: "Somebody keeps undoing what c puts back (policy p)",
        description: "A field was put back twice within ten minutes and changed again. Probity leaves it alone for an hour, then longer.",
    },
    Case {
        alert: "ProbityExceptionExpiring",
        series: &[(
            r#"probity_exceptions_expiring{instance="a"}"#,
            "0x5 2x30 0x5",
        )],
        quiet: 15,
        fires: 25,
        recovered: 38,
        labels: "{severity: info}",
        summary: "2 exceptions end within 7 days",
        description: "What they accept fails when they end.",
    },
    Case {
        alert: "ProbityAttestationExpiring",
        series: &[(
            r#"probity_attestations_expiring{instance="a"}"#,
            "0x5 1x30 0x5",
        )],
        quiet: 15,
        fires: 25,
        recovered: 38,
        labels: "{severity: info}",
        summary: "1 attestations end within 30 days",
        description: "The attested controls fail when they end.",
    },
];

impl Case {
    /// The case as promtool reads it.
    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(
            text,
            "  - name: {}\n    interval: 1m\n    input_series:",
            self.alert
        )?;
        for (series, values) in self.series {
            writeln!(text, "      - {{series: '{series}', values: '{values}'}}")?;
        }
        writeln!(text, "    alert_rule_test:")?;
        for (minute, fires) in [
            (self.quiet, false),
            (self.fires, true),
            (self.recovered, false),
        ] {
            writeln!(
                text,
                "      - eval_time: {minute}m\n        alertname: {}",
                self.alert
            )?;
            if fires {
                writeln!(
                    text,
                    "        exp_alerts:\n          - exp_labels: {}\n            exp_annotations:\n              summary: {:?}\n              description: {:?}\n              runbook_url: https://probity.dev/docs/runbooks/{}.md",
                    self.labels, self.summary, self.description, self.alert
                )?;
            }
        }
        Ok(())
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rules() -> String {
    root()
        .join("charts/probity/files/rules.yaml")
        .display()
        .to_string()
}

fn promtool(args: &[&str]) {
    let program = ensure(Group::Prometheus).unwrap().join("promtool");
    let output = Command::new(program).args(args).output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}{}",
        said(&output.stdout),
        said(&output.stderr)
    );
}

/// Names of all alerts of the rules.
fn alerts() -> BTreeSet<String> {
    let rules: Value = serde_saphyr::from_str(&std::fs::read_to_string(rules()).unwrap()).unwrap();
    let groups = rules["groups"].as_array().unwrap().iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().unwrap());
    rules
        .filter_map(|rule| Some(rule["alert"].as_str()?.to_owned()))
        .collect()
}

#[test]
fn prometheus_takes_the_rules() {
    promtool(&["check", "rules", "--lint=all", "--lint-fatal", &rules()]);
}

#[test]
fn every_alert_fires_when_it_should_and_recovers() {
    let tested: BTreeSet<String> = CASES.iter().map(|case| case.alert.to_owned()).collect();
    assert_eq!(tested, alerts(), "each alert has a case");
    // Alerts rest on what is recorded: promtool keeps no order of groups by itself.
    let mut text = format!(
        "rule_files: [{:?}]\nevaluation_interval: 1m\n\
         group_eval_order: [probity.records, probity.alerts]\ntests:\n",
        rules()
    );
    for case in &CASES {
        assert!(
            case.quiet < case.fires && case.fires < case.recovered,
            "{}",
            case.alert
        );
        case.write(&mut text).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alerts.yaml");
    std::fs::write(&file, text).unwrap();
    promtool(&["test", "rules", &file.display().to_string()]);
}

#[test]
fn every_alert_has_its_runbook_and_every_runbook_its_alert() {
    let folder = root().join("docs/runbooks");
    let files = std::fs::read_dir(&folder).unwrap();
    let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let named = names.filter_map(|name| Some(name.strip_suffix(".md")?.to_owned()));
    let named: BTreeSet<String> = named.filter(|name| name != "README").collect();
    assert_eq!(named, alerts());
    for name in named {
        let text = std::fs::read_to_string(folder.join(format!("{name}.md"))).unwrap();
        for heading in ["What it means", "Impact", "Diagnosis", "Remedy"] {
            let (_, rest) = text.split_once(&format!("## {heading}\n\n")).unwrap();
            assert!(rest.len() > 40, "{name}: {heading}");
        }
        assert!(text.contains("```sh\n"), "{name}: no command");
    }
}
