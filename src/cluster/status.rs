//! Writing statuses: of policies, and of objects with which people take part.

use http::Method;
use serde_json::{Value, json};

use super::client::CallError;
use super::request::{JSON_PATCH, MERGE, Place, build, send};
use crate::api::{self, ControlPolicyStatus};
use crate::engine::Remark;
use crate::inventory::meta::MANAGER;

/// Puts a policy's status in the place of the one before. A policy that is gone needs none: that is no failure.
pub async fn write_status(
    client: &kube::Client,
    name: &str,
    status: &ControlPolicyStatus,
) -> Result<(), CallError> {
    let body = body(status).map_err(|error| CallError::Invalid {
        message: error.to_string(),
    })?;
    let request = build(Method::PATCH, &uri(name), JSON_PATCH, &body)?;
    match send(client, request).await {
        Ok(_) | Err(CallError::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes what the operator sees of an object with which people take part. What people decided
/// stands beside it and is left alone. An object that is gone needs none.
pub async fn write_remark(client: &kube::Client, remark: &Remark) -> Result<(), CallError> {
    let key = &remark.key;
    let place = Place {
        group: api::GROUP,
        version: api::VERSION,
        plural: key.kind.plural(),
        namespace: &key.namespace,
        name: &key.name,
    };
    let uri = format!("{}/status?fieldManager={MANAGER}", place.path());
    let body = json!({ "status": { "observed": remark.observed } });
    let request = build(Method::PATCH, &uri, MERGE, &body)?;
    match send(client, request).await {
        Ok(_) | Err(CallError::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Not strict: with a CRD that is older than this program, a status without the newest fields is
/// better than none.
fn uri(name: &str) -> String {
    let place = Place {
        group: api::GROUP,
        version: api::VERSION,
        plural: "controlpolicies",
        namespace: "",
        name,
    };
    format!("{}/status?fieldManager={MANAGER}", place.path())
}

/// Puts all of it in the place of what was there. A server-side apply would say that as well, but
/// the API server refuses one whole if the CRD lacks a single field of it.
fn body(status: &ControlPolicyStatus) -> serde_json::Result<Value> {
    let status = serde_json::to_value(status)?;
    Ok(json!([{ "op": "add", "path": "/status", "value": status }]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::request::fake;

    async fn written(code: u16) -> (Result<(), CallError>, (String, String, Value)) {
        let (client, heard) = fake::server(vec![(code, json!({ "message": "m" }))]);
        let result = write_status(&client, "base", &ControlPolicyStatus::default()).await;
        let heard = heard.lock().unwrap()[0].clone();
        (result, heard)
    }

    #[tokio::test]
    async fn a_status_is_put_in_the_place_of_the_one_before() {
        let (result, (line, content, body)) = written(200).await;
        assert_eq!(result, Ok(()));
        assert_eq!(
            line,
            "PATCH /apis/probity.dev/v1alpha1/controlpolicies/base/status?fieldManager=probity"
        );
        assert_eq!(content, JSON_PATCH);
        let [patch] = body.as_array().unwrap().as_slice() else {
            panic!("{body}")
        };
        assert_eq!(
            (&patch["op"], &patch["path"]),
            (&json!("add"), &json!("/status"))
        );
        assert!(patch["value"]["controls"].is_array(), "{body}");
    }

    #[tokio::test]
    async fn only_a_policy_that_is_gone_is_no_failure() {
        assert_eq!(written(404).await.0, Ok(()));
        assert!(matches!(
            written(403).await.0,
            Err(CallError::Forbidden { .. })
        ));
    }
}
