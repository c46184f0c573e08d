//! The times of a lease.

use std::time::Duration;

/// The times of a lease: retry < renew deadline < duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTiming {
    duration: Duration,
    renew_deadline: Duration,
    retry: Duration,
}

/// The times of a lease contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the lease's retry ({retry:?}) must be shorter than its renew deadline ({renew_deadline:?}), and that at most nine tenths of its duration ({duration:?})"
)]
pub struct TimingError {
    duration: Duration,
    renew_deadline: Duration,
    retry: Duration,
}

impl LeaseTiming {
    /// `duration`: after so long without a change others take over. `renew_deadline`: so long after its last renewal
    /// the holder stops. `retry`: time between renewals, and between looks of the others.
    pub fn new(
        duration: Duration,
        renew_deadline: Duration,
        retry: Duration,
    ) -> Result<Self, TimingError> {
        // The tenth in between is for clocks that run unequally fast.
        if retry.is_zero() || retry >= renew_deadline || renew_deadline > duration.mul_f64(0.9) {
            return Err(TimingError {
                duration,
                renew_deadline,
                retry,
            });
        }
        Ok(Self {
            duration,
            renew_deadline,
            retry,
        })
    }

    /// After so long without a change others take over.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// So long after its last renewal the holder stops.
    pub fn renew_deadline(&self) -> Duration {
        self.renew_deadline
    }

    /// Time between renewals, and between looks of the others.
    pub fn retry(&self) -> Duration {
        self.retry
    }

    /// Deadline of one request: leaves room for a second attempt before the renew deadline.
    pub(super) fn call(&self) -> Duration {
        self.renew_deadline / 2
    }
}

impl Default for LeaseTiming {
    /// 5 s, 3.5 s, 1 s.
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(5),
            renew_deadline: Duration::from_millis(3500),
            retry: Duration::from_secs(1),
        }
    }
}
