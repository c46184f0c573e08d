//! Raw requests: for objects that are data rather than types.

use std::fmt::Write as _;

use http::{Method, Request, header::CONTENT_TYPE};
use serde_json::Value;

use super::client::{CallError, deadline, within};

/// JSON as it is.
pub(super) const JSON: &str = "application/json";
/// A merge patch (RFC 7396).
pub(super) const MERGE: &str = "application/merge-patch+json";
/// A JSON patch (RFC 6902).
pub(super) const JSON_PATCH: &str = "application/json-patch+json";

/// Where a resource is: a collection, or with a name one of its objects.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// API group; empty for the core group.
    pub(super) group: &'a str,
    /// Version.
    pub(super) version: &'a str,
    /// Plural name of the resource.
    pub(super) plural: &'a str,
    /// Namespace; empty where cluster-scoped.
    pub(super) namespace: &'a str,
    /// Name of the object; empty for the collection.
    pub(super) name: &'a str,
}

impl Place<'_> {
    /// The path of its URL.
    pub(super) fn path(self) -> String {
        let mut path = if self.group.is_empty() {
            "/api".to_owned()
        } else {
            format!("/apis/{}", self.group)
        };
        path.push('/');
        path.push_str(self.version);
        if !self.namespace.is_empty() {
            path.push_str("/namespaces");
            push_segment(&mut path, self.namespace);
        }
        push_segment(&mut path, self.plural);
        if !self.name.is_empty() {
            push_segment(&mut path, self.name);
        }
        path
    }
}

/// Appends a segment, percent-encoded: names of RBAC objects may hold almost any character.
fn push_segment(path: &mut String, segment: &str) {
    path.push('/');
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
}

/// Builds a request. It is [`CallError::Invalid`] if no such request can exist; then nothing was sent.
pub(super) fn build(
    method: Method,
    uri: &str,
    content_type: &str,
    body: &Value,
) -> Result<Request<Vec<u8>>, CallError> {
    let body = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    Request::builder()
        .method(method)
        .uri(uri)
        .header(CONTENT_TYPE, content_type)
        .body(body)
        .map_err(|error| CallError::Invalid {
            message: format!("no request can be made of {uri:?}: {error}"),
        })
}

/// Sends a request, which must be answered within the deadline of writes.
pub(super) async fn send(
    client: &kube::Client,
    request: Request<Vec<u8>>,
) -> Result<Value, CallError> {
    within(deadline::WRITE, client.request(request)).await
}

/// The longest beginning of `text` of at most `most` bytes that cuts no character.
pub(super) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
pub(crate) mod fake {
    //! A server that answers what the test says.

    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use http::{Request, Response};
    use http_body_util::BodyExt as _;
    use kube::client::Body;
    use serde_json::Value;

    /// What arrived: method and URI, content type, body; empty where there is none.
    pub(crate) type Heard = Arc<Mutex<Vec<(String, String, Value)>>>;

    /// A client whose server gives each of the answers once, the last one for ever. Failures become a `Status` with
    /// their code.
    pub(crate) fn server(answers: Vec<(u16, Value)>) -> (kube::Client, Heard) {
        let heard = Heard::default();
        let (log, answers) = (Arc::clone(&heard), Arc::new(answers));
        let service = tower::service_fn(move |request: Request<Body>| {
            let (log, answers) = (Arc::clone(&log), Arc::clone(&answers));
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or_default();
                let kind = parts.headers.get("content-type");
                let kind = kind.map_or("", |kind| kind.to_str().unwrap()).to_owned();
                let mut log = log.lock().unwrap();
                log.push((format!("{} {}", parts.method, parts.uri), kind, body));
                let (code, answer) = &answers[(log.len() - 1).min(answers.len() - 1)];
                let mut answer = answer.clone();
                if *code >= 400 {
                    answer["kind"] = "Status".into();
                    answer["code"] = (*code).into();
                }
                let answer = Body::from(answer.to_string().into_bytes());
                let response = Response::builder().status(*code).body(answer).unwrap();
                Ok::<_, Infallible>(response)
            }
        });
        (kube::Client::new(service, "default"), heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Kind;

    fn path(kind: Kind, namespace: &str, name: &str) -> String {
        let info = kind.info();
        Place {
            group: info.group,
            version: info.version,
            plural: info.plural,
            namespace,
            name,
        }
        .path()
    }

    #[test]
    fn paths_follow_group_and_scope() {
        assert_eq!(path(Kind::Namespace, "", "a"), "/api/v1/namespaces/a");
        assert_eq!(
            path(Kind::ServiceAccount, "a", "b.c"),
            "/api/v1/namespaces/a/serviceaccounts/b.c"
        );
        assert_eq!(
            path(Kind::NetworkPolicy, "a", ""),
            "/apis/networking.k8s.io/v1/namespaces/a/networkpolicies"
        );
    }

    #[test]
    fn segments_are_escaped_so_that_a_name_can_not_lead_elsewhere() {
        assert_eq!(
            path(Kind::ClusterRoleBinding, "", "system:a b?ü"),
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system%3Aa%20b%3F%C3%BC"
        );
    }

    #[test]
    fn a_cut_falls_between_characters() {
        assert_eq!(cut("aüb", 2), "a");
        assert_eq!(cut("aüb", 3), "aü");
        assert_eq!(cut("aüb", 300), "aüb");
    }

    #[test]
    fn what_is_no_request_is_invalid_and_so_never_ambiguous() {
        let error = build(Method::GET, "a b", JSON, &Value::Null).unwrap_err();
        assert!(matches!(error, CallError::Invalid { .. }) && !error.is_ambiguous());
    }
}
