//! The controls over Probity itself, against a real API server with the chart.

use serde_json::Value;

use super::chart::release_manifest;
use super::program::Replica;
use super::world::eventually;
use crate::harness::{Cluster, Options};

const NAMESPACE: &str = "probity-system";

const DIGEST: &str =
    "image.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// A cluster with the chart, and the operator with what the chart grants.
fn installed(values: &[&str]) -> (Cluster, Replica) {
    let cluster = Cluster::start(Options::default()).unwrap();
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/probity");
    let mut args = vec!["install", "probity", chart, "--create-namespace"];
    args.extend(["--namespace", NAMESPACE, "--set", "replicas=0"]);
    for value in values {
        args.extend(["--set", value]);
    }
    cluster.helm_ok(&args);
    cluster.serves_crds();
    let token = ["create", "token", "probity", "--namespace", NAMESPACE];
    let token = cluster.kubectl_ok(&token, None);
    let kubeconfig = cluster.kubeconfig_for_token(token.trim()).unwrap();
    let replica = Replica::with("probity-0", NAMESPACE.to_owned(), kubeconfig);
    (cluster, replica)
}

fn policy(controls: &str) -> String {
    format!(
        "{{apiVersion: probity.dev/v1alpha1, kind: ControlPolicy, metadata: {{name: soc2}}, \
         spec: {{controls: {{{controls}}}}}}}"
    )
}

/// Waits until a control of the policy has this outcome, and returns what the status says of it.
fn becomes(cluster: &Cluster, control: &str, outcome: &str) -> Value {
    eventually(outcome, || {
        let policy = cluster.kubectl_ok(&["get", "ctlp", "soc2", "-o", "json"], None);
        let policy: Value = serde_json::from_str(&policy).unwrap();
        let controls = policy["status"]["controls"].as_array();
        let mut controls = controls.into_iter().flatten();
        let found = controls.find(|one| one["id"] == control);
        match found {
            Some(found) if found["outcome"] == outcome => Ok(found.clone()),
            other => Err(format!("{other:?}")),
        }
    })
}

const GUARDRAILS: &str = "assurance-guardrails-intact";

#[test]
fn a_policy_of_ours_that_somebody_weakens_is_named_with_its_writer() {
    let (cluster, replica) = installed(&[DIGEST, "enforcement.network=true"]);
    let manifest = release_manifest(&cluster, NAMESPACE);
    let replica = replica.with_args(&manifest.each_ref().map(|arg| &**arg));
    let program = replica.start();
    let controls = policy("assuranceGuardrailsIntact: {every: 10s}");
    cluster.kubectl_ok(&["apply", "-f", "-"], Some(&controls));
    let whole = becomes(&cluster, GUARDRAILS, "Pass");
    // The CRDs, four policies with their bindings, the roles and theirs, what runs, the manifest.
    assert!(whole["population"].as_u64() > Some(25), "{whole}");
    let weaker = r#"{"spec": {"failurePolicy": "Ignore"}}"#;
    let patch = ["patch", "validatingadmissionpolicy", "probity-decisions"];
    let how = ["--type=merge", "-p", weaker, "--field-manager=mallory"];
    cluster.kubectl_ok(&[&patch[..], &how].concat(), None);
    let failing = becomes(&cluster, GUARDRAILS, "Fail");
    let found = &failing["violations"];
    assert_eq!(found.as_array().unwrap().len(), 1, "{failing}");
    assert_eq!(found[0]["name"], "probity-decisions");
    assert_eq!(found[0]["reason"], "GuardrailChanged");
    let message = found[0]["message"].as_str().unwrap();
    assert!(message.contains("spec.failurePolicy"), "{message}");
    assert!(message.contains("field manager mallory"), "{message}");
    let stronger = weaker.replace("Ignore", "Fail");
    let how = ["--type=merge", "-p", &stronger];
    cluster.kubectl_ok(&[&patch[..], &how].concat(), None);
    becomes(&cluster, GUARDRAILS, "Pass");
    let binding = ["delete", "clusterrolebinding", "probity-enforce-network"];
    cluster.kubectl_ok(&binding, None);
    let gone = becomes(&cluster, GUARDRAILS, "Fail");
    assert_eq!(gone["violations"][0]["reason"], "GuardrailGone");
    assert!(program.stop().success());
}

const CHANGES: &str = "assurance-policy-change-control";

#[test]
fn a_change_of_an_enforcing_policy_needs_an_approval_of_its_own() {
    let (cluster, replica) = installed(&[]);
    let program = replica.start();
    let of = |mode: &str, change: &str| {
        format!(
            "{{apiVersion: probity.dev/v1alpha1, kind: ControlPolicy, metadata: {{name: soc2}}, \
             spec: {{mode: {mode}, {change} controls: {{assurancePolicyChangeControl: {{}}}}}}}}"
        )
    };
    let apply = |mode: &str, change: &str| {
        cluster.kubectl_ok(&["apply", "-f", "-"], Some(&of(mode, change)));
    };
    let fails = |reason: &str| {
        eventually(reason, || {
            let failing = becomes(&cluster, CHANGES, "Fail");
            let found = &failing["violations"][0];
            assert_eq!(found["name"], "soc2", "{failing}");
            (found["reason"] == reason)
                .then_some(())
                .ok_or(failing.to_string())
        });
    };
    apply("Observe", "");
    becomes(&cluster, CHANGES, "Pass");
    apply("Enforce", "");
    fails("ChangeNotApproved");
    apply("Enforce", "change: {approvedBy: bob, ticket: T-1},");
    becomes(&cluster, CHANGES, "Pass");
    apply("Observe", "change: {approvedBy: bob, ticket: T-1},");
    fails("ApprovalOfAnotherChange");
    // What was found is still known after a restart: the log has it.
    assert!(program.stop().success());
    let program = replica.start();
    fails("ApprovalOfAnotherChange");
    apply(
        "Observe",
        "change: {approvedBy: kubectl-client-side-apply, ticket: T-2},",
    );
    becomes(&cluster, CHANGES, "Pass");
    apply(
        "Enforce",
        "change: {approvedBy: kubectl-client-side-apply, ticket: T-3},",
    );
    fails("OwnApproval");
    assert!(program.stop().success());
    let said = replica.said("policyChange");
    assert!(said.len() >= 6, "{said:?}");
    let both = |one: &Value| one["newHash"].is_string() && one["oldHash"].is_string();
    assert!(said[1..].iter().all(both), "{said:?}");
}
