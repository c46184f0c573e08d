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
    Log, LogError, Published, Record,
    body::{Body, Gap},
};

/// Records that are spooled while the disk fails: about 60 MB. Beyond it they are dropped, which
/// is recorded as a gap.
const MOST_SPOOLED: usize = 100_000;

/// Resolves when records are durable, or when it is clear that they are not.
pub type Durable = Shared<BoxFuture<'static, Result<(), Arc<str>>>>;

/// What became of something that the journal asked of the log.
#[derive(Debug)]
pub struct Answer(About);

#[derive(Debug)]
enum About {
    Batch {
        batch: u64,
        /// Where the log ends after it, if something other than heartbeats is in it.
        notable: Option<u64>,
        failed: Option<(Arc<LogError>, Vec<Record>)>,
    },
    Reopened(Result<(), Arc<LogError>>),
}

/// What an answer changed.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// The log can't be written any more, for this reason.
    Failing(Arc<str>),
    /// It can be written again.
    Healthy,
}

/// Whether the log can be written.
#[derive(Debug)]
enum State {
    Healthy,
    Failing(Arc<str>),
    /// Its files are being opened again.
    Reopening(Arc<str>),
    /// They are open, and this batch must show that they can be written: a full disk lets files
    /// be opened too.
    Proving(Arc<str>, u64),
}

impl State {
    fn why(&self) -> Option<&Arc<str>> {
        match self {
            Self::Healthy => None,
            Self::Failing(why) | Self::Reopening(why) | Self::Proving(why, _) => Some(why),
        }
    }
}

/// The log, and what waits for it. Nothing here waits for the disk: a disk that hangs answers
/// late, and nobody else is held up.
pub struct Journal {
    log: Arc<Log>,
    answers: mpsc::UnboundedSender<Answer>,
    batch: u64,
    outstanding: usize,
    failed: BTreeMap<u64, Vec<Record>>,
    spool: VecDeque<Record>,
    dropped_since: Option<Timestamp>,
    state: State,
    notable: u64,
}

impl Journal {
    /// Wraps a log. Answers must be given back through [`Journal::answered`].
    pub fn new(log: Log) -> (Self, mpsc::UnboundedReceiver<Answer>) {
        let (answers, receiver) = mpsc::unbounded_channel();
        let journal = Self {
            log: Arc::new(log),
            answers,
            batch: 0,
            outstanding: 0,
            failed: BTreeMap::new(),
            spool: VecDeque::new(),
            dropped_since: None,
            state: State::Healthy,
            notable: 0,
        };
        (journal, receiver)
    }

    /// Appends records, in order after all earlier ones.
    pub fn append(&mut self, records: Vec<Record>) -> Durable {
        if let Some(why) = self.state.why() {
            let why = Arc::clone(why);
            self.spool(records);
            return futures::future::ready(Err(why)).boxed().shared();
        }
        self.send(records)
    }

    fn send(&mut self, records: Vec<Record>) -> Durable {
        let is_notable = |record: &Record| !matches!(record.body, Body::Heartbeat(_));
        let has_notable = records.iter().any(is_notable);
        let ticket = self.log.append(records);
        self.batch += 1;
        self.outstanding += 1;
        let (batch, answers) = (self.batch, self.answers.clone());
        let (durable, receiver) = oneshot::channel::<Result<(), Arc<str>>>();
        tokio::spawn(async move {
            let (result, notable, failed) = match ticket.await {
                Ok(logged) => (Ok(()), has_notable.then_some(logged.end), None),
                Err(failed) => {
                    let why: Arc<str> = failed.cause.to_string().into();
                    (Err(why), None, Some((failed.cause, failed.records)))
                }
            };
            // Nobody may be waiting for this batch, and the operator may be stopping.
            let _ = durable.send(result);
            let about = About::Batch {
                batch,
                notable,
                failed,
            };
            let _ = answers.send(Answer(about));
        });
        let gone = || Err(Arc::from("the log was closed"));
        receiver
            .map(move |result| result.unwrap_or_else(|_| gone()))
            .boxed()
            .shared()
    }

    /// Takes in an answer at the time `now`. Returns what it changed.
    pub fn answered(&mut self, answer: Answer, now: Timestamp) -> Option<News> {
        match answer.0 {
            About::Batch {
                batch,
                notable,
                failed,
            } => {
                self.notable = self.notable.max(notable.unwrap_or(0));
                self.outstanding = self.outstanding.saturating_sub(1);
                match failed {
                    Some((cause, records)) => self.failed(batch, &cause, records),
                    None => self.succeeded(batch),
                }
            }
            About::Reopened(Ok(())) => self.prove(now),
            About::Reopened(Err(cause)) => {
                self.state = State::Failing(cause.to_string().into());
                None
            }
        }
    }

    fn failed(&mut self, batch: u64, cause: &LogError, records: Vec<Record>) -> Option<News> {
        if cause.is_about_the_entry() {
            // It would fail again for ever; the rest of the log must go on.
            tracing::error!(%cause, "A record can't be written and is left out");
            return self.succeeded(batch);
        }
        self.failed.insert(batch, records);
        let why: Arc<str> = cause.to_string().into();
        let news = matches!(self.state, State::Healthy);
        self.state = State::Failing(Arc::clone(&why));
        news.then_some(News::Failing(why))
    }

    fn succeeded(&mut self, batch: u64) -> Option<News> {
        match self.state {
            State::Proving(_, proof) if proof == batch => Some(self.healthy()),
            _ => None,
        }
    }

    fn healthy(&mut self) -> News {
        self.state = State::Healthy;
        let spooled: Vec<Record> = std::mem::take(&mut self.spool).into();
        if !spooled.is_empty() {
            drop(self.send(spooled));
        }
        News::Healthy
    }

    /// Begins to go on after a failure, if there was one and nothing is under way.
    pub fn recover(&mut self) {
        let State::Failing(why) = &self.state else {
            return;
        };
        if self.outstanding > 0 {
            return;
        }
        self.state = State::Reopening(Arc::clone(why));
        let (log, answers) = (Arc::clone(&self.log), self.answers.clone());
        tokio::spawn(async move {
            let reopened = log.reopen().await;
            // The operator may be stopping.
            let _ = answers.send(Answer(About::Reopened(reopened)));
        });
    }

    /// The log is open again: what was spooled must show that it can be written.
    fn prove(&mut self, now: Timestamp) -> Option<News> {
        for (_, records) in std::mem::take(&mut self.failed).into_iter().rev() {
            for record in records.into_iter().rev() {
                self.spool.push_front(record);
            }
        }
        let mut records: Vec<Record> = std::mem::take(&mut self.spool).into();
        if let Some(from) = self.dropped_since.take() {
            let gap = Body::Gap(Gap {
                scope: "log".to_owned(),
                from,
                to: Some(now),
                cause: "the disk failed for so long that entries had to be dropped".to_owned(),
            });
            records.push(Record::new(now, gap));
        }
        if records.is_empty() {
            return Some(self.healthy());
        }
        drop(self.send(records));
        let why = self.state.why().map_or_else(|| "".into(), Arc::clone);
        self.state = State::Proving(why, self.batch);
        None
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

    /// The size that a checkpoint needs in order to cover all but heartbeats.
    pub fn notable(&self) -> u64 {
        self.notable
    }

    /// The last checkpoint of the log.
    pub fn published(&self) -> Option<Published> {
        self.log.published()
    }

    /// Why the tree of the log can't be written, if it can't.
    pub fn publish_failure(&self) -> Option<String> {
        self.log.publish_failure().map(|error| error.to_string())
    }

    /// Position of the next entry.
    pub fn position(&self) -> u64 {
        self.log.position()
    }

    /// Writes what waits, and closes the log. What could not be written is lost with the process,
    /// and the next start records the time since the last entry as a gap.
    ///
    /// Returns the last checkpoint.
    pub fn close(self) -> Result<Option<Published>, Arc<LogError>> {
        match Arc::into_inner(self.log) {
            Some(log) => log.close(),
            // It is being reopened by a disk that does not answer.
            None => Err(Arc::new(LogError::Stopped)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::body::Stop;

    fn record(second: i64) -> Record {
        let body = Body::Stop(Stop {
            reason: "test".into(),
        });
        Record::new(Timestamp::from_second(second).unwrap(), body)
    }

    #[tokio::test]
    async fn what_failed_is_written_in_order_once_it_works_and_nobody_waits_for_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(folder.path()).unwrap();
        let (mut journal, mut answers) = Journal::new(log);
        let now = Timestamp::UNIX_EPOCH;
        assert!(journal.append(vec![record(1)]).await.is_ok());
        journal.answered(answers.recv().await.unwrap(), now);
        journal.answered(
            Answer(About::Batch {
                batch: 99,
                notable: None,
                failed: Some((Arc::new(LogError::Full(1)), vec![record(2)])),
            }),
            now,
        );
        let lost = journal.append(vec![record(3)]);
        assert!(lost.await.is_err());
        journal.recover();
        assert!(journal.append(vec![record(4)]).await.is_err());
        let mut news = None;
        while news.is_none() {
            news = journal.answered(answers.recv().await.unwrap(), now);
        }
        assert_eq!(news, Some(News::Healthy));
        assert!(journal.append(vec![record(5)]).await.is_ok());
        journal.close().unwrap();
        let (log, recovered) = Log::open(folder.path()).unwrap();
        let entries: Result<Vec<_>, _> = recovered.entries().unwrap().collect();
        let times = entries.unwrap().into_iter().map(|e| e.time.as_second());
        assert_eq!(times.collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        drop(log);
    }
}
