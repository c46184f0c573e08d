//! Controls over the tool itself: that what it says can be relied on.

mod exceptions_approved;

pub use exceptions_approved::ExceptionsApproved;
