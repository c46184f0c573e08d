//! The state machine: when to list, when to watch, how long to wait.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::list::{self, PageError};
use super::{LostReason, Resource, WatchItem, WatchOptions};
use crate::cluster::client::CallError;
use crate::cluster::wire::{self, EventType, LineSplitter};
use crate::cluster::{Backoff, jitter};

/// Longest wait that a server's `Retry-After` can ask for.
const GREATEST_RETRY_AFTER: Duration = Duration::from_mins(1);
/// First wait after a 403. Rights granted a moment ago take effect within about a second.
const FIRST_FORBIDDEN_RETRY: Duration = Duration::from_millis(500);
/// Largest page asked for when lists expire half-way.
const GREATEST_PAGE: u32 = 10_000;

/// How a list or a watch ended.
enum End {
    /// The receiver is gone.
    Closed,
    /// As it should, after working for a while.
    Clean,
    /// As it should, but at once.
    TooShort,
    /// Only a new list helps.
    Expired,
    Failed(CallError),
}

pub(super) struct Reader<K> {
    client: kube::Client,
    resource: Resource,
    options: WatchOptions,
    sink: Sender<WatchItem<K>>,
    key: K,
    retry: Backoff,
    forbidden: Backoff,
    /// Objects per page, adapted when pages are too large or lists too slow.
    page_size: u32,
    page_cap: u32,
    /// The resource version up to which all was told; `None` if a list is due.
    position: Option<String>,
    /// The last watch broke, so the server may be another one by now.
    broken: bool,
    /// The loss that the receiver knows of.
    told: Option<LostReason>,
}

impl<K: Copy + Send> Reader<K> {
    pub(super) fn new(
        client: kube::Client,
        resource: Resource,
        options: WatchOptions,
        sink: Sender<WatchItem<K>>,
        key: K,
    ) -> Self {
        let first_forbidden = FIRST_FORBIDDEN_RETRY.min(options.forbidden_retry);
        Self {
            retry: Backoff::new(options.first_retry, options.greatest_retry),
            forbidden: Backoff::new(first_forbidden, options.forbidden_retry),
            page_size: options.page_size,
            page_cap: GREATEST_PAGE,
            position: None,
            broken: false,
            told: None,
            client,
            resource,
            options,
            sink,
            key,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let end = match self.position.clone() {
                None => self.list().await,
                Some(position) => self.watch(position).await,
            };
            let wait = match end {
                Ok(()) | Err(End::Clean) => continue,
                Err(End::Closed) => return,
                Err(End::TooShort) => self.retry.next_wait(),
                Err(End::Expired) => match self.lose(&CallError::Gone).await {
                    Some(wait) => wait,
                    None => return,
                },
                Err(End::Failed(error)) => match self.lose(&error).await {
                    Some(wait) => wait,
                    None => return,
                },
            };
            sleep(wait).await;
        }
    }

    /// Tells why nothing is seen, decides whether to list anew, and says how long to wait. `None`: receiver gone.
    async fn lose(&mut self, error: &CallError) -> Option<Duration> {
        // What can't be understood is listed again too: no event must be skipped over.
        let relist = matches!(
            error,
            CallError::Forbidden { .. }
                | CallError::NotFound
                | CallError::Gone
                | CallError::Invalid { .. }
                | CallError::Other { .. }
        );
        if relist {
            self.position = None;
        }
        self.broken = true;
        let (reason, wait) = match error {
            CallError::Forbidden { message } => (
                LostReason::Forbidden {
                    message: message.clone(),
                },
                self.forbidden.next_wait(),
            ),
            CallError::NotFound => (LostReason::Missing, self.options.missing_retry),
            CallError::Gone => (LostReason::Expired, self.retry.next_wait()),
            CallError::TooManyRequests { retry_after } => {
                let asked = retry_after.unwrap_or_default().min(GREATEST_RETRY_AFTER);
                (
                    LostReason::Disconnected {
                        message: error.to_string(),
                    },
                    self.retry.next_wait().max(asked),
                )
            }
            _ => (
                LostReason::Disconnected {
                    message: error.to_string(),
                },
                self.retry.next_wait(),
            ),
        };
        if self.told.as_ref() != Some(&reason) {
            self.told = Some(reason.clone());
            self.sink
                .send(WatchItem::Lost {
                    key: self.key,
                    reason,
                })
                .await
                .ok()?;
        }
        Some(wait)
    }

    async fn send(&mut self, item: WatchItem<K>) -> Result<(), End> {
        self.told = None;
        self.sink.send(item).await.map_err(|_| End::Closed)
    }

    async fn list(&mut self) -> Result<(), End> {
        let key = self.key;
        let mut token: Option<String> = None;
        loop {
            let page = list::page(
                &self.client,
                &self.resource,
                list::WHOLE,
                self.page_size,
                token.as_deref(),
            )
            .await;
            let bytes = page.map_err(|error| self.resize(error, token.is_some()))?;
            let head =
                wire::list_head(&bytes).map_err(|error| End::Failed(list::undecodable(&error)))?;
            if token.is_none() {
                self.send(WatchItem::Restart { key }).await?;
            }
            self.send(WatchItem::Page { key, bytes }).await?;
            token = head.continue_token;
            if token.is_none() {
                self.forbidden.reset();
                self.broken = false;
                self.position = Some(head.resource_version.clone());
                return self
                    .send(WatchItem::Synced {
                        key,
                        resource_version: head.resource_version,
                    })
                    .await;
            }
        }
    }

    /// Adapts the page size: smaller when a page doesn't fit into memory, larger when the list expired half-way.
    fn resize(&mut self, error: PageError, half_way: bool) -> End {
        match error {
            PageError::Oversize => {
                let message = format!(
                    "a list page of {} objects exceeds {} bytes",
                    self.page_size,
                    list::MAX_PAGE
                );
                self.page_cap = (self.page_size / 4).max(1);
                self.page_size = self.page_cap;
                End::Failed(CallError::Other { message })
            }
            PageError::Call(CallError::Gone) if half_way => {
                self.page_size = self.page_size.saturating_mul(4).min(self.page_cap);
                End::Expired
            }
            PageError::Call(error) => End::Failed(error),
        }
    }

    async fn watch(&mut self, position: String) -> Result<(), End> {
        let mut limit = self.options.timeout + jitter(self.options.timeout / 10);
        if self.broken {
            self.verify(&position).await?;
            self.broken = false;
            limit = limit.min(self.options.first_timeout);
        }
        let mut seen = Seen {
            position,
            last: None,
            anything: false,
            opened: None,
        };
        let end = self.drain(limit, &mut seen).await;
        let healthy = seen
            .opened
            .is_some_and(|opened| opened.elapsed() >= self.options.healthy_after);
        if healthy {
            self.retry.reset();
        }
        let position = seen
            .position()
            .map_err(|error| End::Failed(list::undecodable(&error)));
        let Ok(position) = position else {
            self.position = None;
            return Err(End::Expired);
        };
        self.position = Some(position.clone());
        match end {
            End::Clean if !healthy => Err(End::TooShort),
            End::Clean => {
                // In a cluster where nothing at all happens a watch stays silent. It also does so when the server's
                // state went back to before our position: then it would stay silent for ever.
                if !seen.anything {
                    self.verify(&position).await?;
                }
                self.send(WatchItem::Alive { key: self.key }).await
            }
            end => Err(end),
        }
    }

    /// Makes sure that the server has reached our position. It has not after a restore of etcd from a backup, and a
    /// watch from a future version would skip all changes until then.
    async fn verify(&self, position: &str) -> Result<(), End> {
        let current = timeout(
            self.options.open,
            list::current_version(&self.client, &self.resource),
        )
        .await;
        let current = current
            .unwrap_or(Err(CallError::Timeout))
            .map_err(End::Failed)?;
        match (current.parse::<u64>(), position.parse::<u64>()) {
            (Ok(current), Ok(ours)) if current < ours => Err(End::Expired),
            _ => Ok(()),
        }
    }

    /// Opens a watch of length `limit` and hands on its lines until it ends.
    async fn drain(&mut self, limit: Duration, seen: &mut Seen) -> End {
        let path = format!(
            "{}?watch=true&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={}",
            self.resource.list_path(),
            seen.position,
            limit.as_secs().max(1),
        );
        let open = async {
            let response = self
                .client
                .send(list::get(&path, list::WHOLE)?)
                .await
                .map_err(CallError::from)?;
            list::successful(response).await
        };
        let mut body = match timeout(self.options.open, open).await {
            Ok(Ok(response)) => response.into_body(),
            Ok(Err(error)) => return End::Failed(error),
            Err(_) => return End::Failed(CallError::Timeout),
        };
        let opened = Instant::now();
        seen.opened = Some(opened);
        let mut lines = LineSplitter::new(self.options.max_line);
        // The server ends each watch by itself. One that is still open after that hangs, whatever TCP thinks.
        let hung = opened + limit + self.options.grace;
        loop {
            loop {
                match lines.next_line() {
                    Ok(Some(line)) => {
                        if let Err(end) = self.line(line, seen).await {
                            return end;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(resource = %self.resource.plural, %error, "listing again");
                        return End::Expired;
                    }
                }
            }
            match timeout_at(hung, body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        lines.feed(data);
                    }
                }
                Ok(Some(Err(error))) => return End::Failed(error.into()),
                // A line that has begun and not ended is dropped: it will be sent again from our position.
                Ok(None) if lines.is_inside_line() => {
                    return End::Failed(CallError::Unreachable {
                        message: "the watch ended inside a line".into(),
                    });
                }
                Ok(None) => return End::Clean,
                Err(_) => {
                    let message = "the watch fell silent and did not end".into();
                    return End::Failed(CallError::Unreachable { message });
                }
            }
        }
    }

    async fn line(&mut self, line: Bytes, seen: &mut Seen) -> Result<(), End> {
        let key = self.key;
        match wire::event_type(&line) {
            Ok(EventType::Added | EventType::Modified | EventType::Deleted) => {
                self.send(WatchItem::Event {
                    key,
                    line: line.clone(),
                })
                .await?;
                seen.anything = true;
                seen.last = Some(line);
                Ok(())
            }
            Ok(EventType::Bookmark) => {
                seen.position = wire::line_version(&line)
                    .map_err(|error| End::Failed(list::undecodable(&error)))?;
                seen.anything = true;
                seen.last = None;
                self.send(WatchItem::Alive { key }).await
            }
            Ok(EventType::Error) => {
                let failure = wire::watch_failure(&line).unwrap_or_default();
                let failed = CallError::Server {
                    code: failure.code,
                    message: failure.message.clone(),
                };
                Err(if failure.is_expired() {
                    End::Expired
                } else {
                    End::Failed(failed)
                })
            }
            Ok(EventType::Unknown) => Err(End::Failed(CallError::Other {
                message: "unknown watch event".into(),
            })),
            Err(error) => Err(End::Failed(list::undecodable(&error))),
        }
    }
}

/// How far a watch has come.
struct Seen {
    position: String,
    /// The last event. Its resource version is read only when the watch ends: reading it of every event would double
    /// the cost of draining.
    last: Option<Bytes>,
    /// Whether the server sent anything.
    anything: bool,
    /// When the server agreed to the watch.
    opened: Option<Instant>,
}

impl Seen {
    fn position(&self) -> Result<String, wire::WireError> {
        self.last.as_ref().map_or_else(
            || Ok(self.position.clone()),
            |line| wire::line_version(line),
        )
    }
}
