//! The pure pieces of the list-watch protocol: lines out of frames, the head of a watch event, the parts of a list page.
//!
//! Objects stay bytes here. One that can't be decoded must not hide its neighbours, so splitting never looks into them.

use std::borrow::Cow;

use bytes::{Buf, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Longest watch line that is kept. etcd refuses objects above 1.5 MiB by default and 3 MiB is the API server's limit
/// for bodies; JSON may escape a byte to six.
pub const MAX_LINE: usize = 8 * 1024 * 1024;

/// Why bytes from the server are not usable.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// A line is longer than the limit.
    #[error("a watch line is longer than {limit} bytes")]
    Oversize {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Not the JSON that the protocol prescribes.
    #[error("unexpected JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Cuts the frames of a body into lines, however the frames fall. A line within one frame is not copied.
#[derive(Debug)]
pub struct LineSplitter {
    limit: usize,
    /// The beginning of a line whose end hasn't come yet. Never contains a newline.
    head: BytesMut,
    /// What was fed and not yet cut.
    frame: Bytes,
}

impl Default for LineSplitter {
    fn default() -> Self {
        Self::new(MAX_LINE)
    }
}

impl LineSplitter {
    /// A splitter that refuses lines longer than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            head: BytesMut::new(),
            frame: Bytes::new(),
        }
    }

    /// Adds one frame. Take all lines with [`Self::next_line`] before adding another; what is left over is copied.
    pub fn feed(&mut self, frame: Bytes) {
        if self.frame.is_empty() {
            self.frame = frame;
        } else {
            let mut both = BytesMut::with_capacity(self.frame.len() + frame.len());
            both.extend_from_slice(&self.frame);
            both.extend_from_slice(&frame);
            self.frame = both.freeze();
        }
    }

    /// The next complete line without its newline, or `None` until more is fed. Empty lines are skipped.
    pub fn next_line(&mut self) -> Result<Option<Bytes>, WireError> {
        loop {
            let Some(end) = self.frame.iter().position(|byte| *byte == b'\n') else {
                self.head.extend_from_slice(&self.frame);
                self.frame.clear();
                self.within_limit(self.head.len())?;
                return Ok(None);
            };
            self.within_limit(self.head.len() + end)?;
            let rest = self.frame.split_to(end);
            self.frame.advance(1);
            let line = if self.head.is_empty() {
                rest
            } else {
                self.head.extend_from_slice(&rest);
                self.head.split().freeze()
            };
            if !line.is_empty() {
                return Ok(Some(line));
            }
        }
    }

    /// Whether a line has begun and not ended. At the end of a body it means that the connection broke.
    pub fn is_inside_line(&self) -> bool {
        !self.head.is_empty()
    }

    fn within_limit(&self, length: usize) -> Result<(), WireError> {
        if length > self.limit {
            Err(WireError::Oversize { limit: self.limit })
        } else {
            Ok(())
        }
    }
}

/// What a watch line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// An object that is new to this watch.
    Added,
    /// An object that changed.
    Modified,
    /// An object that is gone; its last state.
    Deleted,
    /// No object: the server has told everything up to a resource version.
    Bookmark,
    /// No object: the watch failed, with a `Status`.
    Error,
    /// A type that the protocol doesn't have yet.
    Unknown,
}

impl EventType {
    fn parse(text: &str) -> Self {
        match text {
            "ADDED" => Self::Added,
            "MODIFIED" => Self::Modified,
            "DELETED" => Self::Deleted,
            "BOOKMARK" => Self::Bookmark,
            "ERROR" => Self::Error,
            _ => Self::Unknown,
        }
    }
}

/// A watch line, taken apart but not decoded.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// What happened.
    pub event: EventType,
    /// The object it happened to, or a `Status`.
    pub object: &'a RawValue,
}

/// Takes a watch line apart.
pub fn envelope(line: &[u8]) -> Result<Envelope<'_>, WireError> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow, rename = "type")]
        event: Cow<'a, str>,
        #[serde(borrow)]
        object: &'a RawValue,
    }
    let raw: Raw<'_> = serde_json::from_slice(line)?;
    Ok(Envelope {
        event: EventType::parse(&raw.event),
        object: raw.object,
    })
}

/// The type of a watch line. Reads only its beginning where the server writes the type first, as Kubernetes does.
pub fn event_type(line: &[u8]) -> Result<EventType, WireError> {
    let first = line.strip_prefix(br#"{"type":""#).and_then(|rest| {
        let end = rest.iter().take(16).position(|byte| *byte == b'"')?;
        std::str::from_utf8(&rest[..end]).ok()
    });
    match first.map(EventType::parse) {
        Some(known) if known != EventType::Unknown => Ok(known),
        _ => Ok(envelope(line)?.event),
    }
}

/// The resource version of the object in a watch line, bookmarks included: where to resume.
pub fn line_version(line: &[u8]) -> Result<String, WireError> {
    #[derive(Deserialize)]
    struct Object {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        resource_version: String,
    }
    let object: Object = serde_json::from_str(envelope(line)?.object.get())?;
    Ok(object.metadata.resource_version)
}

/// Why a server ended a watch, as told by an `ERROR` line.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct WatchFailure {
    /// HTTP status; 410 means that the resource version is too old. 0 if the server didn't say.
    pub code: u16,
    /// The server's words.
    pub message: String,
    /// One word for it, such as `Expired`.
    pub reason: String,
}

impl WatchFailure {
    /// Whether only a new list helps.
    pub fn is_expired(&self) -> bool {
        self.code == 410 || matches!(self.reason.as_str(), "Expired" | "Gone")
    }
}

/// The failure in an `ERROR` line.
pub fn watch_failure(line: &[u8]) -> Result<WatchFailure, WireError> {
    Ok(serde_json::from_str(envelope(line)?.object.get())?)
}

/// One page of a list, split but not decoded.
#[derive(Debug)]
pub struct ListPage<'a> {
    /// The state of the cluster that all pages of this list show.
    pub resource_version: String,
    /// How to ask for the next page; `None` on the last.
    pub continue_token: Option<String>,
    /// The objects. They carry neither `apiVersion` nor `kind` for built-in kinds.
    pub items: Vec<&'a RawValue>,
}

/// What a list page says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListHead {
    /// The state of the cluster that all pages of this list show.
    pub resource_version: String,
    /// How to ask for the next page; `None` on the last.
    pub continue_token: Option<String>,
}

#[derive(Deserialize)]
struct RawPage<T> {
    metadata: RawListMeta,
    // Servers write `null` for an empty list. Naming the function makes the field required: a body without it is no
    // list, and must not pass for an empty one.
    #[serde(
        deserialize_with = "Option::deserialize",
        bound(deserialize = "T: Deserialize<'de>")
    )]
    items: Option<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawListMeta {
    #[serde(default)]
    resource_version: String,
    #[serde(default, rename = "continue")]
    continue_token: String,
}

impl From<RawListMeta> for ListHead {
    fn from(meta: RawListMeta) -> Self {
        let continue_token = (!meta.continue_token.is_empty()).then_some(meta.continue_token);
        Self {
            resource_version: meta.resource_version,
            continue_token,
        }
    }
}

/// Splits a list page into its objects.
pub fn split_list(page: &[u8]) -> Result<ListPage<'_>, WireError> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Items<'a>(#[serde(borrow)] Vec<&'a RawValue>);
    let RawPage { metadata, items }: RawPage<Items<'_>> = serde_json::from_slice(page)?;
    let ListHead {
        resource_version,
        continue_token,
    } = metadata.into();
    Ok(ListPage {
        resource_version,
        continue_token,
        items: items.map(|items| items.0).unwrap_or_default(),
    })
}

/// Reads what a list page says of itself, and that it is complete JSON, without holding its objects.
pub fn list_head(page: &[u8]) -> Result<ListHead, WireError> {
    let RawPage { metadata, items: _ }: RawPage<serde::de::IgnoredAny> =
        serde_json::from_slice(page)?;
    Ok(metadata.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines_of(splitter: &mut LineSplitter) -> Vec<Bytes> {
        std::iter::from_fn(|| splitter.next_line().unwrap()).collect()
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(
            text in "([a-c]{0,6}\n){0,8}[a-c]{0,4}",
            cuts in proptest::collection::vec(1_usize..7, 0..40),
            lazily in any::<bool>(),
        ) {
            let mut splitter = LineSplitter::new(100);
            let mut rest = text.as_bytes();
            let mut lines = Vec::new();
            let mut cuts = cuts.into_iter();
            while !rest.is_empty() {
                let (frame, after) = rest.split_at(cuts.next().unwrap_or(rest.len()).min(rest.len()));
                splitter.feed(Bytes::copy_from_slice(frame));
                if !lazily {
                    lines.extend(lines_of(&mut splitter));
                }
                rest = after;
            }
            lines.extend(lines_of(&mut splitter));
            let (complete, tail) = text.rsplit_once('\n').unwrap_or(("", &text));
            let expected: Vec<_> = complete.split('\n').filter(|line| !line.is_empty()).map(str::to_owned).collect();
            prop_assert_eq!(lines, expected);
            prop_assert_eq!(splitter.is_inside_line(), !tail.is_empty());
        }

        #[test]
        fn a_line_above_the_limit_is_refused_however_it_is_cut(length in 9_usize..40, cut in 1_usize..9, ended in any::<bool>()) {
            let mut text = vec![b'x'; length];
            if ended {
                text.push(b'\n');
            }
            let mut splitter = LineSplitter::new(8);
            let refused = text.chunks(cut).any(|frame| {
                splitter.feed(Bytes::copy_from_slice(frame));
                splitter.next_line().is_err()
            });
            prop_assert!(refused);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (envelope(&bytes).is_ok(), event_type(&bytes).is_ok(), line_version(&bytes).is_ok());
            let _ = (watch_failure(&bytes).is_ok(), split_list(&bytes).is_ok(), list_head(&bytes).is_ok());
        }
    }

    #[test]
    fn the_type_is_found_wherever_it_stands() {
        assert_eq!(
            event_type(br#"{"type":"ADDED","object":{}}"#).unwrap(),
            EventType::Added
        );
        assert_eq!(
            event_type(br#"{ "object": {"type": "ERROR"}, "type": "DELETED" }"#).unwrap(),
            EventType::Deleted
        );
        assert_eq!(
            event_type(br#"{"type":"LATER","object":{}}"#).unwrap(),
            EventType::Unknown
        );
        assert!(event_type(br#"{"object":{}}"#).is_err());
    }

    #[test]
    fn a_bookmark_says_where_to_resume() {
        let line = br#"{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"12746","creationTimestamp":null}}}"#;
        assert_eq!(line_version(line).unwrap(), "12746");
    }

    #[test]
    fn an_error_line_tells_whether_to_list_again() {
        let of = |object: &str| {
            watch_failure(format!(r#"{{"type":"ERROR","object":{object}}}"#).as_bytes()).unwrap()
        };
        assert!(of(r#"{"kind":"Status","code":410,"reason":"Expired","message":"too old resource version"}"#).is_expired());
        assert!(of(r#"{"reason":"Gone"}"#).is_expired());
        assert!(!of(r#"{"code":500,"message":"boom"}"#).is_expired());
    }

    #[test]
    fn an_object_that_no_struct_can_hold_does_not_hide_its_neighbours() {
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        let page = format!(
            r#"{{"kind":"List","metadata":{{"resourceVersion":"7","continue":"next"}},"items":[{{"a":1,"a":2}},{deep},"text"]}}"#
        );
        let split = split_list(page.as_bytes()).unwrap();
        assert_eq!(
            (
                split.resource_version.as_str(),
                split.continue_token.as_deref()
            ),
            ("7", Some("next"))
        );
        assert_eq!(
            split
                .items
                .iter()
                .map(|item| item.get().len())
                .collect::<Vec<_>>(),
            [13, 10_000, 6]
        );
        assert_eq!(
            list_head(page.as_bytes()).unwrap(),
            ListHead {
                resource_version: "7".into(),
                continue_token: Some("next".into())
            }
        );
    }

    #[test]
    fn an_empty_list_may_be_null_and_half_a_list_is_an_error() {
        let empty =
            split_list(br#"{"metadata":{"resourceVersion":"7","continue":""},"items":null}"#)
                .unwrap();
        assert!(empty.items.is_empty() && empty.continue_token.is_none());
        assert!(list_head(br#"{"metadata":{"resourceVersion":"7"},"items":[{}"#).is_err());
        assert!(list_head(br#"{"kind":"Status","metadata":{}}"#).is_err());
    }
}
