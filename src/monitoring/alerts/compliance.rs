//! Controls that stopped to hold.

use super::Alert;

/// Severity of the alert by that of the control.
const BY_CONTROL: &str =
    r#"{{ if eq $labels.severity "Critical" }}critical{{ else }}warning{{ end }}"#;

pub(super) const ALERTS: [Alert; 3] = [
    Alert {
        name: "ProbityComplianceLost",
        expr: "policy_control:probity_deviations_new:max > 0",
        lasting: "2m",
        severity: BY_CONTROL,
        summary: "{{ $labels.control }} fails in policy {{ $labels.policy }}",
        description: "{{ $value }} subjects fail that did not when the policy first looked. Control severity: {{ $labels.severity }}.",
        plain_summary: "A control fails that did not when the policy was first applied.",
        meaning: "Something changed, and at least one subject of the control has failed for two minutes: it drifted, or it is new and \
                  was wrong from the start. Drift that Probity puts back at once does not fire. What failed when the policy was first applied \
                  (origin `Baseline`) does not fire either.",
        impact: "A deviation is open. Its begin and its end are in the evidence log and become part of the audit period; fixing it ends it \
                 and does not erase it.",
        diagnosis: "Which subjects, since when, and why:\n\n\
                    ```sh\nkubectl describe controlpolicy POLICY\nprobity explain CONTROL\nkubectl get events -A --field-selector reason=ControlFailed\n```\n\n\
                    The control's page in `docs/controls` says what it checks and what it can't see. Dashboard *Control* shows when it began.",
        remedy: "Do what the violation's message or the control's page proposes. If the policy only observes, `probity diff` shows what Enforce \
                 would change. If the failure is accepted, ask for a ControlException; while it is valid the outcome is `Excepted`. The alert \
                 ends when the subjects pass, are excepted, or are gone.",
    },
    Alert {
        name: "ProbityDeviationOverdue",
        expr: r#"policy_control:probity_deviation_new_age_seconds:max{severity="Critical"} > 4 * 3600 or policy_control:probity_deviation_new_age_seconds:max{severity="High"} > 86400 or policy_control:probity_deviation_new_age_seconds:max{severity="Medium"} > 7 * 86400 or policy_control:probity_deviation_new_age_seconds:max{severity="Low"} > 30 * 86400"#,
        lasting: "5m",
        severity: BY_CONTROL,
        summary: "A deviation of {{ $labels.control }} in policy {{ $labels.policy }} is open for {{ $value | humanizeDuration }}",
        description: "That is longer than the objective for severity {{ $labels.severity }} (Critical 4 hours, High 1 day, Medium 7 days, Low 30 days).",
        plain_summary: "A deviation has been open for longer than its severity allows.",
        meaning: "The objective by severity of the control is 4 hours (Critical), 1 day (High), 7 days (Medium) or 30 days (Low). The oldest \
                  deviation of this control that is not part of the baseline has been open for longer.",
        impact: "Auditors look at how long deviations stay open, and at whether management knew. An overdue deviation without a response is a \
                 finding by itself.",
        diagnosis: "```sh\nkubectl describe controlpolicy POLICY\nprobity explain CONTROL\nkubectl get deviationresponses\n```\n\n\
                    The *Audit period* dashboard lists open deviations, the oldest first. If Probity should have put it back, the violation says \
                    what holds the remedy: a brake, a budget, an owner, a missing right, or that the failure is older than Enforce.",
        remedy: "Fix the subject, or accept the failure with a ControlException. Write a DeviationResponse either way: it goes into the auditor pack. \
                 If the objectives don't fit your organisation, route the alert by its labels, or raise the control's `severity` in the policy.",
    },
    Alert {
        name: "ProbityRestoreTestDue",
        expr: r#"min by (cluster, policy, control) (probity_control_deadline_timestamp_seconds{control="backup-restore-test-current"}) - time() < 7 * 86400"#,
        lasting: "15m",
        severity: "warning",
        summary: "A restore test is due in {{ $value | humanizeDuration }} (policy {{ $labels.policy }})",
        description: "The control backup-restore-test-current fails unless a restore is tested until then.",
        plain_summary: "The last restore test will be too old within seven days.",
        meaning: "`backup-restore-test-current` passes by a restore that will be older than its limit within seven days.",
        impact: "When the time is over the control fails, and the failure is a deviation in the audit period (A1.3).",
        diagnosis: "```sh\nprobity explain backup-restore-test-current\nkubectl get restores.velero.io -A\n```",
        remedy: "Restore a backup into a scratch namespace and check what came back; or let Probity do it: set `drill` in the policy and \
                 `drill.enabled=true` in the chart. The control's page says which restores count.",
    },
];
