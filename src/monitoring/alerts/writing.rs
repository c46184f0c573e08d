//! Writes that are held back.

use super::Alert;

pub(super) const ALERTS: [Alert; 3] = [
    Alert {
        name: "ProbityBrakeLatched",
        expr: "max by (cluster, policy, control) (probity_brake_latched) == 1",
        lasting: "1m",
        severity: "warning",
        summary: "The brake of {{ $labels.control }} in policy {{ $labels.policy }} is latched",
        description: "Too large a share of the subjects would have been changed within ten minutes. Nothing more is written for this control until a person releases the brake.",
        plain_summary: "A control writes nothing more until a person has looked.",
        meaning: "More than `limits.maxShareOfKind` of the control's subjects would have been changed within ten minutes. That is either a large \
                  accident that should be put back, or a change that somebody means, and that Probity should not undo.",
        impact: "What drifts in this control stays as it is. It goes on being recorded.",
        diagnosis: "```sh\nkubectl describe controlpolicy POLICY\nprobity diff\nkubectl -n probity-system exec probity-0 -- probity log --json | grep brake\n```\n\n\
                    Ask who changed so much at once: a roll-out, a migration, a tool that is configured wrongly.",
        remedy: "If it should be put back: set `spec.limits.release` of the policy to another value, such as today's date and your name; that releases \
                 the brake and is in the evidence log. It lets as many writes through again, and no more: where all of it is to be put back at \
                 once, raise `spec.limits.maxShareOfKind` in the same change. If the change is meant: change the policy or grant an exception first.",
    },
    Alert {
        name: "ProbityBudgetReached",
        expr: "sum by (cluster, policy) (increase(probity_budget_reached_total[15m])) > 0",
        lasting: "5m",
        severity: "warning",
        summary: "Policy {{ $labels.policy }} has used up its budget of writes",
        description: "Remedies wait for the next minute. It goes on by itself.",
        plain_summary: "A policy has used up its writes of a minute: remedies wait.",
        meaning: "The policy wanted to write more often than `limits.writesPerMinute` allows. Remedies wait, the most severe first.",
        impact: "Drift is put back later than it could be; deviations last longer.",
        diagnosis: "```sh\nkubectl describe controlpolicy POLICY\nkubectl get events -A --field-selector reason=BudgetReached\n```\n\n\
                    Dashboard *Operator*, *Write budget*; dashboard *Compliance*, *Drift by control*.",
        remedy: "Find what drifts so often; usually a tool writes what the policy forbids. Raise `limits.writesPerMinute` only if the amount is what \
                 you expect.",
    },
    Alert {
        name: "ProbityContention",
        expr: "sum by (cluster, policy, control) (increase(probity_contended_total[1h])) > 0",
        lasting: "0s",
        severity: "warning",
        summary: "Somebody keeps undoing what {{ $labels.control }} puts back (policy {{ $labels.policy }})",
        description: "A field was put back twice within ten minutes and changed again. Probity leaves it alone for an hour, then longer.",
        plain_summary: "Somebody else keeps changing what Probity puts back.",
        meaning: "Two writers want different values of the same field. Probity does not fight: it leaves the field alone for an hour, doubling to a \
                  day, or until the policy changes.",
        impact: "The subject fails meanwhile. The other writer's value stands.",
        diagnosis: "The policy's condition `Contended`, and the Event, name the other field manager:\n\n\
                    ```sh\nkubectl get controlpolicy POLICY -o jsonpath='{.status.conditions[?(@.type==\"Contended\")].message}'\n\
                    kubectl get KIND NAME -n NAMESPACE --show-managed-fields -o yaml\n```",
        remedy: "Change the other writer's source: the chart, the Git repository, the controller's configuration. Or take the control's enforcement \
                 back for that namespace (`spec.enforceSelector`), or grant an exception.",
    },
];
