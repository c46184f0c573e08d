//! The thread that publishes a log while it is written. Nothing waits for it: what is durable in the segments is safe, and
//! what is not published yet is published later.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::error::LogError;
use super::publisher::{Published, Publisher};

/// A checkpoint is due so long after the last one, if anything was appended.
const EVERY: Duration = Duration::from_secs(10);

/// It is due at once when so many entries were appended.
const MANY: u64 = 1000;

/// A checkpoint is kept for ever so often: as often as the log is anchored, so that each anchor can be found in the log.
const KEEP: Duration = Duration::from_mins(10);

/// How often this is looked at.
const TICK: Duration = Duration::from_secs(1);

/// What the thread has done.
#[derive(Debug, Default)]
struct State {
    latest: Option<Published>,
    failure: Option<Arc<LogError>>,
}

/// The running thread. Dropping it publishes what is durable and joins the thread.
pub(super) struct Publishing {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    state: Arc<Mutex<State>>,
}

impl Publishing {
    /// Starts it. `durable` is how many entries are durable.
    pub(super) fn start(publisher: Publisher, durable: Arc<AtomicU64>) -> std::io::Result<Self> {
        let state = Arc::new(Mutex::new(State {
            latest: publisher.latest().cloned(),
            failure: None,
        }));
        let (stop, stopped) = channel();
        let worker = Worker {
            published: publisher.latest().map_or(0, |head| head.checkpoint.size),
            publisher,
            durable,
            state: Arc::clone(&state),
            last: Instant::now(),
            kept: None,
            unkept: None,
        };
        let thread = thread::Builder::new()
            .name("publisher".to_owned())
            .spawn(move || worker.run(&stopped))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
            state,
        })
    }

    pub(super) fn latest(&self) -> Option<Published> {
        lock(&self.state).latest.clone()
    }

    /// Publishes what is durable and ends. Returns the last checkpoint.
    pub(super) fn end(self) -> Option<Published> {
        let state = Arc::clone(&self.state);
        drop(self);
        lock(&state).latest.take()
    }

    /// Why the last attempt failed, if it did.
    pub(super) fn failure(&self) -> Option<Arc<LogError>> {
        lock(&self.state).failure.clone()
    }
}

impl Drop for Publishing {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("The thread that publishes the log has panicked");
        }
    }
}

struct Worker {
    publisher: Publisher,
    durable: Arc<AtomicU64>,
    state: Arc<Mutex<State>>,
    published: u64,
    last: Instant,
    kept: Option<(u64, Instant)>,
    /// Why the last checkpoint could not be kept, which was said.
    unkept: Option<String>,
}

impl Worker {
    fn run(mut self, stopped: &Receiver<()>) {
        while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            let durable = self.durable.load(Ordering::Acquire);
            let new = durable.saturating_sub(self.published);
            if new >= MANY || (new > 0 && self.last.elapsed() >= EVERY) {
                self.publish();
            }
            if self.kept.is_none_or(|(_, at)| at.elapsed() >= KEEP) {
                self.keep();
            }
        }
        self.publish();
        self.keep();
    }

    /// Keeps the last checkpoint, if it is not kept yet.
    fn keep(&mut self) {
        if self.kept.is_some_and(|(size, _)| size == self.published) {
            return;
        }
        match self.publisher.keep(Timestamp::now()) {
            Ok(()) => {
                self.kept = Some((self.published, Instant::now()));
                self.unkept = None;
            }
            Err(error) => {
                let problem = error.to_string();
                if self.unkept.as_ref() != Some(&problem) {
                    tracing::error!(%error, "A checkpoint could not be kept");
                }
                self.unkept = Some(problem);
            }
        }
    }

    fn publish(&mut self) {
        let end = self.durable.load(Ordering::Acquire);
        self.last = Instant::now();
        let result = self.publisher.publish(end);
        let mut state = lock(&self.state);
        // Where even the last one can't be read back, it is still the last one that was signed.
        if let Some(latest) = self.publisher.latest() {
            state.latest = Some(latest.clone());
        }
        match result {
            Ok(()) => {
                self.published = end;
                if state.failure.take().is_some() {
                    tracing::info!("The log is published again");
                }
            }
            Err(error) => {
                // A disk that stays full is told of once, not every ten seconds.
                let told = state.failure.as_ref().map(ToString::to_string);
                if told.is_none_or(|told| told != error.to_string()) {
                    tracing::error!(%error, "The log could not be published");
                }
                state.failure = Some(Arc::new(error));
            }
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // What is guarded is replaced as a whole; a panic can't leave it half-written.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
