//! Times of verdicts: sums that never overflow.

use jiff::{SignedDuration, Timestamp};

use crate::api::Period;

/// The length of a period.
pub(in crate::controls) fn span(period: &Period) -> SignedDuration {
    SignedDuration::try_from(period.duration()).unwrap_or(SignedDuration::MAX)
}

/// `time` and `length` later.
pub(in crate::controls) fn later(time: Timestamp, length: SignedDuration) -> Timestamp {
    let end = if length.is_negative() {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    time.saturating_add(length).unwrap_or(end)
}

/// The first moment that is more than `length` after `time`.
pub(in crate::controls) fn after(time: Timestamp, length: SignedDuration) -> Timestamp {
    later(later(time, length), SignedDuration::from_millis(1))
}
