use super::*;
use crate::cluster::request::fake;
use crate::controls::subject::SubjectKind;
use crate::inventory::Kind;

fn notice(subject: Option<Subject>) -> Notice {
    Notice {
        subject,
        policy: Some("base".into()),
        kind: NoticeKind::Warning,
        reason: "Drifted",
        action: "Judge",
        note: "it drifted".to_owned(),
    }
}

fn service() -> Subject {
    Subject::object(Kind::Service, &"web".into(), &"front".into())
}

fn event(notice: &Notice) -> Value {
    let draft = Draft::of(notice, Some("u".to_owned()), Some("v".to_owned())).unwrap();
    let wall = Timestamp::from_millisecond(1_500).unwrap();
    draft.event("e", "replica-0", wall)
}

#[test]
fn an_event_is_about_the_subject_and_related_to_the_policy() {
    let event = event(&notice(Some(service())));
    assert_eq!(
        event,
        json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": { "name": "e", "namespace": "web" },
            "eventTime": "1970-01-01T00:00:01.500000Z",
            "reportingController": "probity.dev/probity",
            "reportingInstance": "replica-0",
            "action": "Judge",
            "reason": "Drifted",
            "regarding": {
                "apiVersion": "v1", "kind": "Service",
                "namespace": "web", "name": "front", "uid": "u",
            },
            "related": {
                "apiVersion": "probity.dev/v1alpha1", "kind": "ControlPolicy",
                "name": "base", "uid": "v",
            },
            "note": "it drifted",
            "type": "Warning",
        })
    );
}

#[test]
fn events_about_cluster_scoped_objects_are_in_default() {
    let namespace = event(&notice(Some(Subject::namespace(&"web".into()))));
    assert_eq!(namespace["metadata"]["namespace"], "default");
    assert_eq!(namespace["regarding"].get("namespace"), None);
    let policy = event(&notice(None));
    assert_eq!(policy["metadata"]["namespace"], "default");
    assert_eq!(policy["regarding"]["kind"], "ControlPolicy");
    assert_eq!(policy.get("related"), None);
}

#[test]
fn a_subject_that_is_no_object_is_named_in_an_event_about_the_policy() {
    let event = event(&notice(Some(Subject::named(SubjectKind::User, "eve"))));
    assert_eq!(
        event["regarding"],
        json!({ "apiVersion": "probity.dev/v1alpha1", "kind": "ControlPolicy", "name": "base", "uid": "v" })
    );
    assert_eq!(event["note"], "User eve: it drifted");
}

#[test]
fn notes_are_cut_and_notices_about_nothing_are_none() {
    let mut notice = notice(None);
    notice.note = "ü".repeat(700);
    let draft = Draft::of(&notice, None, None).unwrap();
    assert_eq!(draft.key.note.len(), MOST_NOTE);
    notice.policy = None;
    assert!(Draft::of(&notice, None, None).is_none());
}

/// Publishes the same notice so often, and returns the last result and the lines that arrived.
async fn published(times: u64, answers: Vec<(u16, Value)>) -> (Result<(), CallError>, Vec<String>) {
    let (client, heard) = fake::server(answers);
    let mut publisher = Publisher::new("replica-0");
    let mut last = Ok(());
    for n in 0..times {
        let (notice, wall) = (notice(Some(service())), Timestamp::UNIX_EPOCH);
        let now = Duration::from_secs(n);
        last = publisher
            .publish(&client, &notice, None, None, now, wall)
            .await;
    }
    let heard = heard.lock().unwrap();
    let lines = heard.iter().map(|(line, _, body)| {
        let method = line.split(' ').next().unwrap_or_default();
        format!("{method} {}", body["series"]["count"])
    });
    (last, lines.collect())
}

#[tokio::test]
async fn repetitions_become_updates_of_the_series() {
    let (result, lines) = published(3, vec![(201, json!({}))]).await;
    assert_eq!(result, Ok(()));
    assert_eq!(lines, ["POST null", "PATCH 2", "PATCH 3"]);
}

#[tokio::test]
async fn an_event_that_went_is_created_anew() {
    let answers = vec![(201, json!({})), (404, json!({})), (201, json!({}))];
    let (result, lines) = published(3, answers).await;
    assert_eq!(result, Ok(()));
    assert_eq!(lines, ["POST null", "PATCH 2", "POST null", "PATCH 2"]);
}

#[tokio::test]
async fn failures_are_told_except_that_of_a_namespace_that_went() {
    let (result, lines) = published(2, vec![(500, json!({ "message": "m" }))]).await;
    assert!(matches!(result, Err(CallError::Server { .. })));
    assert_eq!(lines, ["POST null", "POST null"]);
    let (result, _) = published(1, vec![(404, json!({}))]).await;
    assert_eq!(result, Ok(()));
}
