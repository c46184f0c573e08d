//! A witness: C2SP tlog-witness. It signs a head only if it goes on from the last one that it signed.

use http::{Method, Request, StatusCode, header::CONTENT_TYPE};
use tokio::sync::Mutex;

use super::super::web::Web;
use super::ROLLED_BACK;
use crate::evidence::checkpoint::Checkpoint;
use crate::evidence::cosignature::{self, WitnessKey};
use crate::evidence::note::Note;
use crate::evidence::{Published, pieces};
use crate::words::many;

/// Media type with which a witness says which size it knows.
const SIZE: &str = "text/x.tlog.size";

/// A witness.
#[derive(Debug)]
pub struct Witness {
    url: String,
    key: WitnessKey,
    web: Web,
    /// The log and size that it signed last, as far as we know.
    last: Mutex<Option<(String, u64)>>,
}

impl Witness {
    /// The witness at a URL: that to which `add-checkpoint` is added.
    pub fn new(url: &str, key: WitnessKey, web: Web) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            key,
            web,
            last: Mutex::default(),
        }
    }

    /// What it is called.
    pub(super) fn target(&self) -> String {
        format!("witness {}", self.key.name())
    }

    /// The head of the log in `dir` with this witness's signature.
    pub(super) async fn cosign(
        &self,
        dir: &std::path::Path,
        published: &Published,
    ) -> Result<Published, String> {
        let head = &published.checkpoint;
        let mut last = self.last.lock().await;
        let mut old = match &*last {
            Some((origin, size)) if *origin == head.origin => *size,
            _ => 0,
        };
        // It may know more than we recall, once.
        for _ in 0..2 {
            match self.ask(dir, old, published).await? {
                Answer::Signed(cosigned) => {
                    *last = Some((head.origin.clone(), head.size));
                    return Ok(cosigned);
                }
                Answer::Knows(size) if size > head.size => return Err(ROLLED_BACK.to_owned()),
                Answer::Knows(size) => old = size,
            }
        }
        Err(format!(
            "it says that it knows {}, and refuses a proof from there",
            many(old, "entry")
        ))
    }

    async fn ask(
        &self,
        dir: &std::path::Path,
        old: u64,
        published: &Published,
    ) -> Result<Answer, String> {
        let (dir, head) = (dir.to_owned(), published.checkpoint.clone());
        let proof = tokio::task::spawn_blocking(move || proof(&dir, old, &head)).await;
        let proof = proof.map_err(|error| error.to_string())??;
        let body = format!("old {old}\n{proof}\n{}", published.note);
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/add-checkpoint", self.url))
            .body(body.into())
            .map_err(|error| format!("{}: {error}", self.url))?;
        let answer = self
            .web
            .send(request)
            .await
            .map_err(|error| error.to_string())?;
        let (parts, body) = answer.into_parts();
        let body = String::from_utf8_lossy(&body);
        let kind = parts
            .headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        match parts.status {
            StatusCode::OK => self.checked(published, &body),
            StatusCode::CONFLICT if kind == Some(SIZE) => body
                .trim()
                .parse()
                .map(Answer::Knows)
                .map_err(|_| "it answers a conflict without a size".to_owned()),
            StatusCode::CONFLICT => Err(ROLLED_BACK.to_owned()),
            StatusCode::NOT_FOUND => Err(format!(
                "it doesn't know the log {}: have it configured there",
                published.checkpoint.origin
            )),
            StatusCode::FORBIDDEN => {
                Err("it doesn't know the log's key: have it configured there".to_owned())
            }
            status => Err(format!("it answers {status}")),
        }
    }

    /// The head with the lines of an answer, if this witness's signature is among them.
    fn checked(&self, published: &Published, lines: &str) -> Result<Answer, String> {
        let note = cosignature::add(&published.note, lines);
        let checked = Note::parse(&note).and_then(|note| self.key.check(&note));
        match checked {
            Ok(Some(_)) => Ok(Answer::Signed(Published {
                note,
                checkpoint: published.checkpoint.clone(),
            })),
            Ok(None) => Err("what it answers holds no signature with its key".to_owned()),
            Err(error) => Err(format!("what it answers can't be used: {error}")),
        }
    }
}

enum Answer {
    Signed(Published),
    Knows(u64),
}

/// The proof that a head goes on from the first `old` entries, a line each.
fn proof(dir: &std::path::Path, old: u64, head: &Checkpoint) -> Result<String, String> {
    if old == 0 || old >= head.size {
        return Ok(String::new());
    }
    pieces::consistency(dir, old, head.size).map_err(|error| error.to_string())
}
