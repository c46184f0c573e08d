//! Allowed outside the pure core, and denied in it.

/// IO may look at the clock.
pub mod shell {
    /// The time.
    pub fn now() -> std::time::Instant {
        std::time::Instant::now()
    }
}

/// The pure core may not.
pub mod engine {
    #![deny(clippy::disallowed_methods, clippy::disallowed_types)]

    /// The time.
    pub fn now() -> std::time::Instant {
        std::time::Instant::now()
    }
}
