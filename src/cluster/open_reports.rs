//! Writing reports of `OpenReports` and of `wgpolicyk8s.io`, for other tools to read.

use std::collections::BTreeSet;

use http::Method;
use serde_json::Value;

use super::client::CallError;
use super::request::{JSON, Place, build, send};
use crate::inventory::meta::MANAGER;
use crate::report::open_reports::{Flavor, POLICY_LABEL, Reported};

/// Content type of a server-side apply; JSON is YAML.
const APPLY: &str = "application/apply-patch+yaml";

/// The reports of one policy: how they are found, and in which namespaces they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelf {
    /// Their name.
    pub name: String,
    /// The value of their label.
    pub label: String,
    /// The namespaces that have one; `None` before that was asked.
    pub namespaces: Option<BTreeSet<String>>,
}

impl Shelf {
    /// Writes the reports of a policy, and deletes those of namespaces of which nothing is reported any more. What can't
    /// be written in a namespace is in the report of the cluster; why it can't, is returned.
    pub async fn write(
        &mut self,
        client: &kube::Client,
        flavor: &Flavor,
        mut reported: Reported,
    ) -> Result<Option<CallError>, CallError> {
        let mut known = self.known(client, flavor).await?;
        let mut refused = None;
        let wanted: Vec<String> = reported.namespaces().map(str::to_owned).collect();
        for namespace in &wanted {
            let report = reported.of_namespace(flavor, namespace);
            match apply(client, &self.path(flavor, namespace), &report).await {
                Ok(()) => {
                    known.insert(namespace.clone());
                }
                Err(error) if error.is_transient() => return Err(error),
                // Without the kind, without the right, or while the namespace goes.
                Err(error) => {
                    reported.keep_out_of(namespace);
                    refused = Some(error);
                }
            }
        }
        apply(client, &self.path(flavor, ""), &reported.of_cluster(flavor)).await?;
        let kept: BTreeSet<String> = reported.namespaces().map(str::to_owned).collect();
        for namespace in known.difference(&kept) {
            delete(client, &self.path(flavor, namespace)).await?;
        }
        self.namespaces = Some(kept);
        Ok(refused)
    }

    /// Deletes the reports of a policy. Those that are not there, or of which the cluster has no kind, are no failure.
    pub async fn clear(&mut self, client: &kube::Client, flavor: &Flavor) -> Result<(), CallError> {
        for namespace in self.known(client, flavor).await? {
            delete(client, &self.path(flavor, &namespace)).await?;
        }
        delete(client, &self.path(flavor, "")).await?;
        self.namespaces = Some(BTreeSet::new());
        Ok(())
    }

    /// The namespaces that have a report: as remembered, else as the cluster says. Until it is all done, nothing is
    /// remembered.
    async fn known(
        &mut self,
        client: &kube::Client,
        flavor: &Flavor,
    ) -> Result<BTreeSet<String>, CallError> {
        match self.namespaces.take() {
            Some(known) => Ok(known),
            None => self.list(client, flavor).await,
        }
    }

    async fn list(
        &self,
        client: &kube::Client,
        flavor: &Flavor,
    ) -> Result<BTreeSet<String>, CallError> {
        let place = place(flavor, flavor.namespaced.1, "", "");
        // Labels that policies' names and uids make need no escape.
        let query = format!("?labelSelector={POLICY_LABEL}%3D{}", self.label);
        let uri = place.path() + &query;
        let list = match send(client, build(Method::GET, &uri, JSON, &Value::Null)?).await {
            Ok(list) => list,
            // There can't be any: without the kind, or without the right ever to have written one.
            Err(CallError::NotFound | CallError::Forbidden { .. }) => return Ok(BTreeSet::new()),
            Err(error) => return Err(error),
        };
        let items = list["items"].as_array().into_iter().flatten();
        let ours = items.filter(|item| item["metadata"]["name"] == self.name.as_str());
        let namespaces = ours.filter_map(|item| item["metadata"]["namespace"].as_str());
        Ok(namespaces.map(str::to_owned).collect())
    }

    /// The path of a report; without a namespace, of the cluster's.
    fn path(&self, flavor: &Flavor, namespace: &str) -> String {
        let plural = if namespace.is_empty() {
            flavor.cluster.1
        } else {
            flavor.namespaced.1
        };
        place(flavor, plural, namespace, &self.name).path()
    }
}

fn place<'a>(flavor: &Flavor, plural: &'a str, namespace: &'a str, name: &'a str) -> Place<'a> {
    Place {
        group: flavor.group,
        version: flavor.version,
        plural,
        namespace,
        name,
    }
}

/// Creates or replaces a report. It is ours alone, so that nobody else's fields are kept.
async fn apply(client: &kube::Client, path: &str, report: &Value) -> Result<(), CallError> {
    let uri = format!("{path}?fieldManager={MANAGER}&force=true");
    send(client, build(Method::PATCH, &uri, APPLY, report)?).await?;
    Ok(())
}

async fn delete(client: &kube::Client, path: &str) -> Result<(), CallError> {
    match send(client, build(Method::DELETE, path, JSON, &Value::Null)?).await {
        Ok(_) | Err(CallError::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::{ControlPolicyStatus, Reports};
    use crate::cluster::request::fake;

    const CLUSTER: &str = "/apis/wgpolicyk8s.io/v1alpha2/clusterpolicyreports/probity-a";
    const APPLIED: &str = "?fieldManager=probity&force=true";

    fn shelf(namespaces: Option<&[&str]>) -> Shelf {
        let own = |known: &[&str]| known.iter().map(ToString::to_string).collect();
        Shelf {
            name: "probity-a".to_owned(),
            label: "a".to_owned(),
            namespaces: namespaces.map(own),
        }
    }

    fn in_namespace(namespace: &str) -> String {
        format!("/apis/wgpolicyk8s.io/v1alpha2/namespaces/{namespace}/policyreports/probity-a")
    }

    fn flavor() -> &'static Flavor {
        Flavor::of(Reports::PolicyReports).unwrap()
    }

    /// Reports of two failures, in the namespaces x and y.
    fn reported() -> Reported {
        let violation = |namespace: &str| {
            json!({ "kind": "Pod", "namespace": namespace, "name": "web", "outcome": "Fail",
                "strength": "Declared", "reason": "R", "message": "M", "since": "2026-01-01T00:00:00Z" })
        };
        let status: ControlPolicyStatus = serde_json::from_value(json!({
            "summary": { "passing": "0/1", "failing": 2, "controls": counts(1), "subjects": counts(2) },
            "controls": [{
                "id": "net-host-network", "severity": "High", "outcome": "Fail", "population": 2,
                "since": "2026-01-01T00:00:00Z", "criteria": [], "mode": "Observe",
                "subjects": counts(2),
                "violations": [violation("x"), violation("y")],
            }],
        }))
        .unwrap();
        Reported::new("a", "u", &status)
    }

    fn counts(fail: i64) -> Value {
        json!({ "pass": 0, "fail": fail, "excepted": 0, "notApplicable": 0, "unknown": 0 })
    }

    fn lines(heard: &fake::Heard) -> Vec<String> {
        let heard = heard.lock().unwrap();
        heard.iter().map(|(line, _, _)| line.clone()).collect()
    }

    #[tokio::test]
    async fn reports_are_written_where_something_fails_and_deleted_where_nothing_does_any_more() {
        let list = json!({ "items": [
            { "metadata": { "name": "probity-a", "namespace": "old" } },
            { "metadata": { "name": "other", "namespace": "theirs" } },
        ] });
        let (client, heard) = fake::server(vec![(200, list), (200, json!({}))]);
        let mut shelf = shelf(None);
        assert_eq!(shelf.write(&client, flavor(), reported()).await, Ok(None));
        let listing =
            "GET /apis/wgpolicyk8s.io/v1alpha2/policyreports?labelSelector=probity.dev/policy%3Da";
        let wanted = [
            listing.to_owned(),
            format!("PATCH {}{APPLIED}", in_namespace("x")),
            format!("PATCH {}{APPLIED}", in_namespace("y")),
            format!("PATCH {CLUSTER}{APPLIED}"),
            format!("DELETE {}", in_namespace("old")),
        ];
        assert_eq!(lines(&heard), wanted);
        let (_, content, body) = heard.lock().unwrap()[1].clone();
        assert_eq!(
            (content.as_str(), &body["kind"]),
            (APPLY, &json!("PolicyReport"))
        );

        // What is remembered need not be listed again.
        heard.lock().unwrap().clear();
        assert_eq!(shelf.clear(&client, flavor()).await, Ok(()));
        let wanted = [in_namespace("x"), in_namespace("y"), CLUSTER.to_owned()];
        assert_eq!(lines(&heard), wanted.map(|path| format!("DELETE {path}")));
    }

    #[tokio::test]
    async fn what_a_namespace_does_not_take_is_in_the_report_of_the_cluster() {
        let answers = vec![(403, json!({})), (200, json!({}))];
        let (client, heard) = fake::server(answers);
        let mut shelf = shelf(Some(&[]));
        let refused = shelf.write(&client, flavor(), reported()).await.unwrap();
        assert!(matches!(refused, Some(CallError::Forbidden { .. })));
        assert_eq!(shelf.namespaces, Some(["y".to_owned()].into()));
        let heard = heard.lock().unwrap();
        let (line, _, body) = heard.last().unwrap();
        assert!(line.contains(CLUSTER), "{line}");
        assert_eq!(body["results"][0]["resources"][0]["namespace"], "x");
        assert_eq!(body["summary"]["fail"], 1);
    }

    #[tokio::test]
    async fn after_a_failure_the_cluster_is_asked_what_there_is() {
        let (client, _) = fake::server(vec![(503, json!({}))]);
        let mut shelf = shelf(Some(&["x"]));
        assert!(shelf.write(&client, flavor(), reported()).await.is_err());
        assert_eq!(shelf.namespaces, None);
        let (client, _) = fake::server(vec![(404, json!({}))]);
        assert_eq!(shelf.clear(&client, flavor()).await, Ok(()));
        let (client, _) = fake::server(vec![(403, json!({}))]);
        shelf.namespaces = None;
        assert!(shelf.clear(&client, flavor()).await.is_err());
    }
}
