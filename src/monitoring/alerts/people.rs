//! What people have to renew.

use super::Alert;

pub(super) const ALERTS: [Alert; 2] = [
    Alert {
        name: "ProbityExceptionExpiring",
        expr: "max by (cluster) (probity_exceptions_expiring) > 0",
        lasting: "15m",
        severity: "info",
        summary: "{{ $value }} exceptions end within 7 days",
        description: "What they accept fails when they end.",
        plain_summary: "Exceptions end within seven days.",
        meaning: "Exceptions that accept failures now end within seven days. They end by themselves, to the second.",
        impact: "What they accept fails then: the outcome goes from `Excepted` to `Fail`, a deviation opens, and ProbityComplianceLost may fire.",
        diagnosis: "```sh\nkubectl get controlexceptions -A --sort-by=.spec.expiresAt\nkubectl get clustercontrolexceptions --sort-by=.spec.expiresAt\n```",
        remedy: "Fix what was accepted, and delete the exception. Or ask for another one in time: somebody else has to approve it (`probity approve`). An \
                 exception can't be prolonged.",
    },
    Alert {
        name: "ProbityAttestationExpiring",
        expr: "max by (cluster) (probity_attestations_expiring) > 0",
        lasting: "15m",
        severity: "info",
        summary: "{{ $value }} attestations end within 30 days",
        description: "The attested controls fail when they end.",
        plain_summary: "Attestations end within thirty days.",
        meaning: "Attestations that count now end within thirty days.",
        impact: "The attested control fails when its attestation has ended, unless another one is approved before.",
        diagnosis: "```sh\nkubectl get attestations --sort-by=.spec.validUntil\n```",
        remedy: "Operate the control, collect the evidence, create the next Attestation, and have somebody else approve it (`probity approve`). The \
                 control's page says what an attestation has to contain.",
    },
];
