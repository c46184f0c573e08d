//! Who leads, decided without IO: what was seen of the lease and a monotonic clock in, what to write out.
//!
//! Why two never lead at once. A holder counts from the moment it *sent* its last successful write and stops before the
//! lease's duration is over. A candidate counts from the moment it *received* the last change, waits out the full
//! duration, and then replaces exactly the version it saw. The change was committed between those moments, so the
//! holder has stopped before the candidate may begin. The clocks need not agree; they only have to run about equally
//! fast.
//!
//! Absence has no version to compare with: a lease may be deleted, made and deleted again while a request to make it is
//! on its way. So a new lease is born held by nobody that exists ([`NEWBORN`]), and is waited out like any other.

use std::time::Duration;

use super::LeaseTiming;

/// Longest duration of a foreign lease that is respected, unless our own is longer. Otherwise a typing error in the
/// lease object would keep every candidate out.
const GREATEST_DURATION: Duration = Duration::from_mins(1);

/// Holder of a lease that was just made.
pub const NEWBORN: &str = "newborn";

/// What a read of the lease showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseView {
    /// Identity of the holder; `None` if it was released.
    pub holder: Option<String>,
    /// Identity of the one who released it, if it was released.
    pub released_by: Option<String>,
    /// When the holder last renewed it, as it says by its own clock. Only compared for equality.
    pub renewed: Option<String>,
    /// How often the lease changed hands.
    pub transitions: u64,
    /// Version for compare-and-swap.
    pub resource_version: String,
    /// How long the lease lasts without renewal.
    pub duration: Duration,
}

/// What to do with the lease now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseAction {
    /// Nothing; look again later.
    Wait,
    /// Create the lease, held by [`NEWBORN`]. That makes nobody the holder.
    Found {
        /// The highest term that we know of, to be written as transitions.
        transitions: u64,
    },
    /// Write ourselves as holder, on condition that the lease is still as it was seen.
    Write(LeaseWrite),
}

/// A conditional write that makes or keeps us the holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseWrite {
    /// The version to replace; `None`: create it again, because it was deleted within our term.
    pub expected: Option<String>,
    /// The number of our term, to be written as transitions.
    pub term: u64,
    /// Whether this goes on with a term rather than beginning one.
    pub renewal: bool,
    /// Who held the lease before.
    pub predecessor: Option<String>,
}

/// The term that we hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its number.
    pub term: u64,
    /// Who held the lease before.
    pub predecessor: Option<String>,
    /// When we must have stopped, on our clock.
    pub valid_until: Duration,
}

/// The state of one candidate.
#[derive(Debug, Clone)]
pub struct Election {
    identity: String,
    timing: LeaseTiming,
    first_term: u64,
    highest: u64,
    longest: Duration,
    /// The lease as last seen (`None`: absent) and since when it hasn't changed.
    seen: Option<(Option<LeaseView>, Duration)>,
    held: Option<Held>,
}

impl Election {
    /// A candidate. `identity` must be of this process alone: what it wrote is trusted without waiting. Terms are
    /// numbered from `first_term` at least.
    pub fn new(identity: String, timing: LeaseTiming, first_term: u64) -> Self {
        Self {
            identity,
            timing,
            first_term,
            highest: 0,
            longest: timing.duration(),
            seen: None,
            held: None,
        }
    }

    /// Decides after the lease was read; `None` if there is none. `now` is the clock *after* the answer came.
    pub fn step(&mut self, observed: Option<LeaseView>, now: Duration) -> LeaseAction {
        self.lapse(now);
        if let Some(view) = &observed {
            self.highest = self.highest.max(view.transitions);
            self.longest = self.longest.max(view.duration.min(GREATEST_DURATION));
        }
        let since = match &self.seen {
            Some((before, since)) if *before == observed => *since,
            _ => {
                self.seen = Some((observed.clone(), now));
                now
            }
        };
        let ripe = now.saturating_sub(since) >= self.longest;
        let ours = observed
            .as_ref()
            .is_none_or(|view| view.holder.as_ref() == Some(&self.identity));
        if !ours {
            self.held = None;
        }
        let expected = observed.as_ref().map(|view| view.resource_version.clone());
        if let Some(held) = &self.held {
            // Also when the lease was deleted under us: until our time is over nobody else can begin.
            let predecessor = held.predecessor.clone();
            return LeaseAction::Write(LeaseWrite {
                expected,
                term: held.term,
                renewal: true,
                predecessor,
            });
        }
        let Some(view) = observed else {
            return LeaseAction::Found {
                transitions: self.highest,
            };
        };
        if !(ours || view.holder.is_none() || ripe) {
            return LeaseAction::Wait;
        }
        let predecessor = view
            .holder
            .filter(|holder| holder != NEWBORN)
            .or(view.released_by);
        let term = self.first_term.max(self.highest.saturating_add(1));
        LeaseAction::Write(LeaseWrite {
            expected,
            term,
            renewal: false,
            predecessor,
        })
    }

    /// Takes note that `write` was carried out: `sent` is the clock before the request, `now` after the answer.
    pub fn written(&mut self, write: &LeaseWrite, sent: Duration, now: Duration) {
        self.lapse(now);
        self.highest = self.highest.max(write.term);
        let valid_until = sent + self.timing.renew_deadline();
        // A term that was over in between stays over: its tasks have ended. The next step begins a new one.
        let continues = self
            .held
            .as_ref()
            .is_some_and(|held| held.term == write.term);
        if now < valid_until && (continues || !write.renewal) {
            self.held = Some(Held {
                term: write.term,
                predecessor: write.predecessor.clone(),
                valid_until,
            });
        }
    }

    /// Ends our term now.
    pub fn abandon(&mut self) {
        self.held = None;
    }

    /// The term that we hold at `now`.
    pub fn held(&self, now: Duration) -> Option<&Held> {
        self.held.as_ref().filter(|held| now < held.valid_until)
    }

    /// Who holds the lease as far as we saw; `None` if nobody or unknown.
    pub fn holder(&self) -> Option<&str> {
        self.seen
            .as_ref()?
            .0
            .as_ref()?
            .holder
            .as_deref()
            .filter(|holder| *holder != NEWBORN)
    }

    /// How long until the lease would be free if it doesn't change; `None` while we hold it or know nothing.
    pub fn due(&self, now: Duration) -> Option<Duration> {
        let (_, since) = self.seen.as_ref()?;
        self.held
            .is_none()
            .then(|| (*since + self.longest).saturating_sub(now))
    }

    fn lapse(&mut self, now: Duration) {
        if self
            .held
            .as_ref()
            .is_some_and(|held| now >= held.valid_until)
        {
            self.held = None;
        }
    }
}
