use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;

use super::*;
use crate::cluster::lease::Leadership;
use crate::cluster::request::fake;
use crate::controls::Consent;
use crate::inventory::Kind;

const UID: &str = "0f6f1a5e-3b1f-4a86-9d2c-6a0b6a4b9f10";

fn target(kind: Kind, namespace: &str, name: &str) -> Target {
    Target {
        kind,
        namespace: namespace.into(),
        name: name.into(),
    }
}

fn action(step: Step, remedy: Remedy) -> Action {
    Action {
        id: 7,
        step,
        remedy: Arc::new(remedy),
        uid: Uid::parse(UID),
        resource_version: Some(41),
        caused_at: Duration::ZERO,
    }
}

fn create() -> Remedy {
    Remedy::Create {
        target: target(Kind::NetworkPolicy, "web", "deny"),
        manifest: json!({ "kind": "NetworkPolicy" }),
        consent: Consent::Given,
        owners: None,
    }
}

fn put_back(patch: Value) -> Remedy {
    Remedy::PutBack {
        target: target(Kind::NetworkPolicy, "web", "deny"),
        patch,
        path: 0,
    }
}

fn delete() -> Remedy {
    Remedy::Delete {
        target: target(Kind::ClusterRoleBinding, "", "ops:root"),
    }
}

/// What becomes of an action if the server answers so, and what it was asked.
async fn carried(
    action: &Action,
    code: u16,
    answer: Value,
) -> (ActionResult, (String, String, Value)) {
    let (client, heard) = fake::server(vec![(code, answer)]);
    let result = carry_out(&client, action).await;
    let heard = heard.lock().unwrap()[0].clone();
    (result, heard)
}

fn kind_of(result: ActionResult) -> FailureKind {
    match result {
        ActionResult::Failed(failure) => failure.kind,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_creation_posts_the_manifest() {
    let answer = json!({ "metadata": { "resourceVersion": "42" } });
    let write = action(Step::Write, create());
    let (result, (line, content, body)) = carried(&write, 201, answer.clone()).await;
    assert!(matches!(result, ActionResult::Written(Some(42))));
    assert_eq!(
        line,
        "POST /apis/networking.k8s.io/v1/namespaces/web/networkpolicies?fieldManager=probity&fieldValidation=Strict"
    );
    assert_eq!((&*content, &body["kind"]), (JSON, &json!("NetworkPolicy")));

    let (result, (line, ..)) = carried(&action(Step::DryRun, create()), 201, answer).await;
    assert!(matches!(result, ActionResult::Accepted(Value::Object(_))));
    assert!(line.ends_with("&dryRun=All"));
}

#[tokio::test]
async fn a_patch_names_what_was_judged_and_keeps_the_rest_of_the_metadata() {
    let patch = json!({ "metadata": { "labels": { "a": "b" } }, "spec": { "x": null } });
    let write = action(Step::Write, put_back(patch));
    let answer = json!({ "metadata": { "resourceVersion": "43" } });
    let (result, (line, content, body)) = carried(&write, 200, answer).await;
    assert!(matches!(result, ActionResult::Written(Some(43))));
    assert!(line.starts_with("PATCH ") && line.contains("/networkpolicies/deny?fieldManager"));
    assert_eq!(content, MERGE);
    assert_eq!(
        body,
        json!({
            "metadata": { "labels": { "a": "b" }, "uid": UID, "resourceVersion": "41" },
            "spec": { "x": null },
        })
    );
}

#[tokio::test]
async fn a_deletion_has_preconditions_and_its_dry_run_is_in_the_body() {
    let status = json!({ "kind": "Status", "status": "Success" });
    let dry = action(Step::DryRun, delete());
    let (result, (line, _, body)) = carried(&dry, 200, status.clone()).await;
    assert!(matches!(result, ActionResult::Accepted(Value::Null)));
    assert_eq!(
        line,
        "DELETE /apis/rbac.authorization.k8s.io/v1/clusterrolebindings/ops%3Aroot"
    );
    assert_eq!(body["dryRun"], json!(["All"]));
    assert_eq!(
        body["preconditions"],
        json!({ "uid": UID, "resourceVersion": "41" })
    );

    let (result, (_, _, body)) = carried(&action(Step::Write, delete()), 200, status).await;
    assert!(matches!(result, ActionResult::Written(None)));
    assert_eq!(body.get("dryRun"), None);
}

#[tokio::test]
async fn an_archive_is_of_the_very_object() {
    let archive = action(Step::Archive, delete());
    let answer = json!({ "metadata": { "uid": UID } });
    let (result, (line, ..)) = carried(&archive, 200, answer).await;
    assert!(matches!(result, ActionResult::Archived(_)));
    assert!(line.starts_with("GET ") && line.ends_with("ops%3Aroot"));

    let other = json!({ "metadata": { "uid": "0f6f1a5e-3b1f-4a86-9d2c-6a0b6a4b9f11" } });
    for answer in [other, json!({})] {
        let (result, _) = carried(&archive, 200, answer).await;
        assert_eq!(kind_of(result), FailureKind::Superseded);
    }
}

#[tokio::test]
async fn nothing_is_sent_without_uid_and_version() {
    for remedy in [put_back(json!({})), delete()] {
        let (client, heard) = fake::server(vec![(200, json!({}))]);
        let mut action = action(Step::Write, remedy);
        action.resource_version = None;
        let result = carry_out(&client, &action).await;
        assert_eq!(kind_of(result), FailureKind::Superseded);
        assert!(heard.lock().unwrap().is_empty());
    }
    for patch in [json!([]), json!({ "metadata": null })] {
        let failure = request(&action(Step::Write, put_back(patch))).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Rejected);
    }
}

#[test]
fn failures_are_mapped_by_class_and_words() {
    use FailureKind::{Ambiguous, Forbidden, Rejected, Superseded, Transient};
    let of = |step, code, message: &str| {
        let body = json!({ "message": message, "reason": "" }).to_string();
        classify(step, &CallError::from_answer(code, body.as_bytes())).kind
    };
    for (code, message, write, dry) in [
        (404, "", Superseded, Superseded),
        (409, "modified", Superseded, Superseded),
        (410, "", Superseded, Superseded),
        (403, "User \"x\" cannot patch", Forbidden, Forbidden),
        (403, "admission webhook \"w\" denied", Rejected, Rejected),
        (422, "ValidatingAdmissionPolicy 'p'", Rejected, Rejected),
        (401, "ValidatingAdmissionPolicy 'p'", Rejected, Rejected),
        (409, "admission webhook \"w\" denied", Rejected, Rejected),
        (403, "exceeded quota: q", Rejected, Rejected),
        (422, "", Rejected, Rejected),
        (401, "", Transient, Transient),
        (429, "", Transient, Transient),
        (500, "", Ambiguous, Transient),
        (500, "admission webhook failed", Ambiguous, Transient),
    ] {
        assert_eq!(of(Step::Write, code, message), write, "{code} {message}");
        assert_eq!(of(Step::DryRun, code, message), dry, "{code} {message}");
    }
    let unreachable = CallError::Unreachable {
        message: String::new(),
    };
    for (error, kind) in [
        (CallError::Timeout, Ambiguous),
        (unreachable, Ambiguous),
        (CallError::NamespaceTerminating, Rejected),
        (CallError::AlreadyExists, Superseded),
    ] {
        assert_eq!(classify(Step::Write, &error).kind, kind, "{error}");
    }
}

#[test]
fn of_long_messages_beginning_and_end_are_kept() {
    let message = format!("first {} last", "ü".repeat(5000));
    let failure = classify(Step::Write, &CallError::Invalid { message });
    assert!(failure.message.len() <= MOST_MESSAGE + 5);
    assert!(failure.message.contains("first ü") && failure.message.ends_with("ü last"));
}

fn logged(result: Result<(), &str>) -> Durable {
    let result = result.map_err(std::sync::Arc::from);
    futures::future::ready(result).boxed().shared()
}

#[tokio::test]
async fn a_write_goes_out_after_its_records_and_within_its_term() {
    let (term, _end) = Term::testing();
    let (client, heard) = fake::server(vec![(201, json!({}))]);
    let write_action = action(Step::Write, create());
    for (durable, sent) in [
        (None, 0),
        (Some(logged(Err("stopped"))), 0),
        (Some(logged(Ok(()))), 1),
    ] {
        let call = write(client.clone(), term.clone(), durable, write_action.clone());
        let (id, result) = tokio::spawn(call).await.unwrap();
        assert_eq!(id, 7);
        assert_eq!(heard.lock().unwrap().len(), sent);
        match result {
            ActionResult::Written(None) => assert_eq!(sent, 1),
            other => assert_eq!(kind_of(other), FailureKind::Log),
        }
    }
}

#[tokio::test]
async fn after_its_term_nothing_is_sent_even_if_the_log_hangs() {
    let (term, end) = Term::testing();
    end.send_replace(Leadership::Follower { holder: None });
    let hung: Durable = futures::future::pending().boxed().shared();
    for durable in [logged(Ok(())), hung] {
        let (client, heard) = fake::server(vec![(201, json!({}))]);
        let action = action(Step::Write, create());
        let (_, result) = write(client, term.clone(), Some(durable), action).await;
        assert_eq!(kind_of(result), FailureKind::Transient);
        assert!(heard.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_write_that_outlives_its_term_is_ambiguous() {
    let (term, end) = Term::testing();
    let hung = tower::service_fn(|_: Request<kube::client::Body>| {
        std::future::pending::<Result<http::Response<kube::client::Body>, std::io::Error>>()
    });
    let client = kube::Client::new(hung, "default");
    let call = tokio::spawn(write(
        client,
        term,
        Some(logged(Ok(()))),
        action(Step::Write, create()),
    ));
    tokio::task::yield_now().await;
    end.send_replace(Leadership::Follower { holder: None });
    let (_, result) = call.await.unwrap();
    assert_eq!(kind_of(result), FailureKind::Ambiguous);
}
