//! Examples in the help of commands that have no room for them in their own file. `tests/cli` runs each as it stands.

pub(super) const RUN: &str = "\
Examples:
  # Beside a cluster, with the rights of the kubeconfig: for trying out
  probity run --data-dir evidence --namespace default
  # What it does, as lines for machines
  probity run --data-dir evidence --namespace default --log-format json
  # Spans and metrics to an OpenTelemetry collector
  probity run --data-dir evidence --namespace default --otlp-endpoint http://localhost:4318";

pub(super) const APPROVE: &str = "\
Examples:
  # Accept a failure, as somebody else asked for
  probity approve controlexception/rebuild -n shop --comment 'It is gone in June'";

pub(super) const REJECT: &str = "\
Examples:
  # Refuse what somebody else asked for
  probity reject controlexception/for-ever -n shop --comment 'Ask for less than a year'";

pub(super) const REVIEW: &str = "\
Examples:
  # The rights that were frozen for a review, one a row
  probity review shop-q2
  # Decide: keep all of them
  probity review shop-q2 --keep-others";

pub(super) const LOG: &str = "\
Examples:
  # What happened, of the operator in the cluster
  kubectl exec -n probity-system probity-0 -- probity log
  # Every change of a verdict, as JSON lines
  kubectl exec -n probity-system probity-0 -- probity log --type transition --json
  # A copy for backup and for auditors
  kubectl exec -n probity-system probity-0 -- probity log --archive > probity-0.tar";

pub(super) const VERIFY: &str = "\
Examples:
  # A copy of a log, with a key and a checkpoint from elsewhere
  probity verify probity-0.tar --key probity.pub --anchor probity-0.json
  # One entry, without the log
  probity verify --proof entry.tlog-proof --key probity.pub";

pub(super) const PROVE: &str = "\
Examples:
  # The proof of an entry, for somebody who doesn't get the log
  probity prove 0 --log evidence --out entry.tlog-proof
  # Of a finding, by the id of its deviation
  probity prove 0123456789abcdef --log evidence";

pub(super) const NEW_KEY: &str = "\
Examples:
  # For the operator in the cluster; it signs from the next start on
  kubectl exec -n probity-system probity-0 -- probity new-key";

pub(super) const FLEET: &str = "\
Examples:
  # Rows of all logs in a folder, for query engines
  probity fleet index fleet
  # Prove each of them
  probity fleet verify fleet --key probity.pub";

pub(super) const PERIOD: &str = "\
Examples:
  # How each control operated
  probity period period.yaml --log evidence
  # Which criteria are covered, and by what
  probity period period.yaml --log evidence --readiness";

pub(super) const REPORT: &str = "\
Examples:
  # The pack for the auditor, as a folder of pages, tables and the log
  probity report --period period.yaml --log evidence --out pack";

pub(super) const SAMPLE: &str = "\
Examples:
  # Twenty-five subjects, which the auditor draws again with the same seed, of the log that
  # PROBITY_DATA_DIR names
  probity sample period.yaml --control net-namespace-default-deny --seed 4711 --count 25";

pub(super) const CONTROLS: &str = "\
Examples:
  probity controls
  probity controls --family network
  probity controls --criterion CC6.1";

pub(super) const CRDS: &str = "\
Examples:
  probity crds | kubectl apply --server-side -f -";

pub(super) const BASELINE: &str = "\
Examples:
  # Begin: every control, nothing is written
  probity baseline | kubectl apply --server-side -f -";
