//! Everything that talks to the Kubernetes API server.
//!
//! ```text
//!   client     one configured connection; deadlines and classes of errors for every call
//!   watch      list-watch of one kind: raw pages and lines, nothing decoded     (uses wire)
//!   lease      who may write: leader election by compare-and-swap
//!   apply      one step of a remedy                                             (uses request)
//!   status     the status of a policy                                           (uses request)
//!   open_reports  what other tools read of it                                   (uses request)
//!   servers    the API servers, each under its own address
//!   canary     what each of them does with a Secret that we write               (uses servers)
//!   api_servers  what each of them tells of itself                         (uses servers, tls)
//!   guardrails  what there is in the place of our own policies, rights, image   (uses servers)
//!   cilium     whether Cilium encrypts                                          (uses servers)
//!   web        HTTP to servers in other trust domains
//!   anchors    where heads of the log are kept                             (uses request, web)
//!   tls        what a TLS server shows to its clients
//!   network_probe  two pods and a policy between them
//!   drill      the writes of a restore drill                             (uses apply, request)
//!   events     Kubernetes Events about subjects, few and deduplicated           (uses request)
//! ```
//!
//! Nothing here judges an object. What arrives is handed on as bytes; what the engine decides to write comes back as
//! calls. So the rest of the program is tested without a server.

pub mod access_checks;
pub mod anchors;
pub mod api_servers;
pub mod apply;
pub mod canary;
pub mod cilium;
pub mod client;
pub mod clock;
pub mod drill;
pub mod events;
pub mod guardrails;
pub mod lease;
pub mod leavers;
pub mod network_probe;
pub mod open_reports;
pub mod repository_password;
pub(crate) mod request;
pub mod servers;
pub mod status;
pub mod tls;
pub mod watch;
pub mod web;
pub mod wire;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Waits that double from a first value to a greatest one, each shortened at random so that many waiters spread out.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    greatest: Duration,
    failures: u32,
}

impl Backoff {
    /// Starts with no failure counted.
    pub fn new(first: Duration, greatest: Duration) -> Self {
        Self {
            first,
            greatest,
            failures: 0,
        }
    }

    /// Counts one more failure and says how long to wait: between half of and the full step.
    pub fn next_wait(&mut self) -> Duration {
        let step = self
            .first
            .saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX))
            .min(self.greatest);
        self.failures = self.failures.saturating_add(1);
        step / 2 + jitter(step / 2)
    }

    /// Forgets the failures: what was waited for works again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A random share of `most`. Good enough to spread load, not for secrets.
pub(crate) fn jitter(most: Duration) -> Duration {
    let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(random() % micros.saturating_add(1))
}

/// A random number, from the seed that the standard library draws for hash maps. Not for secrets.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_greatest_and_start_again_after_a_reset() {
        let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_secs(10));
        assert!(backoff.next_wait() <= Duration::from_millis(5));
        for _ in 0..100 {
            assert!(backoff.next_wait() <= Duration::from_secs(10));
        }
        assert!(backoff.next_wait() >= Duration::from_secs(5));
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(5));
    }
}
