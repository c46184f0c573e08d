//! The operator: the one loop that ties the engine to the cluster, the log and the metrics.
//!
//! ```text
//! watches ─┐                              ┌─► journal (durable) ─► writes ─┐
//! lease ───┼─► inbox ─► engine.apply ─► engine.round ─► statuses, events   │
//! results ─┘                              └─► metrics                      │
//!    └───────────────────────────────◄────────────────────────────────────┘
//! ```
//!
//! Everything that decides is in the engine; everything that waits is in a task of its own. The
//! loop itself waits for nothing but its inbox and the next time that something is due.

mod anchors;
mod carry;
mod feed;
mod index;
mod observe;
mod periods;
mod relist;
mod reports;
mod retention;
mod terms;
mod watches;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::sync::mpsc;
use tracing::Span;

pub use self::{anchors::Anchoring, index::Indexing, retention::Retention};
use self::{
    feed::{Feeds, OwnKind},
    watches::{Rereads, Source, Watches},
};
use crate::{
    cluster::{
        client::Connection,
        events::Publisher,
        guardrails::ReleaseManifest,
        lease::{Candidate, Term},
        watch::WatchItem,
    },
    engine::{ActionResult, Engine, Event, Now, ObjectKey, PeriodTold},
    evidence::{
        Record,
        body::{self, Body},
        journal::{Answer, Journal},
    },
    inventory::{Availability, Kind, Sym, entropy::Listed},
    metrics::Metrics,
    server::Health,
    telemetry::spans,
};

/// Inputs that may wait. Watches stop reading when it is full, and the server buffers.
const INBOX: usize = 4096;
/// Inputs that one round handles at most, so that no flood delays a write for long.
const BATCH: usize = 1024;
/// The loop turns at least so often.
const TURN: Duration = Duration::from_secs(1);
/// A failing log is tried again so often.
const LOG_RETRY: Duration = Duration::from_secs(2);

/// Deadlines of controls are measured so often: each is looked at then.
const DEADLINES: Duration = Duration::from_secs(15);

/// Something for the loop.
#[derive(Debug)]
pub(crate) enum Input {
    /// What became of a step of an action.
    Action(u64, ActionResult),
    /// A status could not be written.
    StatusFailed(Sym),
    /// What is seen of an object with which people take part could not be written.
    RemarkFailed(ObjectKey),
    /// A probe has come to an end.
    Found(crate::engine::Finding),
    /// A metadata-only list of a kind, and whether it is the second look.
    Listed {
        kind: Kind,
        listed: Listed,
        suspects: Option<Vec<(Sym, Sym)>>,
        since: Timestamp,
    },
    /// A term begins, and what it follows was asked for.
    Leads(body::Term),
    /// What became of a checkpoint that was to be kept elsewhere.
    Anchored(anchors::Turned),
    /// What became of writing rows: how many files.
    Indexed(Result<usize, String>),
    /// What became of a look for entries that nobody needs, or of their removal.
    Retained(Result<retention::Step, String>),
    /// The log has been read for audit periods.
    Periods(periods::Followed, BTreeMap<ObjectKey, PeriodTold>),
}

/// What woke the loop.
enum Taken {
    Item(WatchItem<Source>),
    Input(Input),
}

/// How the operator was started.
#[derive(Debug, Clone)]
pub struct Options {
    /// This replica.
    pub replica: String,
    /// The namespace that it runs in.
    pub namespace: String,
    /// Time between two anti-entropy lists of a kind.
    pub verify_every: Duration,
    /// Minor version of the API server.
    pub server_minor: u32,
    /// The managed platform that runs the API server, where it shows itself.
    pub platform: Option<&'static str>,
    /// What the log is to say at the start.
    pub start: body::Start,
    /// The data folder.
    pub data: PathBuf,
    /// Where heads of the log are kept.
    pub anchoring: Anchoring,
    /// What is removed of the log, if anything is.
    pub retention: Option<Retention>,
    /// Whether and where rows for query engines are written.
    pub indexing: Indexing,
    /// Where the network probe may run; absent means nowhere.
    pub probe: Option<ProbePlace>,
    /// The manifest of the release; absent where the chart did not install it.
    pub release: Option<ReleaseManifest>,
}

/// Where the network probe may run.
#[derive(Debug, Clone)]
pub struct ProbePlace {
    /// Its namespace.
    pub namespace: String,
    /// An image that holds this program.
    pub image: String,
}

/// What the operator works with.
pub struct Operator {
    options: Options,
    connection: Connection,
    engine: Engine,
    journal: Journal,
    answers: mpsc::UnboundedReceiver<Answer>,
    candidate: Candidate,
    term: Option<Term>,
    metrics: Metrics,
    health: Health,
    items: mpsc::Receiver<WatchItem<Source>>,
    inbox: mpsc::Receiver<Input>,
    sender: mpsc::Sender<Input>,
    watches: Watches,
    rereads: Rereads,
    feeds: Feeds,
    notices: mpsc::Sender<feed::Addressed>,
    origin: Instant,
    log_retry_at: Duration,
    deadlines_at: Duration,
    observers: observe::Observers,
    anchors: anchors::Anchors,
    keeper: retention::Keeper,
    index: index::Index,
    periods: periods::Periods,
    started: bool,
    policies: BTreeMap<Sym, String>,
    reports: reports::Reports,
}

impl Operator {
    /// Ties the parts together. Nothing happens before [`Operator::run`].
    #[allow(
        clippy::too_many_arguments,
        reason = "it is where all parts come together"
    )]
    pub fn new(
        options: Options,
        connection: Connection,
        engine: Engine,
        (journal, answers): (Journal, mpsc::UnboundedReceiver<Answer>),
        candidate: Candidate,
        metrics: Metrics,
        health: Health,
    ) -> Self {
        let (sender, inbox) = mpsc::channel(INBOX);
        let (watched, items) = mpsc::channel(INBOX);
        let publisher = Publisher::new(&options.replica);
        let notices = feed::publish(connection.client.clone(), publisher, metrics.clone());
        Self {
            watches: Watches::new(connection.client.clone(), watched),
            rereads: Rereads::default(),
            feeds: Feeds::default(),
            origin: Instant::now(),
            log_retry_at: Duration::ZERO,
            deadlines_at: Duration::ZERO,
            observers: observe::Observers::default(),
            anchors: anchors::Anchors::new(options.anchoring.clone()),
            keeper: retention::Keeper::new(options.retention.clone()),
            index: index::Index::new(options.indexing.clone()),
            periods: periods::Periods::new(options.data.clone()),
            started: false,
            policies: BTreeMap::new(),
            reports: reports::Reports::default(),
            term: None,
            options,
            connection,
            engine,
            journal,
            answers,
            candidate,
            metrics,
            health,
            items,
            inbox,
            sender,
            notices,
        }
    }

    /// Runs until `stop` resolves, then stops in good order.
    pub async fn run(mut self, stop: impl Future<Output = &'static str>) -> Result<(), String> {
        let mut leadership = self.candidate.leadership();
        let mut stop = std::pin::pin!(stop);
        let mut next = Duration::ZERO;
        self.engine.observed_mut().server_minor = Some(self.options.server_minor);
        self.engine.observed_mut().platform = self.options.platform;
        self.watch_own();
        loop {
            let wait = next.saturating_sub(self.origin.elapsed()).min(TURN);
            let first = tokio::select! {
                biased;
                reason = &mut stop => return Box::pin(self.stop(reason)).await,
                changed = leadership.changed() => {
                    if changed.is_err() {
                        return Err("the task that holds the lease has ended".to_owned());
                    }
                    None
                }
                answer = self.answers.recv() => {
                    self.answered(answer);
                    None
                }
                item = self.items.recv() => item.map(Taken::Item),
                input = self.inbox.recv() => input.map(Taken::Input),
                () = tokio::time::sleep(wait) => None,
            };
            let now = self.now();
            let turned = self.leadership(now);
            let inputs = self.take(first, now);
            self.recover_log(now);
            // A turn without work is none that anybody wants to see once a second.
            let works = turned || inputs > 0 || now.mono >= next || !self.engine.is_settled();
            let span = if works { spans::round() } else { Span::none() };
            next = span.in_scope(|| self.round(now));
            span.record("inputs", inputs);
            self.follow_up(now);
        }
    }

    /// Runs a round and carries out what it asks for. Returns when the next one is due.
    fn round(&mut self, now: Now) -> Duration {
        let round = self.engine.round(now);
        self.metrics
            .round(self.origin.elapsed().saturating_sub(now.mono), now.wall);
        let next = round.next.unwrap_or(Duration::MAX);
        self.carry(round, now);
        next
    }

    fn now(&self) -> Now {
        let mono = self.origin.elapsed();
        Now {
            wall: Timestamp::now(),
            mono,
            received: mono,
        }
    }

    /// Takes in what woke the loop, and what already waits behind it. Returns how much that was.
    fn take(&mut self, first: Option<Taken>, now: Now) -> usize {
        let mut taken = usize::from(first.is_some());
        match first {
            Some(Taken::Item(item)) => self.watched(item, now),
            Some(Taken::Input(input)) => self.input(input, now),
            None => {}
        }
        for _ in 0..BATCH {
            match self.inbox.try_recv() {
                Ok(input) => self.input(input, now),
                Err(_) => break,
            }
            taken += 1;
        }
        for _ in 0..BATCH {
            match self.items.try_recv() {
                Ok(item) => self.watched(item, now),
                Err(_) => break,
            }
            taken += 1;
        }
        taken
    }

    fn input(&mut self, input: Input, now: Now) {
        match input {
            Input::Action(id, result) => self.engine.apply(Event::Action(id, result), now),
            Input::StatusFailed(name) => {
                self.reports.again(&name);
                self.engine
                    .apply(Event::StatusFailed(name.to_string()), now);
            }
            Input::RemarkFailed(key) => {
                self.engine.apply(Event::RemarkFailed(key), now);
            }
            Input::Leads(said) => self.lead(said, now),
            Input::Found(finding) => self.engine.apply(Event::Found(finding), now),
            Input::Anchored(turned) => self.anchors.kept(turned),
            Input::Indexed(done) => self.index.done(done),
            Input::Retained(step) => self.keeper.came_back(step, &mut self.journal, now.wall),
            Input::Periods(followed, told) => {
                self.periods.read(followed);
                self.engine.apply(Event::Periods(told), now);
            }
            Input::Listed {
                kind,
                listed,
                suspects,
                since,
            } => {
                self.verify(kind, &listed, suspects, since, now);
            }
        }
    }

    fn watched(&mut self, item: WatchItem<Source>, now: Now) {
        let kind = match item.key() {
            Source::Kind(kind) => kind,
            Source::Own(kind) => {
                for event in self.feeds.take(kind, item) {
                    self.engine.apply(event, now);
                }
                self.watch_own();
                return;
            }
        };
        if !self.watches.is_watching(kind) {
            return; // it was stopped while this was on its way
        }
        let event = match item {
            WatchItem::Restart { .. } => Event::ListBegan(kind),
            WatchItem::Page { bytes, .. } => Event::Page(kind, bytes),
            WatchItem::Synced { .. } => Event::ListEnded(kind),
            WatchItem::Event { line, .. } => Event::Line(kind, line),
            WatchItem::Alive { .. } => Event::Alive(kind),
            WatchItem::Lost { reason, .. } => {
                self.metrics.request("watch", reason.category());
                match watches::lost(kind, reason) {
                    Some(event) => event,
                    None => return,
                }
            }
        };
        self.engine.apply(event, now);
    }

    /// Follows our own kinds. Policies wait for what people say to be known: else a failure that
    /// is accepted would be taken for one that is not.
    fn watch_own(&mut self) {
        let settled = self.feeds.people_settled();
        let kinds = OwnKind::all().filter(|kind| settled || *kind != OwnKind::Policy);
        kinds.for_each(|kind| self.watches.watch_own(kind));
    }

    fn recover_log(&mut self, now: Now) {
        if now.mono >= self.log_retry_at {
            self.log_retry_at = now.mono + LOG_RETRY;
            self.journal.recover();
        }
    }

    /// What follows from a round: watches, observations, probes.
    fn follow_up(&mut self, now: Now) {
        let needed = self.engine.needed_kinds();
        for kind in self.watches.adjust(&needed) {
            self.engine.apply(Event::Unwatched(kind), now);
            self.metrics.unwatched(kind);
        }
        for kind in self.watches.started() {
            self.engine
                .apply(Event::Availability(kind, Availability::Listing), now);
        }
        let leads = self.term.is_some();
        self.observers.turn(&observe::Turn {
            engine: &self.engine,
            connection: &self.connection,
            namespace: &self.options.namespace,
            data: &self.options.data,
            probe: self.options.probe.as_ref(),
            release: self.options.release.as_ref(),
            sender: &self.sender,
            verify_every: self.options.verify_every,
            leads,
            now,
        });
        if self.observers.second_passed(now.mono) {
            self.read_again(now);
            self.anchors
                .turn(&self.journal, &self.connection, &self.sender, now.mono);
            self.index.turn(&self.sender, now.mono);
            self.anchors.measure(&self.metrics, now.wall);
            // Only whoever leads writes into its log.
            if self.engine.leading() {
                self.keeper
                    .turn(&self.journal, &self.connection, &self.sender, now);
            }
            self.periods.turn(&self.engine, &self.sender, leads, now);
            if let Some(published) = self.journal.published() {
                self.metrics.published(published.checkpoint.size, now.wall);
            }
            self.metrics.inventory(self.engine.inventory(), now.mono);
            self.metrics.policies(self.feeds.len(OwnKind::Policy));
            self.metrics.own_kinds(self.feeds.readable());
            self.metrics.people(&self.engine, now);
            self.metrics.waiting("watch", self.items.len());
            self.metrics.waiting("result", self.inbox.len());
            let notices = &self.notices;
            self.metrics
                .waiting("event", notices.max_capacity() - notices.capacity());
            if leads {
                self.measure_policies(now);
            }
            let inventory = self.engine.inventory();
            let unread = needed.iter().filter(|kind| {
                let availability = inventory.freshness.of(**kind);
                matches!(
                    availability,
                    Availability::Listing | Availability::Unwatched
                )
            });
            let unread = unread.map(|kind| kind.info().plural.to_owned());
            let policies = (!self.feeds.is_synced(OwnKind::Policy)).then(|| "policies".to_owned());
            self.health
                .set_unread(policies.into_iter().chain(unread).collect());
        }
        self.health.turned();
    }

    /// What is measured of policies although nothing changed in them.
    fn measure_policies(&mut self, now: Now) {
        for policy in self.engine.policies() {
            self.metrics.budget(&self.engine, policy, now);
        }
        if now.mono >= self.deadlines_at {
            self.deadlines_at = now.mono + DEADLINES;
            self.metrics.deadlines(&self.engine);
        }
    }

    /// Stops in good order: the log says so, and the lease is given up.
    async fn stop(mut self, reason: &'static str) -> Result<(), String> {
        tracing::info!(reason, "Stopping");
        self.watches.stop();
        if self.term.is_some() {
            let stop = Body::Stop(body::Stop {
                reason: reason.into(),
            });
            let durable = self
                .journal
                .append(vec![Record::new(Timestamp::now(), stop)]);
            if let Err(why) = durable.await {
                tracing::error!(%why, "The last entry of the log was not written");
            }
        }
        self.term = None;
        self.candidate.release().await;
        let journal = self.journal;
        let closed = tokio::task::spawn_blocking(move || journal.close())
            .await
            .map_err(|error| error.to_string())?
            .map_err(|error: Arc<_>| error.to_string())?;
        if let Some(published) = closed {
            self.anchors.last(&self.connection, published).await;
        }
        Ok(())
    }
}
