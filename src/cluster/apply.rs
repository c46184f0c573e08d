//! Carrying out the steps of remedies.
//!
//! A write can only hit what it was decided for: a patch or a deletion names the uid and the version that were judged, a
//! creation fails where the object exists. So a write that comes late, or a second writer, does no harm.

use http::{Method, Request};
use serde_json::{Map, Value, json};

use super::client::CallError;
use super::lease::Term;
use super::request::{JSON, MERGE, Place, build, cut, send};
use crate::controls::{Remedy, Target};
use crate::engine::{Action, ActionResult, Failure, FailureKind, Step};
use crate::evidence::Durable;
use crate::inventory::{Uid, meta::MANAGER};

/// Bytes of a server's message that are kept: a webhook may say a lot.
const MOST_MESSAGE: usize = 1000;

/// Parts of messages that tell a refusal of the content, in 403 and other codes, from a lack of rights.
const REFUSALS: [&str; 4] = [
    "admission webhook",
    "ValidatingAdmissionPolicy",
    "MutatingAdmissionPolicy",
    "exceeded quota",
];

/// Carries out an action as part of a term. A write is sent once the records that announce it are durable, and only as
/// long as the term lives.
pub async fn write(
    client: kube::Client,
    term: Term,
    durable: Option<Durable>,
    action: Action,
) -> (u64, ActionResult) {
    let result = if action.step == Step::Write {
        under(&term, durable, carry_out(&client, &action)).await
    } else {
        carry_out(&client, &action).await
    };
    (action.id, result)
}

/// Makes a write once the records that announce it are durable, and only as long as the term lives.
pub(super) async fn under(
    term: &Term,
    durable: Option<Durable>,
    write: impl Future<Output = ActionResult>,
) -> ActionResult {
    let announced = tokio::select! {
        announced = announced(durable) => announced,
        () = term.ended() => Ok(()), // told below
    };
    if let Err(message) = announced {
        return failed(FailureKind::Log, &message);
    }
    if !term.is_live() {
        return failed(
            FailureKind::Transient,
            "leadership ended before it was sent",
        );
    }
    tokio::select! {
        biased; // an answer that is here counts
        result = write => result,
        () = term.ended() => failed(FailureKind::Ambiguous, "leadership ended before the answer came"),
    }
}

async fn announced(durable: Option<Durable>) -> Result<(), String> {
    match durable {
        Some(durable) => durable.await.map_err(|why| why.to_string()),
        None => Err("no record announces the write".to_owned()),
    }
}

/// Carries out one step of a remedy. Whether it may be carried out is decided elsewhere: see [`write`].
pub async fn carry_out(client: &kube::Client, action: &Action) -> ActionResult {
    let request = match request(action) {
        Ok(request) => request,
        Err(failure) => return ActionResult::Failed(failure),
    };
    match send(client, request).await {
        Ok(answer) => result(action, answer),
        Err(error) => ActionResult::Failed(classify(action.step, &error)),
    }
}

/// What to send for a step.
fn request(action: &Action) -> Result<Request<Vec<u8>>, Failure> {
    let object = path(action.remedy.target(), true);
    let dry = action.step == Step::DryRun;
    let built = match &*action.remedy {
        _ if action.step == Step::Archive => build(Method::GET, &object, JSON, &Value::Null),
        Remedy::Create {
            target, manifest, ..
        }
        | Remedy::Start {
            target, manifest, ..
        } => {
            let uri = path(target, false) + &query(dry);
            build(Method::POST, &uri, JSON, manifest)
        }
        Remedy::PutBack { patch, .. } | Remedy::Set { patch, .. } => {
            let body = guarded(patch, judged(action)?)?;
            build(Method::PATCH, &(object + &query(dry)), MERGE, &body)
        }
        Remedy::Delete { .. } => {
            let body = deletion(judged(action)?, dry);
            build(Method::DELETE, &object, JSON, &body)
        }
    };
    built.map_err(|error| classify(action.step, &error))
}

fn path(target: &Target, with_name: bool) -> String {
    let info = target.kind.info();
    Place {
        group: info.group,
        version: info.version,
        plural: info.plural,
        namespace: if info.is_namespaced() {
            &target.namespace
        } else {
            ""
        },
        name: if with_name { &target.name } else { "" },
    }
    .path()
}

/// Strict, because a field that the server drops would be a remedy that it did not carry out.
fn query(dry: bool) -> String {
    let dry = if dry { "&dryRun=All" } else { "" };
    format!("?fieldManager={MANAGER}&fieldValidation=Strict{dry}")
}

/// Uid and version of the object that was judged. Without them a write could hit another one.
fn judged(action: &Action) -> Result<(Uid, u64), Failure> {
    action
        .uid
        .zip(action.resource_version)
        .ok_or_else(|| Failure {
            kind: FailureKind::Superseded,
            message: "the object is not there".to_owned(),
        })
}

/// A merge patch that conflicts where the object is not the one that was judged.
pub(super) fn guarded(patch: &Value, (uid, version): (Uid, u64)) -> Result<Value, Failure> {
    let malformed = || Failure {
        kind: FailureKind::Rejected,
        message: "the patch is not an object, or sets metadata to something that is none"
            .to_owned(),
    };
    let mut body = patch.clone();
    let fields = body.as_object_mut().ok_or_else(malformed)?;
    let meta = fields
        .entry("metadata")
        .or_insert_with(|| Map::new().into())
        .as_object_mut()
        .ok_or_else(malformed)?;
    meta.insert("uid".to_owned(), uid.to_string().into());
    meta.insert("resourceVersion".to_owned(), version.to_string().into());
    Ok(body)
}

/// Options in the body: where there is one, the server ignores those in the query.
fn deletion((uid, version): (Uid, u64), dry: bool) -> Value {
    let mut options = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Background",
        "preconditions": { "uid": uid.to_string(), "resourceVersion": version.to_string() },
    });
    if dry {
        options["dryRun"] = json!(["All"]);
    }
    options
}

/// What an answer means.
fn result(action: &Action, answer: Value) -> ActionResult {
    let deletion = matches!(*action.remedy, Remedy::Delete { .. });
    match action.step {
        Step::Archive => {
            let uid = answer["metadata"]["uid"].as_str().and_then(Uid::parse);
            if uid.is_some() && uid == action.uid {
                ActionResult::Archived(answer)
            } else {
                failed(FailureKind::Superseded, "another object has this name now")
            }
        }
        Step::DryRun if deletion => ActionResult::Accepted(Value::Null),
        Step::DryRun => ActionResult::Accepted(answer),
        Step::Write if deletion => ActionResult::Written(None),
        Step::Write => {
            let version = answer["metadata"]["resourceVersion"].as_str();
            ActionResult::Written(version.and_then(|version| version.parse().ok()))
        }
    }
}

/// What a failure of the call means for the remedy.
pub(super) fn classify(step: Step, error: &CallError) -> Failure {
    let message = error.to_string();
    let kind = if REFUSALS.iter().any(|part| message.contains(part)) && !is_breakdown(error) {
        // A policy or webhook chooses its code freely: 401, 409 and 422 mean no more than 403 then.
        FailureKind::Rejected
    } else {
        match error {
            CallError::NotFound
            | CallError::Conflict { .. }
            | CallError::AlreadyExists
            | CallError::Gone => FailureKind::Superseded,
            CallError::Forbidden { .. } => FailureKind::Forbidden,
            CallError::Invalid { .. } | CallError::NamespaceTerminating => FailureKind::Rejected,
            error if step == Step::Write && error.is_ambiguous() => FailureKind::Ambiguous,
            _ => FailureKind::Transient,
        }
    };
    Failure {
        kind,
        message: shorten(message),
    }
}

/// Leaves beginning and end of a long message: some quote a whole object and say only then what is wrong with it.
fn shorten(message: String) -> String {
    const HALF: usize = MOST_MESSAGE / 2;
    if message.len() <= MOST_MESSAGE {
        return message;
    }
    let end = &message[message.ceil_char_boundary(message.len() - HALF)..];
    format!("{} … {end}", cut(&message, HALF))
}

/// Whether the server, or a proxy before it, broke down: then its words don't say what became of the write.
const fn is_breakdown(error: &CallError) -> bool {
    matches!(
        error,
        CallError::Server { .. } | CallError::Unreachable { .. } | CallError::Other { .. }
    )
}

fn failed(kind: FailureKind, message: &str) -> ActionResult {
    ActionResult::Failed(Failure {
        kind,
        message: message.to_owned(),
    })
}

#[cfg(test)]
mod tests;
