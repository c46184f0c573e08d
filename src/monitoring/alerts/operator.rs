//! The operator does not see, or is not there.

use super::Alert;

pub(super) const ALERTS: [Alert; 2] = [
    Alert {
        name: "ProbityAbsent",
        expr: "absent(probity_leader == 1)",
        lasting: "5m",
        severity: "critical",
        summary: "No replica of Probity leads",
        description: "For five minutes no replica has led, or none could be scraped. Nothing is recorded and nothing is put back.",
        plain_summary: "No replica of Probity leads, or Prometheus reaches none.",
        meaning: "Prometheus has seen no series `probity_leader` with value 1 for five minutes: the pod does not run, can't take its lease, or \
                  can't be scraped. The rule must be evaluated by the Prometheus that scrapes Probity.",
        impact: "Time in which nobody watches is a gap in the evidence: coverage of the audit period falls, and drift in it is found only \
                 afterwards. Nothing is put back meanwhile.",
        diagnosis: "```sh\nkubectl -n probity-system get pods,lease\nkubectl -n probity-system describe pod -l app.kubernetes.io/name=probity\n\
                    kubectl -n probity-system logs -l app.kubernetes.io/name=probity --tail=50\n```\n\n\
                    If a pod runs and `kubectl -n probity-system get lease probity` is renewed every second, Prometheus doesn't reach it: look at the \
                    target, the ServiceMonitor's labels, and at NetworkPolicies.",
        remedy: "Pending: room, taints, or a volume that can't be attached. CrashLoopBackOff: the last line of the log says what to do; a log \
                 that is damaged or on a full disk is named there. No lease: the API server is unreachable, or the Role of the lease is gone: \
                 `helm upgrade` puts it back. Run two replicas (`replicas: 2`) to shorten such gaps.",
    },
    Alert {
        name: "ProbityWatchStale",
        expr: "min by (cluster, kind) (probity_watch_available) == 0",
        lasting: "5m",
        severity: "warning",
        summary: "{{ $labels.kind }} can't be judged",
        description: "The watch of {{ $labels.kind }} has been stale, forbidden or incomplete for five minutes. Controls that read it are Unknown, and remedy nothing.",
        plain_summary: "A kind can't be watched: the controls that read it are Unknown.",
        meaning: "A replica can't list or watch the kind, or has heard nothing for more than 90 seconds. Probity gives no verdict from a cluster \
                  that it sees by half.",
        impact: "The controls that read the kind are `Unknown`: they are not satisfied, nothing of theirs is put back, and the time is a gap.",
        diagnosis: "```sh\nkubectl -n probity-system logs -l app.kubernetes.io/name=probity --tail=200 | grep -i watch\n\
                    kubectl auth can-i watch KIND --as=system:serviceaccount:probity-system:probity -A\nkubectl get --raw /readyz?verbose\n```",
        remedy: "Forbidden: the ClusterRole of the chart was changed, or a policy engine removes rights; `helm upgrade` puts it back. Stale: the API \
                 server is overloaded, or a proxy cuts long connections. A CRD that was removed while objects were known: install it again, or \
                 take the control out of the policy. One of Probity's own kinds, such as ControlPolicy: its CRD is gone, and with it every \
                 object of it; `helm upgrade` brings the CRD back, and what was applied has to be applied again.",
    },
];
