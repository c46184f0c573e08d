//! Leader election: of all replicas, which all watch and evaluate, only one writes.
//!
//! The lease is a `coordination.k8s.io/v1` Lease, written only by compare-and-swap. [`Election`] decides; this module
//! reads and writes. Whatever acts lives under a [`Term`]: it ends when leadership is lost *or could have been lost*,
//! even if this task is stuck. Kubernetes doesn't check a lease on writes, so each write needs its own precondition
//! besides.
//!
//! Who edits the lease by hand (empties or changes the holder) can make two replicas act at once for up to the renew
//! deadline. Deleting it is safe.

mod election;
mod namesake;
#[cfg(test)]
mod simulation;
mod term;
#[cfg(test)]
mod tests;
mod timing;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::client::{CallError, within};
use super::{jitter, random};
pub use election::{Election, Held, LeaseAction, LeaseView, LeaseWrite, NEWBORN};
pub use namesake::{Namesake, no_namesake};
pub use term::{Leadership, Term, replica_of};
use term::{millis, wall_millis};
pub use timing::{LeaseTiming, TimingError};

/// Annotation that keeps the last holder's identity while the lease is free.
const RELEASED_BY: &str = "probity.dev/released-by";
/// How far the wall clock may run ahead of the monotonic clock within a term. More means that this machine was
/// suspended, which the monotonic clock doesn't count, or that somebody set the clock.
const WALL_TOLERANCE: Duration = Duration::from_secs(1);

/// Which lease to compete for, and as whom.
#[derive(Debug, Clone)]
pub struct LeaseConfig {
    /// Namespace of the Lease object.
    pub namespace: String,
    /// Name of the Lease object.
    pub name: String,
    /// Name of this replica, such as its pod's name. The identity in the lease is this with a random suffix, so that a
    /// restarted replica doesn't take its predecessor's lease for its own.
    pub replica: String,
    /// Times.
    pub timing: LeaseTiming,
    /// Terms are numbered from here at least: one more than the highest term in the evidence log, so that numbers grow
    /// even if the lease was deleted while no candidate ran that had seen it.
    pub first_term: u64,
}

/// A replica that competes for the lease in a task of its own. Dropping it stops the task without releasing the lease.
#[derive(Debug)]
pub struct Candidate {
    leadership: watch::Receiver<Leadership>,
    wall_limit: Arc<AtomicU64>,
    stop: oneshot::Sender<()>,
    task: AbortOnDrop,
}

#[derive(Debug)]
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Begins to compete for the lease. Must be called within a Tokio runtime.
pub fn campaign(client: kube::Client, config: LeaseConfig) -> Candidate {
    let (publish, leadership) = watch::channel(Leadership::Follower { holder: None });
    let (stop, stopped) = oneshot::channel();
    let wall_limit = Arc::new(AtomicU64::new(0));
    let identity = format!("{}_{:016x}", config.replica, random());
    let shell = Shell {
        api: Api::namespaced(client, &config.namespace),
        election: Election::new(identity.clone(), config.timing, config.first_term),
        origin: Instant::now(),
        last: None,
        publish,
        wall_limit: Arc::clone(&wall_limit),
        identity,
        config,
    };
    Candidate {
        leadership,
        wall_limit,
        stop,
        task: AbortOnDrop(tokio::spawn(shell.run(stopped))),
    }
}

impl Candidate {
    /// Follows who leads. Renewals update the value without waking; changes of role, term or holder wake.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// The current term, if this replica leads.
    pub fn term(&self) -> Option<Term> {
        let Leadership::Leader { term, .. } = *self.leadership.borrow() else {
            return None;
        };
        let term = Term {
            number: term,
            leadership: self.leadership.clone(),
            wall_limit: Arc::clone(&self.wall_limit),
        };
        term.is_live().then_some(term)
    }

    /// Waits until this replica leads.
    pub async fn lead(&mut self) -> Term {
        loop {
            self.leadership.borrow_and_update();
            if let Some(term) = self.term() {
                return term;
            }
            if self.leadership.changed().await.is_err() {
                // Only a panic ends the task. It will never lead again.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Gives the lease up, so that another replica takes over at once. Stop everything that acts before.
    pub async fn release(mut self) {
        let _ = self.stop.send(());
        let _ = (&mut self.task.0).await;
    }
}

struct Shell {
    api: Api<Lease>,
    config: LeaseConfig,
    identity: String,
    election: Election,
    origin: Instant,
    /// The lease as we last wrote it. `None`: read it before the next step.
    last: Option<Lease>,
    publish: watch::Sender<Leadership>,
    wall_limit: Arc<AtomicU64>,
}

/// So often in a row there may be no lease before something is wrong: the namespace, as a rule.
const MOST_MISSES: u32 = 3;

impl Shell {
    async fn run(mut self, mut stop: oneshot::Receiver<()>) {
        let (mut failing, mut missed) = (false, 0_u32);
        loop {
            let result = self.turn().await;
            self.publish();
            // It is not there before it is made, and when somebody has deleted it. More often, it can't be made.
            let is_absent = matches!(result, Err(CallError::NotFound));
            missed = if is_absent {
                missed.saturating_add(1)
            } else {
                0
            };
            if result.is_ok() && std::mem::take(&mut failing) {
                tracing::info!(lease = %self.config.name, "lease read again");
            }
            let retry = self.config.timing.retry();
            let wait = match result {
                Ok(()) => retry.min(self.election.due(self.now()).unwrap_or(retry)),
                // Somebody else was faster, or an earlier write of ours was carried out after all. A read tells.
                Err(CallError::Conflict { .. } | CallError::AlreadyExists) => retry / 10,
                Err(CallError::NotFound) if missed < MOST_MISSES => retry / 10,
                Err(error) => {
                    // Once per outage: it may last for hours.
                    if !std::mem::replace(&mut failing, true) {
                        let LeaseConfig {
                            name, namespace, ..
                        } = &self.config;
                        tracing::warn!(lease = %name, %namespace, %error, "lease not read or renewed");
                    }
                    retry / 4
                }
            };
            // A little at random, so that candidates that started together don't ask together.
            let wait = wait.max(Duration::from_millis(10)) + jitter(wait / 10);
            tokio::select! {
                () = sleep(wait) => {}
                asked = &mut stop => {
                    // Not when the candidate was dropped: then nobody says that the acting tasks have stopped.
                    if asked.is_ok() {
                        self.release().await;
                    }
                    return;
                }
            }
        }
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Reads the lease if need be, decides, and writes.
    async fn turn(&mut self) -> Result<(), CallError> {
        if wall_millis() >= self.wall_limit.load(Ordering::Acquire) {
            self.election.abandon();
        }
        let limit = self.config.timing.call();
        let current = match self
            .last
            .take()
            .filter(|_| self.election.held(self.now()).is_some())
        {
            Some(lease) => Some(lease),
            None => within(limit, self.api.get_opt(&self.config.name)).await?,
        };
        let write = match self.election.step(current.as_ref().map(view), self.now()) {
            LeaseAction::Wait => return Ok(()),
            LeaseAction::Found { transitions } => {
                return self.put(&self.newborn(transitions), false).await.map(drop);
            }
            LeaseAction::Write(write) => write,
        };
        let lease = self.claim(current.clone(), &write);
        let (sent, wall) = (self.now(), wall_millis());
        let written = self.put(&lease, write.expected.is_some()).await;
        match written {
            Ok(lease) => {
                self.election.written(&write, sent, self.now());
                let allowed = self.config.timing.renew_deadline() + WALL_TOLERANCE;
                self.wall_limit
                    .store(wall.saturating_add(millis(allowed)), Ordering::Release);
                self.last = Some(lease);
                Ok(())
            }
            Err(error) => {
                // Whether it was carried out or not, writing again from what we know is the quickest way to find out.
                self.last = current.filter(|_| write.renewal && error.is_ambiguous());
                Err(error)
            }
        }
    }

    async fn put(&self, lease: &Lease, exists: bool) -> Result<Lease, CallError> {
        let limit = self.config.timing.call();
        let params = PostParams {
            field_manager: Some("probity".to_owned()),
            ..PostParams::default()
        };
        if exists {
            within(limit, self.api.replace(&self.config.name, &params, lease)).await
        } else {
            within(limit, self.api.create(&params, lease)).await
        }
    }

    /// A lease that must be waited out before anybody holds it.
    fn newborn(&self, transitions: u64) -> Lease {
        let spec = LeaseSpec {
            holder_identity: Some(NEWBORN.to_owned()),
            lease_duration_seconds: Some(whole_seconds(self.config.timing.duration())),
            lease_transitions: Some(number(transitions)),
            renew_time: Some(MicroTime(Timestamp::now())),
            ..LeaseSpec::default()
        };
        Lease {
            metadata: ObjectMeta {
                name: Some(self.config.name.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(spec),
        }
    }

    /// The lease with us as holder. Labels and other managers' fields stay.
    fn claim(&self, current: Option<Lease>, write: &LeaseWrite) -> Lease {
        let mut lease = current.unwrap_or_else(|| self.newborn(write.term));
        lease.metadata.managed_fields = None;
        lease.metadata.resource_version.clone_from(&write.expected);
        if let Some(annotations) = &mut lease.metadata.annotations {
            annotations.remove(RELEASED_BY);
        }
        let now = MicroTime(Timestamp::now());
        let spec = lease.spec.get_or_insert_default();
        if !write.renewal {
            spec.acquire_time = Some(now.clone());
        }
        spec.renew_time = Some(now);
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_transitions = Some(number(write.term));
        spec.lease_duration_seconds = Some(whole_seconds(self.config.timing.duration()));
        lease
    }

    fn publish(&mut self) {
        let next = match self.election.held(self.now()) {
            Some(Held {
                term,
                predecessor,
                valid_until,
            }) => Leadership::Leader {
                term: *term,
                predecessor: predecessor.clone(),
                valid_until: self.origin + *valid_until,
            },
            None => Leadership::Follower {
                holder: self.election.holder().map(str::to_owned),
            },
        };
        let mut late = false;
        self.publish.send_if_modified(|before| {
            let renewed = match (&*before, &next) {
                (
                    Leadership::Leader {
                        term: old,
                        valid_until,
                        ..
                    },
                    Leadership::Leader { term: new, .. },
                ) if old == new => {
                    // Under the lock: if a reader saw the term run out, it stays over.
                    late = Instant::now() >= *valid_until;
                    !late
                }
                _ => false,
            };
            let next = if late {
                Leadership::Follower { holder: None }
            } else {
                next
            };
            let wakes = !renewed && *before != next;
            *before = next;
            wakes
        });
        if late {
            self.election.abandon();
        }
    }

    /// Empties the holder, if it is us. Without success others wait out the duration: safe, only slower.
    async fn release(mut self) {
        self.election.abandon();
        self.publish();
        let result = self.empty().await;
        match result {
            Ok(()) | Err(CallError::Conflict { .. } | CallError::NotFound) => {}
            Err(error) => tracing::warn!(lease = %self.config.name, %error, "lease not released"),
        }
    }

    async fn empty(&self) -> Result<(), CallError> {
        let limit = self.config.timing.call();
        let Some(mut lease) = within(limit, self.api.get_opt(&self.config.name)).await? else {
            return Ok(());
        };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_ref() != Some(&self.identity) {
            return Ok(());
        }
        spec.holder_identity = None;
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        spec.lease_duration_seconds = Some(1);
        lease.metadata.managed_fields = None;
        lease
            .metadata
            .annotations
            .get_or_insert_default()
            .insert(RELEASED_BY.to_owned(), self.identity.clone());
        self.put(&lease, true).await.map(drop)
    }
}

fn view(lease: &Lease) -> LeaseView {
    let none = LeaseSpec::default();
    let spec = lease.spec.as_ref().unwrap_or(&none);
    let seconds = spec
        .lease_duration_seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .unwrap_or_default();
    LeaseView {
        holder: spec
            .holder_identity
            .clone()
            .filter(|holder| !holder.is_empty()),
        released_by: lease
            .metadata
            .annotations
            .as_ref()
            .and_then(|all| all.get(RELEASED_BY))
            .cloned(),
        renewed: spec.renew_time.as_ref().map(|time| time.0.to_string()),
        transitions: spec
            .lease_transitions
            .and_then(|count| u64::try_from(count).ok())
            .unwrap_or_default(),
        resource_version: lease.metadata.resource_version.clone().unwrap_or_default(),
        duration: Duration::from_secs(seconds),
    }
}

fn whole_seconds(duration: Duration) -> i32 {
    let up = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i32::try_from(up.max(1)).unwrap_or(i32::MAX)
}

fn number(term: u64) -> i32 {
    i32::try_from(term).unwrap_or(i32::MAX)
}
