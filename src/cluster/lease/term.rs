//! Leadership as others see it: who leads, and the term that acting tasks live under.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Whether this replica leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leadership {
    /// It doesn't.
    Follower {
        /// Identity of the replica that does, as far as is known. See [`replica_of`].
        holder: Option<String>,
    },
    /// It does, until `valid_until` at least.
    Leader {
        /// Number of the term; grows from term to term. Also the lease's `leaseTransitions`.
        term: u64,
        /// Identity of the replica that led before, if known.
        predecessor: Option<String>,
        /// When everything that acts must have stopped, unless the lease is renewed before.
        valid_until: Instant,
    },
}

/// The replica's name within a holder identity.
pub fn replica_of(identity: &str) -> &str {
    identity
        .rsplit_once('_')
        .map_or(identity, |(replica, _)| replica)
}

/// One period of leadership. Cheap to clone: every task that acts has one.
#[derive(Debug, Clone)]
pub struct Term {
    pub(super) number: u64,
    pub(super) leadership: watch::Receiver<Leadership>,
    /// Wall clock time, in milliseconds since 1970, after which the term is over whatever the monotonic clock says.
    pub(super) wall_limit: Arc<AtomicU64>,
}

impl Term {
    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether acting is still allowed. Ask right before each write.
    pub fn is_live(&self) -> bool {
        self.deadline()
            .is_some_and(|deadline| Instant::now() < deadline)
            && wall_millis() < self.wall_limit.load(Ordering::Acquire)
    }

    /// When acting must stop unless the lease is renewed before; `None` if the term is over.
    pub fn deadline(&self) -> Option<Instant> {
        match &*self.leadership.borrow() {
            Leadership::Leader {
                term, valid_until, ..
            } if *term == self.number => Some(*valid_until),
            _ => None,
        }
    }

    /// Resolves when leadership is lost or could have been lost, whichever comes first. Never resolves too late
    /// because the lease's task is stuck: it has a timer of its own.
    pub async fn ended(&self) {
        let mut leadership = self.leadership.clone();
        loop {
            leadership.borrow_and_update();
            let Some(deadline) = self.deadline().filter(|_| self.is_live()) else {
                return;
            };
            tokio::select! {
                () = sleep_until(deadline) => {}
                changed = leadership.changed() => if changed.is_err() { return },
            }
        }
    }
}

#[cfg(test)]
impl Term {
    /// A term for tests of what acts, live until something else is sent.
    pub(crate) fn testing() -> (Self, watch::Sender<Leadership>) {
        let (sender, leadership) = watch::channel(Leadership::Leader {
            term: 1,
            predecessor: None,
            valid_until: Instant::now() + Duration::from_mins(1),
        });
        let term = Self {
            number: 1,
            leadership,
            wall_limit: Arc::new(AtomicU64::new(u64::MAX)),
        };
        (term, sender)
    }
}

/// Milliseconds since 1970 by the wall clock.
pub(super) fn wall_millis() -> u64 {
    millis(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default(),
    )
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
