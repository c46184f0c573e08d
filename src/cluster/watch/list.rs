//! Reading pages of a list.

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderValue};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde::Deserialize;

use super::Resource;
use crate::cluster::client::{CallError, deadline};
use crate::cluster::wire;

/// Largest page that is held in memory. Anybody who may create objects decides how large a page is, so it has a bound.
pub(super) const MAX_PAGE: usize = 64 * 1024 * 1024;
/// Most bytes of an error's body that are read.
const MAX_STATUS: usize = 64 * 1024;
/// How often a metadata list that expires half-way starts anew.
const ATTEMPTS: u32 = 3;
/// Objects per page of a metadata list.
const METADATA_PAGE: u32 = 500;

pub(super) const WHOLE: &str = "application/json";
/// Metadata only; a server that can't do that may send whole objects.
const METADATA: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// Why a page could not be read.
#[derive(Debug)]
pub(super) enum PageError {
    Call(CallError),
    /// More than [`MAX_PAGE`] bytes.
    Oversize,
}

/// What [`list_metadata`] found: the resource version of the list and, per object, namespace (empty for cluster-scoped
/// objects), name, uid and resource version.
pub type MetadataList = (String, Vec<(String, String, String, String)>);

/// Lists identity and version of all objects, as of now (a consistent read), in pages of 500.
///
/// It is what the inventory is compared with, so that an event lost anywhere is found. Fails with [`CallError::Gone`]
/// when the list expired half-way several times in a row.
pub async fn list_metadata(
    client: &kube::Client,
    resource: &Resource,
) -> Result<MetadataList, CallError> {
    let mut attempt = 1;
    loop {
        match list_metadata_once(client, resource).await {
            Err(CallError::Gone) if attempt < ATTEMPTS => attempt += 1,
            result => return result,
        }
    }
}

async fn list_metadata_once(
    client: &kube::Client,
    resource: &Resource,
) -> Result<MetadataList, CallError> {
    let mut all = Vec::new();
    let mut token = None;
    loop {
        let page = page(client, resource, METADATA, METADATA_PAGE, token.as_deref()).await;
        let page = page.map_err(|error| match error {
            PageError::Call(error) => error,
            PageError::Oversize => CallError::Other {
                message: format!("a list page exceeds {MAX_PAGE} bytes"),
            },
        })?;
        let list: RawMetadataList =
            serde_json::from_slice(&page).map_err(|error| undecodable(&error))?;
        let items = list
            .items
            .unwrap_or_default()
            .into_iter()
            .map(|item| item.metadata);
        all.extend(items.map(|meta| (meta.namespace, meta.name, meta.uid, meta.resource_version)));
        if list.metadata.token.is_empty() {
            return Ok((list.metadata.resource_version, all));
        }
        token = Some(list.metadata.token);
    }
}

#[derive(Deserialize)]
struct RawMetadataList {
    metadata: RawMetadata,
    items: Option<Vec<RawItem>>,
}

#[derive(Deserialize)]
struct RawItem {
    metadata: RawMetadata,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct RawMetadata {
    namespace: String,
    name: String,
    uid: String,
    resource_version: String,
    #[serde(rename = "continue")]
    token: String,
}

/// The resource version that the server has reached, by a consistent list of one object.
pub(super) async fn current_version(
    client: &kube::Client,
    resource: &Resource,
) -> Result<String, CallError> {
    match page(client, resource, METADATA, 1, None).await {
        Ok(page) => Ok(wire::list_head(&page)
            .map_err(|error| undecodable(&error))?
            .resource_version),
        Err(PageError::Call(error)) => Err(error),
        Err(PageError::Oversize) => Err(CallError::Other {
            message: "one object exceeds a page".into(),
        }),
    }
}

/// Reads one page of up to `limit` objects under the deadline for pages.
pub(super) async fn page(
    client: &kube::Client,
    resource: &Resource,
    accept: &'static str,
    limit: u32,
    token: Option<&str>,
) -> Result<Bytes, PageError> {
    let mut path = format!("{}?limit={limit}", resource.list_path());
    if let Some(token) = token {
        path.push_str("&continue=");
        path.push_str(&escape(token));
    }
    let read = async {
        let response = client
            .send(get(&path, accept)?)
            .await
            .map_err(CallError::from)?;
        let response = successful(response).await?;
        collect(response.into_body(), MAX_PAGE).await
    };
    tokio::time::timeout(deadline::LIST, read)
        .await
        .unwrap_or(Err(PageError::Call(CallError::Timeout)))
}

/// A request for JSON that is not compressed: on the same network that costs more than it saves, and a compressed
/// watch is compressed event by event, which decoders cut after the first.
pub(super) fn get(path: &str, accept: &'static str) -> Result<Request<Body>, CallError> {
    Request::get(path)
        .header(ACCEPT, HeaderValue::from_static(accept))
        .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
        .body(Body::empty())
        .map_err(|error| CallError::Other {
            message: error.to_string(),
        })
}

/// The response, or its error if it is one. The caller's deadline covers reading the error's body.
pub(super) async fn successful(response: Response<Body>) -> Result<Response<Body>, CallError> {
    let code = response.status().as_u16();
    if response.status().is_success() {
        return Ok(response);
    }
    let body = collect(response.into_body(), MAX_STATUS)
        .await
        .unwrap_or_default();
    Err(CallError::from_answer(code, &body))
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes, PageError> {
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(CallError::from)?;
        if let Some(data) = frame.data_ref() {
            if all.len() + data.len() > limit {
                return Err(PageError::Oversize);
            }
            all.extend_from_slice(data);
        }
    }
    Ok(all.freeze())
}

pub(super) fn undecodable(error: &dyn std::error::Error) -> CallError {
    CallError::Other {
        message: format!("the server's answer can't be decoded: {error}"),
    }
}

/// Escapes a query value: continue tokens are opaque and other servers may encode them in their own way.
fn escape(value: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

impl From<CallError> for PageError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}
