//! Carrying out the writes of a restore drill.
//!
//! A creation fails where the object exists, a patch names the uid and version that were seen, a deletion the uid: so a
//! drill never touches what is not its own, whatever names it finds taken.

use http::Method;
use serde_json::{Value, json};

use super::apply::{classify, guarded, under};
use super::client::CallError;
use super::lease::Term;
use super::request::{JSON, MERGE, Place, build, send};
use crate::engine::{ActionResult, DrillCall, DrillWrite, Failure, Step};
use crate::evidence::Durable;
use crate::inventory::meta::MANAGER;

/// Carries out a write as part of a term, once the records that announce it are durable.
pub async fn write(
    client: kube::Client,
    term: Term,
    durable: Option<Durable>,
    write: DrillWrite,
) -> (u64, ActionResult) {
    let result = under(&term, durable, async {
        carry_out(&client, &write)
            .await
            .unwrap_or_else(ActionResult::Failed)
    });
    (write.id, result.await)
}

async fn carry_out(client: &kube::Client, write: &DrillWrite) -> Result<ActionResult, Failure> {
    let failure = |error: CallError| classify(Step::Write, &error);
    let place = |name| Place {
        group: write.spot.group,
        version: write.spot.version,
        plural: write.spot.plural,
        namespace: &write.spot.namespace,
        name,
    };
    let object = place(&write.spot.name).path();
    let query = format!("?fieldManager={MANAGER}&fieldValidation=Strict");
    let request = match &write.call {
        DrillCall::Create(manifest) => {
            build(Method::POST, &(place("").path() + &query), JSON, manifest)
        }
        DrillCall::Merge(patch, uid, version) => {
            let body = guarded(patch, (*uid, *version))?;
            build(Method::PATCH, &(object + &query), MERGE, &body)
        }
        DrillCall::Delete(uid) => {
            let options = json!({
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "propagationPolicy": "Background",
                "preconditions": { "uid": uid.to_string() },
            });
            build(Method::DELETE, &object, JSON, &options)
        }
    };
    let answer = send(client, request.map_err(failure)?).await;
    let answer: Value = answer.map_err(failure)?;
    let version = answer["metadata"]["resourceVersion"].as_str();
    Ok(ActionResult::Written(
        version.and_then(|version| version.parse().ok()),
    ))
}
