//! The engine: a synchronous state machine from events to verdicts, entries, writes and statuses.
//!
//! ```text
//! apply(event, now)   inventory changes, marks what becomes uncertain            (no verdicts yet)
//! round(now)          judges what is dirty or due ─► transitions ─► plans ─► Round
//!                       entries   for the evidence log
//!                       actions   for the API server; results come back as events
//!                       statuses, notices, measures
//! ```
//!
//! It does no IO and reads no clock: the shell is the only loop. So crashes, staleness and races
//! are tested by driving it.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod act;
mod fights;
mod flights;
mod heartbeat;
mod instance;
mod limits;
mod memory;
mod observed;
mod owners;
mod plan;
mod policies;
mod record;
mod status;
#[cfg(test)]
mod tests;
mod timers;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use self::{
    fights::Fights,
    flights::Flights,
    instance::{Instance, Key},
    limits::{Brake, Budget},
    policies::Policy,
    timers::Timers,
};
pub use self::{
    flights::{Action, ActionResult, Failure, FailureKind, Step},
    memory::Memory,
    observed::{Canary, CanaryRun, Finding, Observed},
    plan::{Hold, PAUSE, Standing},
    record::OWNER_LABEL,
};
use crate::{
    analysis::Analyses,
    api::{ControlPolicy, ControlPolicyStatus},
    controls::{Observation, Subject, Touched},
    evidence::{
        Record,
        body::{self, Body},
        words::Cause,
    },
    inventory::{Availability, Change, Inventory, Kind, Sym},
    verdict::{Counts, Outcome},
};

/// The time of an event or a round.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Wall clock: what evidence carries.
    pub wall: Timestamp,
    /// Monotonic clock since the start: what waits and limits are measured with.
    pub mono: Duration,
    /// When the oldest bytes arrived that this round handles, on the monotonic clock.
    pub received: Duration,
}

impl Now {
    /// The monotonic time at which the wall clock should show `at`.
    fn later(&self, at: Timestamp) -> Duration {
        let wait = Duration::try_from(at.duration_since(self.wall)).unwrap_or_default();
        self.mono + wait
    }

    /// What the wall clock should show at the monotonic time `at`.
    fn wall_at(&self, at: Duration) -> Timestamp {
        let wait = SignedDuration::try_from(at.saturating_sub(self.mono)).unwrap_or_default();
        self.wall.checked_add(wait).unwrap_or(self.wall)
    }
}

/// What the engine must know of where it runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// The namespace that Probity runs in.
    pub own_namespace: String,
    /// Name of this replica's log.
    pub log: String,
    /// Label of namespaces that names the owner.
    pub owner_label: String,
}

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// A relist of a kind begins.
    ListBegan(Kind),
    /// A page of a list, as the server sent it.
    Page(Kind, bytes::Bytes),
    /// The list of a kind is complete.
    ListEnded(Kind),
    /// A line of a watch, as the server sent it.
    Line(Kind, bytes::Bytes),
    /// A sign of life of a watch.
    Alive(Kind),
    /// A kind can't be read, or can be again.
    Availability(Kind, Availability),
    /// The API server does not serve a kind.
    Missing(Kind),
    /// Nobody needs a kind any more.
    Unwatched(Kind),
    /// Anti-entropy found that the watch had missed these objects of a kind, since the time given.
    Repaired(Kind, usize, Timestamp),
    /// A policy is new or changed.
    Policy(Box<ControlPolicy>),
    /// A policy is gone.
    PolicyDeleted(String),
    /// A probe has come to an end.
    Found(Finding),
    /// What became of a step of an action.
    Action(u64, ActionResult),
    /// This replica leads from now on.
    Leading(body::Term),
    /// This replica leads no longer.
    Following,
    /// The evidence log can be written, or why not.
    Log(Result<(), String>),
    /// A status could not be written: it is due again.
    StatusFailed(String),
}

/// What a round asks the shell to do.
#[derive(Debug, Default)]
pub struct Round {
    /// For the evidence log, in order, before anything else.
    pub records: Vec<Record>,
    /// For the API server, each after the records are durable where it writes.
    pub actions: Vec<Action>,
    /// Statuses to write, by policy.
    pub statuses: Vec<(Sym, ControlPolicyStatus)>,
    /// Events to publish.
    pub notices: Vec<Notice>,
    /// What to count.
    pub measures: Vec<Measure>,
    /// Policies whose series have changed.
    pub changed: BTreeSet<Sym>,
    /// Policies whose series must go.
    pub gone: BTreeSet<Sym>,
    /// When the next round is due although nothing happens, on the monotonic clock.
    pub next: Option<Duration>,
}

/// What a round collects.
#[derive(Debug, Default)]
struct Out {
    entries: Vec<Body>,
    actions: Vec<Action>,
    notices: Vec<Notice>,
    measures: Vec<Measure>,
    changed: BTreeSet<Sym>,
    gone: BTreeSet<Sym>,
}

/// A Kubernetes Event to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The subject that it is about; `None` where it is about the policy alone.
    pub subject: Option<Subject>,
    /// The policy.
    pub policy: Option<Sym>,
    /// Whether someone should look.
    pub kind: NoticeKind,
    /// Reason, in `PascalCase`.
    pub reason: &'static str,
    /// What was done.
    pub action: &'static str,
    /// A sentence.
    pub note: String,
}

/// Type of a Kubernetes Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    /// For information.
    Normal,
    /// Someone should look.
    Warning,
}

/// Something to count.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the fields are the labels of the metric")]
pub enum Measure {
    /// A subject drifted.
    Drift { policy: Sym, control: &'static str },
    /// A remedy came to an end.
    Remediation {
        policy: Sym,
        control: &'static str,
        result: &'static str,
    },
    /// A brake latched or was released.
    Brake {
        policy: Sym,
        control: &'static str,
        latched: bool,
    },
    /// The budget of a policy is used up.
    Budget { policy: Sym },
    /// A drift was detected whose bytes were received at this time, on the monotonic clock.
    Detected(Duration),
    /// From bytes received to the answer of the server to the remedy.
    Reverted(Duration),
    /// A watch sent something unreadable, or had missed something.
    Gap { kind: Kind },
}

/// Series of one control of one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// The control.
    pub control: &'static str,
    /// Its outcome.
    pub outcome: Outcome,
    /// Its subjects by outcome.
    pub counts: Counts,
    /// Its failing subjects by owner; at most 200 owners, then `other`.
    pub owners: BTreeMap<String, u64>,
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    inventory: Inventory,
    analyses: Analyses,
    observed: Observed,
    policies: BTreeMap<Sym, Policy>,
    instances: BTreeMap<u32, Instance>,
    keys: BTreeMap<Key, u32>,
    /// Instances by the kinds that they read.
    readers: BTreeMap<Kind, BTreeSet<u32>>,
    next_instance: u32,
    /// Instances with something to judge.
    uncertain: BTreeSet<u32>,
    /// Rows to plan anew in this round.
    plans: BTreeSet<(u32, Subject)>,
    /// Policies that joined an instance which others use already.
    newcomers: Vec<(u32, Sym)>,
    /// Rows to judge again because something was remembered.
    again: Vec<(u32, Subject, Cause)>,
    timers: Timers,
    budgets: BTreeMap<Sym, Budget>,
    brakes: BTreeMap<(Sym, &'static str), Brake>,
    fights: Fights,
    flights: Flights,
    memory: Memory,
    leading: bool,
    log: Result<(), String>,
    last_action: u64,
    heartbeat_at: Duration,
    full_pass_at: Duration,
    pauses: BTreeMap<String, Timestamp>,
    status_written: BTreeMap<Sym, Duration>,
    out: Out,
}

/// Heartbeats are so far apart.
const HEARTBEAT: Duration = Duration::from_mins(1);
/// Everything is judged again so often, in case something was missed.
const FULL_PASS: Duration = Duration::from_mins(10);
/// Status writes of one policy are at least so far apart.
const STATUS_EVERY: Duration = Duration::from_secs(2);
/// So long a status waits for more to change.
const STATUS_SOON: Duration = Duration::from_millis(200);

impl Engine {
    /// An engine that knows what the log remembers.
    pub fn new(config: Config, memory: Memory) -> Self {
        Self {
            config,
            memory,
            inventory: Inventory::default(),
            analyses: Analyses::default(),
            observed: Observed::default(),
            policies: BTreeMap::new(),
            instances: BTreeMap::new(),
            keys: BTreeMap::new(),
            readers: BTreeMap::new(),
            next_instance: 0,
            uncertain: BTreeSet::new(),
            plans: BTreeSet::new(),
            newcomers: Vec::new(),
            again: Vec::new(),
            timers: Timers::default(),
            budgets: BTreeMap::new(),
            brakes: BTreeMap::new(),
            fights: Fights::default(),
            flights: Flights::default(),
            leading: false,
            log: Ok(()),
            last_action: 0,
            heartbeat_at: HEARTBEAT,
            full_pass_at: FULL_PASS,
            pauses: BTreeMap::new(),
            status_written: BTreeMap::new(),
            out: Out::default(),
        }
    }

    /// Kinds that must be watched for the policies there are.
    pub fn needed_kinds(&self) -> BTreeSet<Kind> {
        self.readers.keys().copied().collect()
    }

    /// Further things that must be observed.
    pub fn needed_observations(&self) -> BTreeSet<Observation> {
        let instances = self.instances.values();
        instances
            .flat_map(|instance| instance.control.info().observes.iter().copied())
            .collect()
    }

    /// What is known of the cluster.
    pub const fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// What was observed beside objects, for the shell to complete.
    pub const fn observed_mut(&mut self) -> &mut Observed {
        &mut self.observed
    }

    /// The parameters of a control in each policy that switches it on, as JSON.
    pub fn parameters_of(&self, control: &str) -> Vec<serde_json::Value> {
        let policies = self.policies.values();
        policies
            .filter_map(|policy| {
                let registered = crate::controls::registry::find(control)?;
                Some((registered.enabled)(&policy.spec.controls)?.parameters)
            })
            .collect()
    }

    const fn leading(&self) -> bool {
        self.leading
    }

    /// Takes in an event. Nothing is judged before the next round.
    pub fn apply(&mut self, event: Event, now: Now) {
        match event {
            Event::ListBegan(kind) => self.inventory.begin_list(kind),
            Event::Page(kind, page) => {
                let changes = self.inventory.apply_page(kind, &page);
                self.changes(kind, changes, now);
            }
            Event::Line(kind, line) => {
                self.inventory.freshness.alive(kind, now.mono);
                let changes = self.inventory.apply_line(kind, &line);
                self.changes(kind, changes, now);
            }
            Event::ListEnded(kind) => {
                let changes = self.inventory.end_list(kind);
                self.changes(kind, Ok(changes), now);
                self.availability(kind, Availability::Synced, now);
            }
            Event::Alive(kind) => {
                if self.inventory.freshness.alive(kind, now.mono) {
                    self.wake_readers(kind);
                }
            }
            Event::Availability(kind, availability) => self.availability(kind, availability, now),
            Event::Missing(kind) => {
                let availability = self.inventory.missing(kind);
                self.availability(kind, availability, now);
            }
            Event::Unwatched(kind) => {
                self.forget(kind);
                self.inventory.freshness.forget(kind);
            }
            Event::Repaired(kind, objects, since) => self.repaired(kind, objects, since, now),
            Event::Policy(policy) => self.policy_applied(&policy, now),
            Event::PolicyDeleted(name) => self.policy_deleted(&name, now),
            Event::Found(finding) => self.found(finding),
            Event::Action(id, result) => self.action_result(id, result, now),
            Event::Leading(term) => self.lead(term, now),
            Event::Following => self.follow(),
            Event::Log(state) => self.log_state(state, now),
            Event::StatusFailed(name) => {
                if let Some(policy) = self.policies.get_mut(&*name) {
                    policy.status = ControlPolicyStatus::default();
                }
                self.timers.status(&name.into(), now.mono + STATUS_EVERY);
            }
        }
    }

    /// Judges what is dirty or due, and says what to do about it.
    pub fn round(&mut self, now: Now) -> Round {
        self.due(now);
        self.settle();
        // Introducing an instance may bring back what was kept, and with it another verdict.
        for _ in 0..3 {
            for id in std::mem::take(&mut self.uncertain) {
                self.evaluate(id, now);
            }
            for (id, subject, cause) in std::mem::take(&mut self.again) {
                self.dirty(id, Touched::Subject(subject), cause);
            }
            if self.uncertain.is_empty() {
                break;
            }
        }
        for (id, subject) in std::mem::take(&mut self.plans) {
            self.plan(id, &subject, now);
        }
        self.heartbeat(now);
        let statuses = self.statuses(now); // may have something to tell, so before the rest
        let Out {
            entries,
            actions,
            notices,
            measures,
            changed,
            gone,
        } = std::mem::take(&mut self.out);
        Round {
            records: entries
                .into_iter()
                .map(|body| Record {
                    time: now.wall,
                    body,
                })
                .collect(),
            actions,
            statuses,
            notices,
            measures,
            changed,
            gone,
            next: self.next_due(now),
        }
    }

    /// Has the analyses work out what has changed.
    fn settle(&mut self) {
        let (instances, uncertain) = (&mut self.instances, &mut self.uncertain);
        self.analyses
            .settle(&self.inventory, &mut |derived, subjects| {
                for (id, instance) in instances.iter_mut() {
                    instance.affect(derived, &subjects);
                    if !instance.dirty.is_empty() {
                        uncertain.insert(*id);
                    }
                }
            });
    }

    /// Has the analyses that the controls need, and no others.
    fn need_analyses(&mut self) {
        let instances = self.instances.values();
        let derives = instances.flat_map(|instance| instance.control.info().derives);
        let wanted = derives.copied().collect();
        self.analyses.need(&wanted, &self.inventory);
    }

    /// Marks what is due by itself.
    fn due(&mut self, now: Now) {
        for (id, subject) in self.timers.due_rechecks(now.wall) {
            self.dirty(id, Touched::Subject(subject), Cause::Time);
        }
        for (id, subject) in self.timers.due_replans(now.mono) {
            self.replan(id, &subject);
        }
        for action in self.timers.due_settles(now.mono) {
            if let Some(flight) = self.flights.end(action) {
                // The watch has not shown the write; ask again rather than wait for ever.
                self.replan(flight.instance, &flight.subject);
            }
        }
        for kind in self.inventory.freshness.mark_stale(now.mono) {
            self.wake_readers(kind);
        }
        if now.mono >= self.full_pass_at {
            self.full_pass_at = now.mono + FULL_PASS;
            let all: Vec<u32> = self.instances.keys().copied().collect();
            for id in all {
                self.dirty(id, Touched::All, Cause::Object);
            }
        }
    }

    fn next_due(&self, now: Now) -> Option<Duration> {
        let (wall, mono) = self.timers.next();
        let wall = wall.map(|at| now.later(at));
        [wall, mono, Some(self.heartbeat_at), Some(self.full_pass_at)]
            .into_iter()
            .flatten()
            .min()
    }

    fn dirty(&mut self, id: u32, touched: Touched, cause: Cause) {
        if let Some(instance) = self.instances.get_mut(&id) {
            instance.dirty.mark(touched, cause);
            self.uncertain.insert(id);
        }
    }

    fn replan(&mut self, id: u32, subject: &Subject) {
        self.plans.insert((id, subject.clone()));
    }

    /// Takes in the changes of objects of one kind.
    fn changes(
        &mut self,
        kind: Kind,
        changes: Result<Vec<Change>, crate::inventory::Unreadable>,
        now: Now,
    ) {
        let changes = match changes {
            Ok(changes) => changes,
            Err(error) => {
                let why = Availability::Broken(error.to_string());
                self.out.measures.push(Measure::Gap { kind });
                self.availability(kind, why, now);
                return;
            }
        };
        for change in changes {
            self.analyses.note(&self.inventory, &change);
            let readers = self.readers.get(&kind).into_iter().flatten();
            for id in readers {
                if let Some(instance) = self.instances.get_mut(id) {
                    instance.touch(&change);
                    if !instance.dirty.is_empty() {
                        self.uncertain.insert(*id);
                    }
                }
            }
            let target = crate::controls::Target {
                kind,
                namespace: change.namespace.clone(),
                name: change.name.clone(),
            };
            self.flights.forgive(&target);
            self.note_pause(&change, now);
            if kind == Kind::Namespace {
                self.replan_namespace(&change.name);
            }
        }
    }

    /// A namespace's pause, labels or end may let through or hold back the remedies in it.
    fn replan_namespace(&mut self, namespace: &Sym) {
        let plans = &mut self.plans;
        for (id, instance) in &self.instances {
            for (subject, row) in instance.rows_in(namespace) {
                if row.verdict.outcome == Outcome::Fail {
                    plans.insert((*id, subject.clone()));
                }
            }
        }
    }

    /// Records that a person paused something.
    fn note_pause(&mut self, change: &Change, now: Now) {
        let meta = self
            .inventory
            .meta(change.kind, &change.namespace, &change.name);
        let until = meta
            .and_then(|meta| meta.annotations.get(PAUSE))
            .and_then(|until| until.parse::<Timestamp>().ok());
        if until.is_none() && self.pauses.is_empty() {
            return;
        }
        let target = format!(
            "{} {}/{}",
            change.kind.info().kind,
            change.namespace,
            change.name
        );
        let known = self.pauses.get(&target).copied();
        if known == until {
            return;
        }
        match until {
            Some(until) => self.pauses.insert(target.clone(), until),
            None => self.pauses.remove(&target),
        };
        self.say(Body::Pause(body::Pause {
            target,
            until,
            who: change.manager.as_deref().map(str::to_owned),
        }));
        let _ = now;
    }

    fn availability(&mut self, kind: Kind, availability: Availability, now: Now) {
        let absent = availability == Availability::Absent;
        if self.inventory.freshness.set(kind, availability, now.mono) {
            if absent {
                self.forget(kind);
            }
            self.wake_readers(kind);
        }
    }

    fn forget(&mut self, kind: Kind) {
        for change in self.inventory.forget(kind) {
            self.analyses.note(&self.inventory, &change);
        }
    }

    fn wake_readers(&mut self, kind: Kind) {
        let readers = self.readers.get(&kind).into_iter().flatten();
        self.uncertain.extend(readers.copied());
    }

    fn repaired(&mut self, kind: Kind, objects: usize, since: Timestamp, now: Now) {
        self.out.measures.push(Measure::Gap { kind });
        self.say(Body::Gap(body::Gap {
            scope: kind.info().kind.to_owned(),
            from: since,
            to: Some(now.wall),
            cause: format!("the watch had missed changes of {objects} objects; they are repaired"),
        }));
    }

    fn found(&mut self, finding: Finding) {
        let observation = finding.observation();
        self.observed.take(finding);
        let instances = self.instances.iter();
        let observing: Vec<u32> = instances
            .filter(|(_, instance)| instance.control.info().observes.contains(&observation))
            .map(|(id, _)| *id)
            .collect();
        for id in observing {
            self.dirty(id, Touched::All, Cause::Object);
        }
    }

    fn log_state(&mut self, state: Result<(), String>, now: Now) {
        if self.log == state {
            return;
        }
        self.log = state;
        self.replan_all();
        let names: Vec<Sym> = self.policies.keys().cloned().collect();
        for name in names {
            self.status_soon(&name, now);
        }
    }

    fn replan_all(&mut self) {
        for (id, instance) in &self.instances {
            for (subject, row) in &instance.rows {
                if row.verdict.outcome == Outcome::Fail {
                    self.plans.insert((*id, subject.clone()));
                }
            }
        }
    }

    /// A term begins: what this log knew, the gap since, and what is so now.
    fn lead(&mut self, term: body::Term, now: Now) {
        self.leading = true;
        self.say(Body::Term(term));
        if let Some((last, stopped)) = self.memory.end() {
            self.say(Body::Gap(body::Gap {
                scope: "all".to_owned(),
                from: last,
                to: Some(now.wall),
                cause: if stopped {
                    "nobody led after a stop in good order"
                } else {
                    "nobody led, or another replica did"
                }
                .to_owned(),
            }));
        }
        for (id, target) in self.memory.take_intents() {
            self.say(Body::Outcome(body::ActionOutcome {
                intent: id,
                result: memory::UNRESOLVED,
                message: format!(
                    "the operator stopped in between; {} {} is judged anew",
                    target.kind, target.name
                ),
                resource_version: None,
            }));
        }
        for (policy, control, release) in self.memory.latched() {
            if let Some(registered) = crate::controls::registry::find(&control) {
                let brake = self.brakes.entry((policy, registered.info.id)).or_default();
                brake.latched = Some(release);
            }
        }
        for (target, until) in self.memory.take_truces(now.wall) {
            // The entry names the object; which of its fields was contended no longer matters.
            for path in [None, Some(0), Some(1)] {
                self.fights
                    .restore((target.clone(), path), now.later(until));
            }
        }
        let names: Vec<Sym> = self.policies.keys().cloned().collect();
        for name in &names {
            self.say_policy(name, None, now);
            self.status_soon(name, now);
            self.out.changed.insert(name.clone());
        }
        let ids: Vec<u32> = self.instances.keys().copied().collect();
        for id in ids {
            self.introduce(id, now);
            self.uncertain.insert(id);
        }
        self.replan_all();
    }

    /// A term ends: the next one begins from what is so now.
    fn follow(&mut self) {
        if !self.leading {
            return;
        }
        self.leading = false;
        self.flights.abandon();
        self.out.entries.clear();
        self.out.actions.clear();
        for instance in self.instances.values_mut() {
            instance.introduced = false;
            for (subject, row) in &instance.rows {
                let reference = record::subject_ref(&self.inventory, subject);
                self.memory.remember_row(
                    &instance.policies,
                    instance.key.control,
                    subject,
                    &reference,
                    row.verdict.outcome,
                    row.deviation.as_ref(),
                );
            }
        }
        self.replan_all();
    }

    /// Appends an entry, if this replica leads.
    fn say(&mut self, body: Body) {
        if self.leading {
            self.out.entries.push(body);
        }
    }

    fn notice_policy(
        &mut self,
        policy: &Sym,
        kind: NoticeKind,
        reason: &'static str,
        note: String,
    ) {
        self.out.notices.push(Notice {
            subject: None,
            policy: Some(policy.clone()),
            kind,
            reason,
            action: "Reconcile",
            note,
        });
    }

    /// Ids grow over restarts: they begin with the time.
    fn next_action_id(&mut self, now: Now) -> u64 {
        let millis = u64::try_from(now.wall.as_millisecond()).unwrap_or_default();
        self.last_action = (self.last_action + 1).max(millis * 1000);
        self.last_action
    }

    /// Uids of a notice's subject and policy, where they are known.
    pub fn uids(&self, notice: &Notice) -> (Option<String>, Option<String>) {
        let subject = notice.subject.as_ref().and_then(|subject| {
            let (kind, namespace) = (subject.object_kind()?, subject.object_namespace());
            let meta = self.inventory.meta(kind, namespace, &subject.name)?;
            Some(meta.uid.to_string())
        });
        let policy = notice
            .policy
            .as_ref()
            .and_then(|name| self.policies.get(name));
        (subject, policy.map(|policy| policy.uid.to_string()))
    }

    /// Series of one policy, for the metrics.
    pub fn series(&self, policy: &str) -> Vec<Series> {
        let Some(policy) = self.policies.get(policy) else {
            return Vec::new();
        };
        let controls = policy.controls.iter();
        controls
            .filter_map(|control| {
                let instance = self.instances.get(&control.instance)?;
                Some(Series {
                    control: control.id,
                    outcome: instance.outcome(),
                    counts: instance.visible_counts(),
                    owners: self.failing_by_owner(instance),
                })
            })
            .collect()
    }

    fn failing_by_owner(&self, instance: &Instance) -> BTreeMap<String, u64> {
        const MOST_OWNERS: usize = 200;
        let mut owners: BTreeMap<String, u64> = BTreeMap::new();
        if instance.counts.of(Outcome::Fail) == 0 {
            return owners;
        }
        let failing = instance
            .rows
            .iter()
            .filter(|(_, row)| row.verdict.outcome == Outcome::Fail);
        for (subject, _) in failing {
            let owner = self
                .owner(subject)
                .map_or_else(|| "none".to_owned(), |owner| owner.to_string());
            let full = owners.len() >= MOST_OWNERS && !owners.contains_key(&owner);
            *owners
                .entry(if full { "other".to_owned() } else { owner })
                .or_default() += 1;
        }
        owners
    }

    /// Deviations that are open, by severity.
    pub fn open_deviations(&self) -> BTreeMap<crate::verdict::Severity, u64> {
        let mut open = BTreeMap::new();
        for instance in self.instances.values() {
            let rows = instance.rows.values();
            let failing = rows.filter(|row| row.deviation.is_some()).count();
            let failing = u64::try_from(failing).unwrap_or(u64::MAX);
            *open.entry(self.severity(instance)).or_default() += failing;
        }
        open
    }
}

/// SHA-256 of a value's canonical JSON, in hex.
pub(crate) fn digest(value: &serde_json::Value) -> String {
    // Keys are sorted, because serde_json's map is an ordered one.
    let bytes = crate::evidence::canonical::value_to_vec(value)
        .unwrap_or_else(|_| value.to_string().into_bytes());
    hex(&Sha256::digest(&bytes))
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // a String can always be written
            text
        })
}
