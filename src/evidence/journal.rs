//! The log as the operator uses it: what can't be written now is kept and written later.
//!
//! A full or failing disk stops remediation (whoever waits for durability gets an error) and never
//! detection: records are spooled in memory, and appended in their order once the disk works.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::{
    Log, LogError, Record,
    body::{Body, Gap},
};

/// Records that are spooled while the disk fails: about 60 MB. Beyond it they are dropped, which
/// is recorded as a gap.
const MOST_SPOOLED: usize = 100_000;

/// Resolves when records are durable, or when it is clear that they are not.
pub type Durable = Shared<BoxFuture<'static, Result<(), Arc<str>>>>;

/// What became of a batch.
#[derive(Debug)]
pub struct Answer {
    batch: u64,
    failed: Option<(Arc<LogError>, Vec<Record>)>,
}

/// The log, and what waits for it.
pub struct Journal {
    log: Log,
    answers: mpsc::UnboundedSender<Answer>,
    batch: u64,
    outstanding: usize,
    failed: BTreeMap<u64, Vec<Record>>,
    spool: VecDeque<Record>,
    dropped_since: Option<Timestamp>,
    failing: Option<Arc<str>>,
}

impl Journal {
    /// Wraps a log. Answers must be given back through [`Journal::answered`].
    pub fn new(log: Log) -> (Self, mpsc::UnboundedReceiver<Answer>) {
        let (answers, receiver) = mpsc::unbounded_channel();
        let journal = Self {
            log,
            answers,
            batch: 0,
            outstanding: 0,
            failed: BTreeMap::new(),
            spool: VecDeque::new(),
            dropped_since: None,
            failing: None,
        };
        (journal, receiver)
    }

    /// Appends records, in order after all earlier ones.
    pub fn append(&mut self, records: Vec<Record>) -> Durable {
        if let Some(why) = &self.failing {
            let why = Arc::clone(why);
            self.spool(records);
            return futures::future::ready(Err(why)).boxed().shared();
        }
        let ticket = self.log.append(records);
        self.batch += 1;
        self.outstanding += 1;
        let (batch, answers) = (self.batch, self.answers.clone());
        let (durable, receiver) = oneshot::channel::<Result<(), Arc<str>>>();
        tokio::spawn(async move {
            let (result, failed) = match ticket.await {
                Ok(_) => (Ok(()), None),
                Err(failed) => {
                    let why: Arc<str> = failed.cause.to_string().into();
                    (Err(why), Some((failed.cause, failed.records)))
                }
            };
            // Nobody may be waiting for this batch, and the operator may be stopping.
            let _ = durable.send(result);
            let _ = answers.send(Answer { batch, failed });
        });
        let gone = || Err(Arc::from("the log was closed"));
        receiver
            .map(move |result| result.unwrap_or_else(|_| gone()))
            .boxed()
            .shared()
    }

    /// Takes in what became of a batch. Returns what is wrong, where that is news.
    pub fn answered(&mut self, answer: Answer) -> Option<Arc<str>> {
        self.outstanding = self.outstanding.saturating_sub(1);
        let (cause, records) = answer.failed?;
        if cause.is_about_the_entry() {
            // It would fail again for ever; the rest of the log must go on.
            tracing::error!(%cause, "A record can't be written and is left out");
            return None;
        }
        self.failed.insert(answer.batch, records);
        let why: Arc<str> = cause.to_string().into();
        let news = self.failing.is_none();
        self.failing = Some(Arc::clone(&why));
        news.then_some(why)
    }

    /// Whether the log can't be written.
    pub const fn is_failing(&self) -> bool {
        self.failing.is_some()
    }

    /// Tries to go on after a failure. `true` where the log can be written again.
    pub async fn recover(&mut self, now: Timestamp) -> bool {
        if self.failing.is_none() || self.outstanding > 0 {
            return false;
        }
        for (_, records) in std::mem::take(&mut self.failed).into_iter().rev() {
            for record in records.into_iter().rev() {
                self.spool.push_front(record);
            }
        }
        if let Err(cause) = self.log.reopen().await {
            self.failing = Some(cause.to_string().into());
            return false;
        }
        self.failing = None;
        let mut records: Vec<Record> = std::mem::take(&mut self.spool).into();
        if let Some(from) = self.dropped_since.take() {
            records.push(Record::new(
                now,
                Body::Gap(Gap {
                    scope: "log".to_owned(),
                    from,
                    to: Some(now),
                    cause: "the disk failed for so long that entries had to be dropped".to_owned(),
                }),
            ));
        }
        if records.is_empty() {
            return true;
        }
        // Files can be opened on a full disk too: only what is durable shows that it works.
        let durable = self.append(records);
        match durable.await {
            Ok(()) => true,
            Err(why) => {
                self.failing = Some(why);
                false
            }
        }
    }

    fn spool(&mut self, records: Vec<Record>) {
        for record in records {
            if self.spool.len() < MOST_SPOOLED {
                self.spool.push_back(record);
            } else {
                self.dropped_since.get_or_insert(record.time);
            }
        }
    }

    /// Position of the next entry.
    pub fn position(&self) -> u64 {
        self.log.position()
    }

    /// Writes what waits, and closes the log.
    pub fn close(self) -> Result<(), Arc<LogError>> {
        self.log.close()
    }
}
