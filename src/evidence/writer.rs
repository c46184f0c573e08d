//! The log's writer: a thread that takes batches from a bounded queue, writes what waits as one group, syncs once and then
//! answers all.
//!
//! Order is kept through failures. The first failure stops the log: every batch that waits and every later one fails too,
//! until [`Log::reopen`]. So whoever gets its failed records back, in the order of its tickets, and appends them again after
//! reopening, has them in the log in that order, without a hole.

use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::ops::Range;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use super::entry::{Encoded, Record, encode};
use super::error::{At, LogError};
use super::frame::HEADER;
use super::publisher::{Published, Publisher};
use super::publishing::Publishing;
use super::recovered::Recovered;
use super::store::{MAX_UNSYNCED, Scan, Store};

/// Batches that may wait. A round of the engine is one batch; if this many wait, the disk hangs.
const QUEUE: usize = 1024;

/// Bytes written before a sync; the group that crosses it is still written.
const GROUP: usize = MAX_UNSYNCED / 2;

/// A batch that was not, or not wholly, logged.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct Failed {
    /// Why.
    pub cause: Arc<LogError>,
    /// The positions of those entries of the batch that are durable nevertheless: its first ones.
    pub logged: Range<u64>,
    /// The records that are not in the log. Empty if the writer's thread is gone.
    pub records: Vec<Record>,
}

type Answer = Result<Range<u64>, Failed>;

/// The promise that a batch is durable. Resolves to the positions of its entries.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<Answer>);

impl Ticket {
    /// Waits on this thread. Not for use in async code: await the ticket there.
    pub fn wait(self) -> Answer {
        self.0
            .blocking_recv()
            .unwrap_or_else(|_| Err(Failed::stopped()))
    }
}

impl Future for Ticket {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|answer| answer.unwrap_or_else(|_| Err(Failed::stopped())))
    }
}

impl Failed {
    fn stopped() -> Self {
        Self {
            cause: Arc::new(LogError::Stopped),
            logged: 0..0,
            records: Vec::new(),
        }
    }
}

/// The one writer of a log. Dropping it writes what waits and joins the thread.
pub struct Log {
    queue: Option<SyncSender<Message>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    publishing: Option<Publishing>,
    /// What was published when all ended.
    last: Option<Published>,
    /// Held until all of that has ended.
    _lock: Option<File>,
}

#[derive(Default)]
struct Shared {
    /// Entries that are durable.
    durable: Arc<AtomicU64>,
    /// Why the log takes nothing. Locked while a batch is sent, so that none slips in between a failure and its discovery.
    failure: Mutex<Option<Arc<LogError>>>,
}

impl Shared {
    fn failure(&self) -> MutexGuard<'_, Option<Arc<LogError>>> {
        // What is guarded is a single value; a panic can't leave it half-written.
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Message {
    Append(Batch),
    Reopen(oneshot::Sender<Result<(), Arc<LogError>>>),
}

struct Batch {
    records: VecDeque<Record>,
    logged: Range<u64>,
    answer: oneshot::Sender<Answer>,
}

impl Batch {
    fn done(self) {
        // Nobody has to wait for an answer; and who does should not wait until the records are freed.
        let _ = self.answer.send(Ok(self.logged));
        drop(self.records);
    }

    fn fail(self, cause: Arc<LogError>) {
        let _ = self.answer.send(Err(Failed {
            cause,
            logged: self.logged,
            records: self.records.into(),
        }));
    }
}

impl Log {
    /// Opens the log in a folder, or creates it, and starts its writer: segments only, nothing is published. Checks every
    /// frame, so it takes its time.
    pub fn open(dir: &Path) -> Result<(Self, Recovered), LogError> {
        let (store, scan) = Store::open(dir)?;
        Self::start(store, scan, None, None)
    }

    pub(super) fn start(
        store: Store,
        scan: Scan,
        publisher: Option<Publisher>,
        lock: Option<File>,
    ) -> Result<(Self, Recovered), LogError> {
        let recovered = Recovered::new(store.dir(), store.next_seq(), scan);
        let shared = Arc::new(Shared {
            durable: Arc::new(AtomicU64::new(store.next_seq())),
            failure: Mutex::new(None),
        });
        let (queue, messages) = sync_channel(QUEUE);
        let dir = store.dir().to_owned();
        let writer = Writer {
            store,
            shared: Arc::clone(&shared),
        };
        let thread = thread::Builder::new()
            .name("evidence".to_owned())
            .spawn(move || writer.run(&messages))
            .at("start a writer for", &dir)?;
        let publishing = publisher
            .map(|publisher| Publishing::start(publisher, Arc::clone(&shared.durable)))
            .transpose()
            .at("start a publisher for", &dir)?;
        Ok((
            Self {
                queue: Some(queue),
                shared,
                thread: Some(thread),
                publishing,
                last: None,
                _lock: lock,
            },
            recovered,
        ))
    }

    /// Queues a batch. Never blocks; the ticket tells when the batch is durable or why it isn't.
    pub fn append(&self, records: Vec<Record>) -> Ticket {
        let (answer, ticket) = oneshot::channel();
        let batch = Batch {
            records: records.into(),
            logged: 0..0,
            answer,
        };
        let mut failure = self.shared.failure();
        match (&*failure, &self.queue) {
            (Some(cause), _) => batch.fail(Arc::clone(cause)),
            (None, None) => batch.fail(Arc::new(LogError::Stopped)),
            (None, Some(queue)) => match queue.try_send(Message::Append(batch)) {
                Ok(()) => {}
                Err(TrySendError::Full(message)) => {
                    refuse(message, failure.insert(Arc::new(LogError::Full(QUEUE))));
                }
                Err(TrySendError::Disconnected(message)) => {
                    refuse(message, failure.insert(Arc::new(LogError::Stopped)));
                }
            },
        }
        Ticket(ticket)
    }

    /// After a failure: cuts off what was not durable and takes entries again, in a new segment. Call it once all tickets
    /// have resolved, and again after a while if it fails.
    pub async fn reopen(&self) -> Result<(), Arc<LogError>> {
        let (answer, done) = oneshot::channel();
        let sent = self
            .queue
            .as_ref()
            .map(|queue| queue.try_send(Message::Reopen(answer)));
        match sent {
            Some(Ok(())) => done
                .await
                .unwrap_or_else(|_| Err(Arc::new(LogError::Stopped))),
            Some(Err(TrySendError::Full(_))) => Err(Arc::new(LogError::Full(QUEUE))),
            Some(Err(TrySendError::Disconnected(_))) | None => Err(Arc::new(LogError::Stopped)),
        }
    }

    /// How many entries are durable: the position after the last one.
    pub fn position(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// The last checkpoint, if this log is published.
    pub fn published(&self) -> Option<Published> {
        self.publishing.as_ref()?.latest()
    }

    /// Why the log could not be published, if that failed last.
    pub fn publish_failure(&self) -> Option<Arc<LogError>> {
        self.publishing.as_ref()?.failure()
    }

    /// Whether the log takes entries.
    pub fn healthy(&self) -> bool {
        self.failure().is_none()
    }

    /// Why the log takes no entries, if it doesn't.
    pub fn failure(&self) -> Option<Arc<LogError>> {
        let stopped = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        self.shared
            .failure()
            .clone()
            .or_else(|| stopped.then(|| Arc::new(LogError::Stopped)))
    }

    /// Writes and syncs what waits, then ends the writer. Blocks. Returns the last checkpoint. Fails if the log ended in
    /// failure.
    pub fn close(mut self) -> Result<Option<Published>, Arc<LogError>> {
        self.join();
        let failure = self.shared.failure().take();
        failure.map_or_else(|| Ok(self.last.take()), Err)
    }

    fn join(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            self.shared
                .failure()
                .get_or_insert_with(|| Arc::new(LogError::Stopped));
        }
        if let Some(publishing) = self.publishing.take() {
            self.last = publishing.end();
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.join();
    }
}

fn refuse(message: Message, cause: &Arc<LogError>) {
    match message {
        Message::Append(batch) => batch.fail(Arc::clone(cause)),
        Message::Reopen(answer) => {
            let _ = answer.send(Err(Arc::clone(cause)));
        }
    }
}

struct Writer {
    store: Store,
    shared: Arc<Shared>,
}

/// What is written before the next sync.
#[derive(Default)]
struct Group {
    entries: Vec<Vec<u8>>,
    bytes: usize,
}

impl Writer {
    /// Until the log is closed and the queue is empty.
    fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(first) = messages.recv() {
            let mut next = Some(first);
            let mut waiting = VecDeque::new();
            let mut reopen = None;
            while let Some(message) = next {
                match message {
                    Message::Append(batch) => waiting.push_back(batch),
                    Message::Reopen(answer) => {
                        reopen = Some(answer);
                        break;
                    }
                }
                next = messages.try_recv().ok();
            }
            if let Err(cause) = self.write(&mut waiting) {
                self.fail(cause, waiting, messages);
            }
            if let Some(answer) = reopen {
                let _ = answer.send(self.reopen());
            }
        }
    }

    /// Logs batches, in groups. On failure those that are not wholly logged stay in `waiting`.
    fn write(&mut self, waiting: &mut VecDeque<Batch>) -> Result<(), LogError> {
        while !waiting.is_empty() {
            let group = self.collect(waiting)?;
            // Empty when only batches without records, or none that can be encoded, waited.
            if group.entries.is_empty() {
                settle(waiting, self.store.next_seq(), 0);
                continue;
            }
            let start = self.store.append(&group.entries)?;
            self.store.sync()?;
            self.shared
                .durable
                .store(self.store.next_seq(), Ordering::Release);
            settle(waiting, start, group.entries.len());
        }
        Ok(())
    }

    /// Encodes the records that wait, up to the size of a group, and stores their blobs. A batch with an entry that can't be
    /// encoded fails alone, and as a whole unless its beginning was in an earlier group.
    fn collect(&self, waiting: &mut VecDeque<Batch>) -> Result<Group, LogError> {
        let mut group = Group::default();
        let mut index = 0;
        while index < waiting.len() && group.bytes < GROUP {
            let before = (group.entries.len(), group.bytes);
            let mut problem = None;
            for record in &waiting[index].records {
                if group.bytes >= GROUP {
                    break;
                }
                match encode(record, self.store.next_seq() + group.entries.len() as u64) {
                    Ok(Encoded { bytes, blobs }) => {
                        for blob in blobs {
                            blob.store(self.store.dir(), self.store.storage())?;
                        }
                        group.bytes += HEADER + bytes.len();
                        group.entries.push(bytes);
                    }
                    Err(error) => {
                        problem = Some(error);
                        break;
                    }
                }
            }
            match problem {
                None => index += 1,
                Some(error) => {
                    group.entries.truncate(before.0);
                    group.bytes = before.1;
                    if let Some(batch) = waiting.remove(index) {
                        batch.fail(Arc::new(error));
                    }
                }
            }
        }
        Ok(group)
    }

    /// Fails what waits and what is queued, and stops the log until it is reopened.
    fn fail(&self, cause: LogError, waiting: VecDeque<Batch>, messages: &Receiver<Message>) {
        let cause = Arc::new(cause);
        let mut failure = self.shared.failure();
        *failure = Some(Arc::clone(&cause));
        for batch in waiting {
            batch.fail(Arc::clone(&cause));
        }
        // Nothing is sent while the lock is held, and only reopening after it.
        while let Ok(message) = messages.try_recv() {
            refuse(message, &cause);
        }
    }

    fn reopen(&mut self) -> Result<(), Arc<LogError>> {
        // Not locked while the disk is busy: until this is done, appending fails at once instead of waiting.
        let failure = self.shared.failure().clone();
        // A full queue stops the log too, but harms no segment.
        if !matches!(failure.as_deref(), None | Some(LogError::Full(_))) {
            self.store.recover().map_err(|error| {
                let cause = Arc::new(error);
                *self.shared.failure() = Some(Arc::clone(&cause));
                cause
            })?;
        }
        *self.shared.failure() = None;
        Ok(())
    }
}

/// Tells the batches at the front that `count` more entries, from number `start`, are durable.
fn settle(waiting: &mut VecDeque<Batch>, start: u64, count: usize) {
    let mut next = start;
    let end = start + count as u64;
    while let Some(mut batch) = waiting.pop_front() {
        if batch.logged.is_empty() {
            batch.logged = next..next;
        }
        let taken = batch
            .records
            .len()
            .min(usize::try_from(end - next).unwrap_or(usize::MAX));
        next += taken as u64;
        batch.logged.end = next;
        if taken < batch.records.len() {
            batch.records.drain(..taken);
            waiting.push_front(batch);
            return;
        }
        batch.done();
        if next == end {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
