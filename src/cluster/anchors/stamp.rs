//! A timestamp authority: RFC 3161 over HTTP.

use http::{Method, Request, StatusCode, header::CONTENT_TYPE};

use super::super::random;
use super::super::web::Web;
use crate::evidence::{Published, timestamp};

/// A timestamp authority.
#[derive(Debug)]
pub struct Stamper {
    url: String,
    web: Web,
}

impl Stamper {
    /// The authority at a URL.
    pub fn new(url: &str, web: Web) -> Self {
        let url = url.to_owned();
        Self { url, web }
    }

    /// What it is called.
    pub(super) fn target(&self) -> String {
        format!("timestamp {}", self.url)
    }

    /// Its response over a signed head.
    pub(super) async fn stamp(&self, published: &Published) -> Result<Vec<u8>, String> {
        let question = timestamp::question(published.note.as_bytes(), random())?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.url)
            .header(CONTENT_TYPE, "application/timestamp-query")
            .body(question.bytes.clone().into())
            .map_err(|error| format!("{}: {error}", self.url))?;
        let answer = self
            .web
            .send(request)
            .await
            .map_err(|error| error.to_string())?;
        if answer.status() != StatusCode::OK {
            return Err(format!("it answers {}", answer.status()));
        }
        let response = answer.into_body().to_vec();
        question.is_answered_by(&response)?;
        Ok(response)
    }
}
