//! A whole copy of the log in an S3-compatible bucket. Every object is created once, under a name that says what is in it:
//! repeating is safe, and a bucket with Object Lock takes it. A checkpoint comes last of all that it covers.
//!
//! ```text
//! <prefix>/<cluster>/<namespace>.<replica>/epochs/<begin>/      see evidence/pieces
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::aws::{AmazonS3Builder, Checksum};
use object_store::path::Path as Key;
use object_store::{
    BackoffConfig, ClientOptions, Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    RetryConfig,
};
use tokio::sync::Mutex;

use super::super::client::chain;
use super::super::web::Web;
use super::lane::Lane;
use super::{contradiction, in_time};
use crate::evidence::body::Anchored;
use crate::evidence::pieces::{self, Piece, Pieces};
use crate::evidence::{Published, folder_anchor, heads, index};

/// Objects that are under way at a time.
const AT_ONCE: usize = 8;

/// Where a bucket is.
#[derive(Debug, Clone, Default)]
pub struct Address {
    /// `s3://bucket` or `s3://bucket/prefix`.
    pub url: String,
    /// The server, where it is not that of the cloud: `https://host:port`.
    pub endpoint: Option<String>,
}

/// A bucket.
#[derive(Debug)]
pub struct Bucket {
    name: String,
    files: Arc<Files>,
    lane: Lane<()>,
}

/// What tasks share of it.
#[derive(Debug)]
struct Files {
    store: Box<dyn ObjectStore>,
    prefix: String,
    name: String,
    /// By log: the size of the last checkpoint there. Everything that it covers is there too.
    covered: Mutex<BTreeMap<String, u64>>,
    /// Files of rows that are there.
    indexed: Mutex<BTreeSet<Key>>,
}

impl Bucket {
    /// A bucket, with the credentials that the environment tells, in the way that all tools for S3 are told. Nothing is
    /// sent yet.
    pub fn open(address: &Address, web: Web) -> Result<Self, String> {
        Self::build(AmazonS3Builder::from_env(), address, web)
    }

    fn build(builder: AmazonS3Builder, address: &Address, web: Web) -> Result<Self, String> {
        let Address { url, endpoint } = address;
        let rest = url.strip_prefix("s3://").ok_or_else(|| {
            format!("{url} is no bucket: write s3://bucket or s3://bucket/prefix")
        })?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(format!(
                "{url} names no bucket: write s3://bucket or s3://bucket/prefix"
            ));
        }
        let mut builder = builder
            .with_bucket_name(bucket)
            .with_http_connector(web)
            .with_client_options(ClientOptions::new())
            // Buckets with Object Lock ask for a checksum.
            .with_checksum_algorithm(Checksum::SHA256)
            .with_retry(RetryConfig {
                backoff: BackoffConfig::default(),
                max_retries: 2,
                retry_timeout: Duration::from_secs(30),
            });
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint.as_str());
        }
        let store = builder
            .build()
            .map_err(|error| format!("{url}: {}", told(&error)))?;
        Ok(Self::with(url, prefix, Box::new(store)))
    }

    fn with(name: &str, prefix: &str, store: Box<dyn ObjectStore>) -> Self {
        Self {
            name: name.to_owned(),
            files: Arc::new(Files {
                store,
                prefix: prefix.trim_matches('/').to_owned(),
                name: name.to_owned(),
                covered: Mutex::default(),
                indexed: Mutex::default(),
            }),
            lane: Lane::default(),
        }
    }

    /// What it is called.
    pub(super) fn target(&self) -> String {
        format!("bucket {}", self.name)
    }

    /// The last head there of the latest log of a replica, whose logs have names that begin so.
    pub(super) async fn known(
        &self,
        within: Duration,
        logs: &str,
    ) -> Result<Option<Anchored>, String> {
        in_time(within, self.files.known(logs)).await
    }

    /// Brings the rows in a folder there. Files are created once; rows are no evidence, and are not compared.
    pub async fn keep_index(&self, folder: &Path) -> Result<(), String> {
        self.files.keep_index(folder).await
    }

    /// Brings the copy up to a head. What takes longer than the deadline goes on behind it.
    pub(super) async fn keep(
        &self,
        within: Duration,
        dir: PathBuf,
        published: Published,
        timestamp: Option<Vec<u8>>,
    ) -> Result<(), String> {
        let files = Arc::clone(&self.files);
        let work = async move { files.keep(&dir, &published, timestamp).await };
        self.lane.task(within, work).await
    }
}

impl Files {
    /// Where the files of a log are.
    fn folder(&self, origin: &str) -> String {
        let mut parts: Vec<&str> = origin.split('/').skip(1).collect();
        parts.insert(parts.len().saturating_sub(1), "epochs");
        let folder = parts.join("/");
        if self.prefix.is_empty() {
            folder
        } else {
            format!("{}/{folder}", self.prefix)
        }
    }

    async fn known(&self, logs: &str) -> Result<Option<Anchored>, String> {
        let folder = Key::from(self.folder(logs));
        let found = self.store.list_with_delimiter(Some(&folder)).await;
        let found = found.map_err(|error| told(&error))?.common_prefixes;
        match found.iter().filter_map(|log| log.filename()).max() {
            Some(log) => self.latest(&format!("{logs}{log}")).await,
            None => Ok(None),
        }
    }

    /// The last head of a log.
    async fn latest(&self, origin: &str) -> Result<Option<Anchored>, String> {
        let folder = format!("{}/{}", self.folder(origin), heads::FOLDER);
        let names = self.store.list(Some(&Key::from(folder)));
        let names: Vec<Key> = names
            .map_ok(|object| object.location)
            .try_filter(|key| std::future::ready(key.as_ref().ends_with(heads::CHECKPOINT)))
            .try_collect()
            .await
            .map_err(|error| told(&error))?;
        let Some(last) = names.into_iter().max() else {
            return Ok(None);
        };
        let note = self.read(&last).await?;
        let source = format!("bucket {}", self.name);
        let head = folder_anchor::of_note(&String::from_utf8_lossy(&note), &source);
        match head.filter(|head| head.origin == origin) {
            Some(head) => Ok(Some(head)),
            None => Err(format!("{last} is no checkpoint of {origin}")),
        }
    }

    async fn read(&self, key: &Key) -> Result<Vec<u8>, String> {
        let object = self.store.get(key).await.map_err(|error| told(&error))?;
        let bytes = object.bytes().await.map_err(|error| told(&error))?;
        Ok(bytes.to_vec())
    }

    async fn keep(
        &self,
        dir: &Path,
        published: &Published,
        timestamp: Option<Vec<u8>>,
    ) -> Result<(), String> {
        let head = &published.checkpoint;
        let mut covered = self.covered.lock().await;
        let since = match covered.get(&head.origin) {
            Some(size) => *size,
            None => match self.latest(&head.origin).await? {
                Some(known) => {
                    let (dir, ours, size) = (dir.to_owned(), head.clone(), known.size);
                    let compared = move || Ok(contradiction(&dir, &known, &ours));
                    blocking(compared).await??;
                    size
                }
                None => 0,
            },
        };
        let folder = self.folder(&head.origin);
        let (dir, to) = (dir.to_owned(), head.clone());
        let pieces = blocking(move || Pieces::new(&dir, since, &to)).await?;
        stream::try_unfold(pieces, next_piece)
            .map(|piece| async { self.create(&folder, &piece?).await })
            .buffer_unordered(AT_ONCE)
            .try_for_each(|()| std::future::ready(Ok(())))
            .await?;
        for piece in pieces::of_head(published, timestamp.as_deref()) {
            self.create(&folder, &piece).await?;
        }
        covered.insert(head.origin.clone(), head.size);
        Ok(())
    }

    async fn keep_index(&self, folder: &Path) -> Result<(), String> {
        let root = if self.prefix.is_empty() {
            index::FOLDER.to_owned()
        } else {
            format!("{}/{}", self.prefix, index::FOLDER)
        };
        let from = folder.to_owned();
        let files = blocking(move || index::files(&from)).await?;
        let mut there = self.indexed.lock().await;
        for file in files {
            let Some(path) = file.strip_prefix(folder).ok().and_then(Path::to_str) else {
                continue;
            };
            // Not percent-encoded, as other tools look for `cluster=`.
            let key = Key::parse(format!("{root}/{path}")).map_err(|error| error.to_string())?;
            if there.contains(&key) {
                continue;
            }
            let bytes = tokio::fs::read(&file)
                .await
                .map_err(|error| format!("{}: {error}", file.display()))?;
            let options = PutOptions::from(PutMode::Create);
            match self.store.put_opts(&key, bytes.into(), options).await {
                Ok(_) | Err(Error::AlreadyExists { .. }) => there.insert(key),
                Err(error) => return Err(told(&error)),
            };
        }
        Ok(())
    }

    /// Creates an object, or finds that it is there and says the same.
    async fn create(&self, folder: &str, piece: &Piece) -> Result<(), String> {
        let key = Key::from(format!("{folder}/{}", piece.path));
        let options = PutOptions::from(PutMode::Create);
        match self
            .store
            .put_opts(&key, piece.bytes.clone().into(), options)
            .await
        {
            Ok(_) => Ok(()),
            Err(Error::AlreadyExists { .. }) => {
                if piece.is_same(&self.read(&key).await?) {
                    Ok(())
                } else {
                    Err(format!(
                        "{key} is there and says something else: somebody else writes there, or one of the two was changed"
                    ))
                }
            }
            Err(error) => Err(told(&error)),
        }
    }
}

/// The next piece, read on a thread that may wait for the disk.
async fn next_piece(mut pieces: Pieces) -> Result<Option<(Piece, Pieces)>, String> {
    blocking(move || Ok(pieces.next().transpose()?.map(|piece| (piece, pieces)))).await
}

async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, crate::evidence::LogError> + Send + 'static,
) -> Result<T, String> {
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())
}

/// What a server said, without the body of its answer, which may name keys.
fn told(error: &Error) -> String {
    let text = chain(error);
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"));
    let class = match error {
        Error::NotFound { .. } => "there is no such bucket or object",
        Error::PermissionDenied { .. } => "the server refuses: the credentials lack a right",
        Error::Unauthenticated { .. } => "the server doesn't know the credentials",
        Error::Precondition { .. } | Error::AlreadyExists { .. } => "another write came first",
        _ => text
            .split(['<', '\n'])
            .next()
            .unwrap_or_default()
            .trim_end_matches([':', ' ']),
    };
    match code {
        Some((code, _)) => format!("{class} ({code})"),
        None => class.to_owned(),
    }
}

#[cfg(test)]
mod tests;
