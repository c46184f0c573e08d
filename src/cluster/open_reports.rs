//! Writing reports of `OpenReports`, for other tools to read.

use http::Method;
use serde_json::Value;

use super::client::CallError;
use super::request::{JSON, Place, build, send};
use crate::inventory::meta::MANAGER;
use crate::report::open_reports::{GROUP, PLURAL, VERSION};

/// Content type of a server-side apply; JSON is YAML.
const APPLY: &str = "application/apply-patch+yaml";

/// Creates or replaces a report. It is ours alone, so that nobody else's fields are kept.
pub async fn write(client: &kube::Client, name: &str, report: &Value) -> Result<(), CallError> {
    let uri = format!("{}?fieldManager={MANAGER}&force=true", path(name));
    send(client, build(Method::PATCH, &uri, APPLY, report)?).await?;
    Ok(())
}

/// Deletes a report. One that is not there, or of which the cluster has no kind, is no failure.
pub async fn remove(client: &kube::Client, name: &str) -> Result<(), CallError> {
    match send(
        client,
        build(Method::DELETE, &path(name), JSON, &Value::Null)?,
    )
    .await
    {
        Ok(_) | Err(CallError::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

fn path(name: &str) -> String {
    let place = Place {
        group: GROUP,
        version: VERSION,
        plural: PLURAL,
        namespace: "",
        name,
    };
    place.path()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::request::fake;

    #[tokio::test]
    async fn a_report_is_applied_and_deleted_by_its_name() {
        let answers = vec![(200, json!({})), (404, json!({})), (403, json!({}))];
        let (client, heard) = fake::server(answers);
        assert_eq!(
            write(&client, "probity-a", &json!({ "a": 1 })).await,
            Ok(())
        );
        assert_eq!(remove(&client, "probity-a").await, Ok(()));
        assert!(remove(&client, "probity-a").await.is_err());
        let heard = heard.lock().unwrap();
        let (line, content, body) = &heard[0];
        assert_eq!(
            line,
            "PATCH /apis/openreports.io/v1alpha1/clusterreports/probity-a?fieldManager=probity&force=true"
        );
        assert_eq!((content.as_str(), body), (APPLY, &json!({ "a": 1 })));
        assert_eq!(
            heard[1].0,
            "DELETE /apis/openreports.io/v1alpha1/clusterreports/probity-a"
        );
    }
}
