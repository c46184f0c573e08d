//! Evidence can't be written, or could be lost.

use super::Alert;

pub(super) const ALERTS: [Alert; 5] = [
    Alert {
        name: "ProbityEvidenceFailing",
        expr: "max by (cluster, instance) (probity_evidence_failing) == 1",
        lasting: "1m",
        severity: "critical",
        summary: "The evidence log of {{ $labels.instance }} can't be written",
        description: "Entries wait in memory, and nothing is put back until they are durable.",
        plain_summary: "The evidence log can't be written.",
        meaning: "A write or a sync of the log's disk failed. Entries wait in memory and are tried again every two seconds. Nothing is done \
                  before the entry that announces it is durable, so remedies wait too.",
        impact: "If the pod ends now, what it observed meanwhile is lost and becomes a gap. No drift is put back.",
        diagnosis: "```sh\nkubectl -n probity-system logs -l app.kubernetes.io/name=probity --tail=50\nkubectl -n probity-system get pvc\n\
                    kubectl -n probity-system describe pod -l app.kubernetes.io/name=probity\n```",
        remedy: "Disk full: enlarge the claim. Read-only or I/O errors: look at the node and the storage system. Don't delete the pod unless the \
                 volume is broken for good: it keeps what has not been written. It goes on by itself as soon as the disk does.",
    },
    Alert {
        name: "ProbityEvidenceLogBroken",
        expr: "max by (cluster, instance) (probity_evidence_log_broken) == 1",
        lasting: "0s",
        severity: "critical",
        summary: "The evidence log of {{ $labels.instance }} had to begin anew",
        description: "It could not go on from the one before: lost, rolled back, rewritten or damaged. The new log says which, and commits to what is known of the old one.",
        plain_summary: "The evidence log could not go on from the one before.",
        meaning: "At its start the replica compared its volume with what is anchored outside: the log there was missing, older, other, or \
                  damaged. Rather than stop, it began a new log whose first entry says so.",
        impact: "Evidence of the time before may be lost or in doubt. An auditor will see it, and will ask.",
        diagnosis: "```sh\nkubectl get evidencelogs -o yaml\nkubectl -n probity-system logs -l app.kubernetes.io/name=probity | grep -i 'new log'\n\
                    probity verify FOLDER\n```\n\nLook at who restored, resized or replaced the volume, and at snapshots of it.",
        remedy: "Keep the old volume and its snapshots: they are evidence. Restore the files of the old log beside the new one if you can, and let \
                 `probity verify` judge both. Write a DeviationResponse or an incident record that explains it. The alert ends with the next start \
                 that continues the log.",
    },
    Alert {
        name: "ProbityEvidenceNotAnchored",
        expr: r#"(max by (cluster, instance, target) (probity_evidence_anchor_age_seconds{target!="timestamp"}) > 2 * 3600 or max by (cluster, instance, target) (probity_evidence_anchor_age_seconds{target="timestamp"}) > 26 * 3600 or max by (cluster, instance, target) (probity_evidence_anchor_failing) == 1) and on (cluster, instance) (probity_leader == 1)"#,
        lasting: "30m",
        severity: "warning",
        summary: "Checkpoints of the evidence log are not kept at {{ $labels.target }}",
        description: "For half an hour the place has failed, or has kept nothing for more than two hours (a timestamp authority: 26 hours). It should at least every hour (once a day).",
        plain_summary: "Checkpoints of the log have not been kept outside its volume.",
        meaning: "Checkpoints are kept within ten minutes of new entries, and at least hourly; a timestamp authority is asked once a day. This \
                  place took none for twice that hour, or two hours longer than that day, or refuses them.",
        impact: "Whoever controls the volume could rewrite what is not anchored, and nobody could tell. The longer it lasts, the more evidence \
                 rests on the volume alone.",
        diagnosis: "```sh\nkubectl get evidencelogs\nkubectl -n probity-system logs -l app.kubernetes.io/name=probity | grep -i anchor\n\
                    kubectl auth can-i patch evidencelogs/status --as=system:serviceaccount:probity-system:probity\n```",
        remedy: "Restore the rights (`helm upgrade`), the namespace or the folder that the message names. The next checkpoint covers everything before \
                 it: nothing has to be repeated.",
    },
    Alert {
        name: "ProbityEvidenceNotAnchoredOutside",
        expr: "max by (cluster, instance) (probity_evidence_externally_anchored) == 0 and on (cluster, instance) (probity_leader == 1)",
        lasting: "1h",
        severity: "warning",
        summary: "The evidence log of {{ $labels.instance }} is anchored nowhere outside of its cluster",
        description: "Whoever administers the cluster holds the log, its key and all of its checkpoints, and could write it anew.",
        plain_summary: "The log is anchored nowhere outside of what the cluster's administrators control.",
        meaning: "The condition `ExternallyAnchored` of the `EvidenceLog` is False: no folder on another file system and no bucket has taken a \
                  checkpoint of this log, or the last try failed. The anchors inside of the cluster prove nothing against those who administer it.",
        impact: "An auditor has to trust the administrators for everything since the last checkpoint outside, and for all of it if there never was \
                 one.",
        diagnosis: "```sh\nkubectl get evidencelogs\nkubectl get evidencelogs -o jsonpath='{.items[*].status.anchors}'\n\
                    kubectl -n probity-system logs -l app.kubernetes.io/name=probity | grep -i checkpoint\n```",
        remedy: "Set `anchors.bucket.url` in the chart to a bucket with Object Lock in an account that others administer, or `--anchor-dir` to a file \
                 system that they can't write: [Anchors](../anchors.md) says how. If one is set, its `problem` in the status says why it takes \
                 nothing. If you accept the risk, silence the alert, and tell your auditor so.",
    },
    Alert {
        name: "ProbityDiskFilling",
        expr: "probity_disk_free_bytes / probity_disk_size_bytes < 0.10 or (probity_disk_free_bytes / probity_disk_size_bytes < 0.30 and predict_linear(probity_disk_free_bytes[6h], 4 * 86400) < 0)",
        lasting: "15m",
        severity: "warning",
        summary: "The disk of the evidence log of {{ $labels.instance }} fills up",
        description: "{{ $value | humanizePercentage }} of it is free, and it will be full within four days, or less than a tenth is left.",
        plain_summary: "The disk of the evidence log fills up.",
        meaning: "Less than a tenth of the volume is free; or less than three tenths, and at the rate of the last six hours it is full within \
                  four days.",
        impact: "When it is full the log can't be written, and nothing is put back any more (ProbityEvidenceFailing).",
        diagnosis: "```sh\nkubectl -n probity-system get pvc\nkubectl -n probity-system port-forward probity-0 8080 & curl -s localhost:8080/metrics | grep -E 'disk|evidence'\n```\n\n\
                    A log that grows much faster than before has a reason: something drifts again and again (dashboard *Compliance*).",
        remedy: "Enlarge the claim (`kubectl -n probity-system edit pvc data-probity-0`, where the storage class allows it). Don't delete files of the log by \
                 hand: `probity verify` would rightly call that missing evidence.",
    },
];
