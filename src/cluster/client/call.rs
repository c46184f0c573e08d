//! The classes of failure of one call, and the deadline of one call.

use std::error::Error as StdError;
use std::time::Duration;

use kube::core::Status;

/// Why a call failed, as far as the caller can act on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No answer within the deadline. A write may still have been carried out.
    #[error("no answer in time")]
    Timeout,
    /// The object, or its kind, is not there (404).
    #[error("not found")]
    NotFound,
    /// The object changed since it was read, or another manager owns a field of an apply (409).
    #[error("conflict: {message}")]
    Conflict {
        /// The server's words; they name the other field manager.
        message: String,
    },
    /// An object of that name exists (409).
    #[error("already exists")]
    AlreadyExists,
    /// Our rights don't cover it, or an admission policy rejects it (403).
    #[error("forbidden: {message}")]
    Forbidden {
        /// The server's words.
        message: String,
    },
    /// The credentials are not accepted, for example because a token has expired (401).
    #[error("credentials not accepted: {message}")]
    Unauthorized {
        /// The server's words.
        message: String,
    },
    /// The server will never accept this content (400, 413, 415, 422).
    #[error("rejected as invalid: {message}")]
    Invalid {
        /// The server's words.
        message: String,
    },
    /// The server asks to slow down (429).
    #[error("the server asks to slow down")]
    TooManyRequests {
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// The server failed (5xx). A write may still have been carried out.
    #[error("server error {code}: {message}")]
    Server {
        /// HTTP status.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// Nothing can be created in this namespace: it is being deleted.
    #[error("the namespace is being deleted")]
    NamespaceTerminating,
    /// The resource version or continue token is too old (410): list again.
    #[error("expired")]
    Gone,
    /// No connection, or it broke. A write may still have been carried out.
    #[error("unreachable: {message}")]
    Unreachable {
        /// The chain of causes.
        message: String,
    },
    /// Anything else, such as an answer that can't be decoded.
    #[error("{message}")]
    Other {
        /// The chain of causes.
        message: String,
    },
}

impl CallError {
    /// A name for metric labels and events; one of a closed set.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::NotFound => "not_found",
            Self::Conflict { .. } => "conflict",
            Self::AlreadyExists => "already_exists",
            Self::Forbidden { .. } => "forbidden",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Invalid { .. } => "invalid",
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::Server { .. } => "server_error",
            Self::NamespaceTerminating => "namespace_terminating",
            Self::Gone => "gone",
            Self::Unreachable { .. } => "unreachable",
            Self::Other { .. } => "other",
        }
    }

    /// Whether the same call may succeed later although nobody changes anything. Not so a conflict: that needs a new read.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Timeout
                | Self::Unauthorized { .. }
                | Self::TooManyRequests { .. }
                | Self::Server { .. }
                | Self::Unreachable { .. }
        )
    }

    /// Whether a write that failed so may have been carried out nevertheless.
    pub fn is_ambiguous(&self) -> bool {
        matches!(
            self,
            Self::Timeout | Self::Server { .. } | Self::Unreachable { .. } | Self::Other { .. }
        )
    }

    /// Classifies an answer by its HTTP status and the `Status` object in its body, if it is one.
    pub(crate) fn from_answer(code: u16, body: &[u8]) -> Self {
        let mut status: Status = serde_json::from_slice(body).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(body);
            Status::failure(text.trim().get(..200).unwrap_or(text.trim()), "")
        });
        status.code = code;
        Self::from(status)
    }
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        let caused_by = |reason| {
            let mut causes = status.details.iter().flat_map(|details| &details.causes);
            causes.any(|cause| cause.reason == reason)
        };
        let wait = status
            .details
            .as_ref()
            .map_or(0, |details| details.retry_after_seconds);
        let message = if status.message.is_empty() {
            status.reason.clone()
        } else {
            // Some list what is wrong line by line; people read ours in logs and statuses.
            let lines: Vec<&str> = status.message.lines().map(str::trim).collect();
            lines.join(" ").trim_end().to_owned()
        };
        match status.code {
            403 if caused_by("NamespaceTerminating") => Self::NamespaceTerminating,
            401 => Self::Unauthorized { message },
            403 => Self::Forbidden { message },
            404 => Self::NotFound,
            409 if status.reason == "AlreadyExists" => Self::AlreadyExists,
            409 => Self::Conflict { message },
            410 => Self::Gone,
            // A continue token that was made by another server, or is too old for it, comes back as 400 "Expired".
            _ if status.reason == "Expired" => Self::Gone,
            400 | 413 | 415 | 422 => Self::Invalid { message },
            429 => Self::TooManyRequests {
                retry_after: (wait > 0).then(|| Duration::from_secs(wait.into())),
            },
            code @ 500..=599 => Self::Server { code, message },
            code => Self::Other {
                message: format!("unexpected status {code}: {message}"),
            },
        }
    }
}

impl From<kube::Error> for CallError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::from(*status),
            kube::Error::Service(cause) => Self::Unreachable {
                message: chain(cause.as_ref()),
            },
            kube::Error::HyperError(_) | kube::Error::ReadEvents(_) => Self::Unreachable {
                message: chain(&error),
            },
            // Refreshing a token failed: as good as an expired token, and as likely to pass.
            kube::Error::Auth(_) => Self::Unauthorized {
                message: chain(&error),
            },
            _ => Self::Other {
                message: chain(&error),
            },
        }
    }
}

/// Runs one call under a deadline (see [`super::deadline`]) and classifies its failure.
pub async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(deadline, call).await {
        Ok(result) => result.map_err(CallError::from),
        Err(_) => Err(CallError::Timeout),
    }
}

/// An error with its causes in one line, without what an outer message repeats of its cause.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let message = inner.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = inner.source();
    }
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: u16, body: &str) -> CallError {
        CallError::from_answer(code, body.as_bytes())
    }

    #[test]
    fn answers_are_classified_by_code_and_reason() {
        assert_eq!(
            of(404, r#"{"reason":"NotFound","message":"x"}"#),
            CallError::NotFound
        );
        assert_eq!(
            of(409, r#"{"reason":"AlreadyExists"}"#),
            CallError::AlreadyExists
        );
        assert_eq!(
            of(409, r#"{"reason":"Conflict","message":"m"}"#),
            CallError::Conflict {
                message: "m".into()
            }
        );
        assert_eq!(of(410, r#"{"reason":"Expired"}"#), CallError::Gone);
        assert_eq!(of(400, r#"{"reason":"Expired"}"#), CallError::Gone);
        assert_eq!(
            of(403, r#"{"message":"no"}"#),
            CallError::Forbidden {
                message: "no".into()
            }
        );
        assert_eq!(
            of(
                403,
                r#"{"reason":"Forbidden","details":{"causes":[{"reason":"NamespaceTerminating"}]}}"#
            ),
            CallError::NamespaceTerminating
        );
        assert_eq!(
            of(429, r#"{"details":{"retryAfterSeconds":3}}"#),
            CallError::TooManyRequests {
                retry_after: Some(Duration::from_secs(3))
            }
        );
        assert_eq!(
            of(429, "slow down"),
            CallError::TooManyRequests { retry_after: None }
        );
        assert_eq!(
            of(503, "<html>"),
            CallError::Server {
                code: 503,
                message: "<html>".into()
            }
        );
        assert_eq!(of(418, "").category(), "other");
    }

    #[test]
    fn a_message_of_several_lines_becomes_one() {
        let message = "server: a.b: not declared".to_owned();
        assert_eq!(
            of(500, r#"{"message":"server:\n  a.b: not declared\n"}"#),
            CallError::Server { code: 500, message }
        );
    }

    #[test]
    fn only_what_passes_by_itself_is_transient() {
        assert!(
            of(500, "").is_transient()
                && of(401, "").is_transient()
                && CallError::Timeout.is_transient()
        );
        assert!(
            !of(409, "").is_transient()
                && !of(403, "").is_transient()
                && !of(422, "").is_transient()
        );
    }

    #[tokio::test]
    async fn a_call_that_hangs_is_a_timeout() {
        let hung = std::future::pending::<kube::Result<()>>();
        assert_eq!(
            within(Duration::from_millis(1), hung).await,
            Err(CallError::Timeout)
        );
    }
}
