//! Writing the status of a policy.

use http::Method;
use serde_json::{Value, json};

use super::client::CallError;
use super::request::{APPLY, Place, build, send};
use crate::api::{self, ControlPolicyStatus};
use crate::inventory::meta::MANAGER;

/// Puts a policy's status in the place of the one before. A policy that is gone needs none: that is no failure.
pub async fn write_status(
    client: &kube::Client,
    name: &str,
    status: &ControlPolicyStatus,
) -> Result<(), CallError> {
    let uri = uri(name);
    let body = body(name, status).map_err(|error| CallError::Invalid {
        message: error.to_string(),
    })?;
    let request = build(Method::PATCH, &uri, APPLY, &body)?;
    match send(client, request).await {
        Ok(_) | Err(CallError::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Forced, because nobody else has anything to say in our status. Not strict: with a CRD that is older than this
/// program, a status without the newest fields is better than none.
fn uri(name: &str) -> String {
    let place = Place {
        group: api::GROUP,
        version: api::VERSION,
        plural: "controlpolicies",
        namespace: "",
        name,
    };
    format!("{}/status?fieldManager={MANAGER}&force=true", place.path())
}

/// The whole of what we own: what is missing here and was there before, the server removes.
fn body(name: &str, status: &ControlPolicyStatus) -> serde_json::Result<Value> {
    Ok(json!({
        "apiVersion": format!("{}/{}", api::GROUP, api::VERSION),
        "kind": "ControlPolicy",
        "metadata": { "name": name },
        "status": serde_json::to_value(status)?,
    }))
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
    async fn a_status_is_applied_by_itself_and_with_force() {
        let (result, (line, content, body)) = written(200).await;
        assert_eq!(result, Ok(()));
        assert_eq!(
            line,
            "PATCH /apis/probity.dev/v1alpha1/controlpolicies/base/status?fieldManager=probity&force=true"
        );
        assert_eq!(content, APPLY);
        let fields: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["apiVersion", "kind", "metadata", "status"]);
        assert_eq!(body["metadata"], json!({ "name": "base" }));
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
