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

mod absorb;
mod access;
mod act;
mod changes;
mod conditions;
mod drill;
mod events;
mod fights;
mod findings;
mod flights;
mod heartbeat;
mod instance;
mod intake;
mod introduce;
mod judge;
mod lasting;
mod limits;
mod look;
mod memory;
mod mending;
mod observed;
mod owners;
mod people;
mod plan;
mod policies;
mod record;
mod restraint;
mod rule;
mod scopes;
mod sharing;
mod status;
mod term;
#[cfg(test)]
mod tests;
mod timers;
mod trial;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use self::{
    drill::Drills,
    events::Out,
    fights::Fights,
    flights::Flights,
    instance::{Instance, Key},
    intake::Pause,
    limits::{Brake, Budget},
    mending::Mending,
    people::People,
    policies::Policy,
    rule::{Rule, RuleId, RuleKey},
    timers::Timers,
};
pub(crate) use crate::evidence::blob::hex;

pub use self::{
    access::{AccessAnswer, AccessLook},
    changes::{Approval, Changed},
    drill::{DrillCall, DrillWrite, Spot},
    events::{
        Config, Event, ExceptionBounds, Measure, Notice, NoticeKind, Now, Origin, Round, Series,
    },
    findings::Findings,
    flights::{Action, ActionResult, Failure, FailureKind, Step},
    memory::Memory,
    observed::{
        CILIUM_CONFIG, Canary, CanaryRun, Cilium, ClockLook, DrillNote, Finding, Leavers, MapName,
        NetworkProbe, Observed, Password, PeriodCoverage, Route, SelfAudit, Served,
    },
    people::{
        Area, Attested, DecidedRows, Emergency, ObjectKey, PeopleSaid, PeriodAsked, PeriodSeries,
        PeriodTold, Remark, Reviewed, listed_in,
    },
    plan::{Hold, PAUSE, Standing},
    record::OWNER_LABEL,
    status::{Proposal, not_put_back},
};
use crate::{
    analysis::Analyses,
    api::ControlPolicyStatus,
    controls::{Observation, Subject, Touched},
    evidence::{body::Body, words::Cause},
    inventory::{Availability, Inventory, Kind, Sym},
    verdict::Outcome,
};

/// The engine.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    inventory: Inventory,
    analyses: Analyses,
    observed: Observed,
    policies: BTreeMap<Sym, Policy>,
    people: People,
    rules: BTreeMap<RuleId, Rule>,
    rule_ids: BTreeMap<RuleKey, RuleId>,
    /// Rules by the kinds that they make us watch.
    readers: BTreeMap<Kind, BTreeSet<RuleId>>,
    instances: BTreeMap<u32, Instance>,
    keys: BTreeMap<Key, u32>,
    /// The last number given to a rule or an instance.
    last_id: u32,
    /// Rules with something to judge.
    uncertain: BTreeSet<RuleId>,
    /// The rule that was last judged as a whole.
    judged_last: RuleId,
    /// Rows to plan anew in this round.
    plans: BTreeSet<(u32, Subject)>,
    /// Policies that joined an instance which others use already.
    newcomers: Vec<(u32, Sym)>,
    /// Subjects to judge again because something was remembered.
    again: Vec<(RuleId, Subject, Cause)>,
    timers: Timers,
    budgets: BTreeMap<Sym, Budget>,
    brakes: BTreeMap<(Sym, &'static str), Brake>,
    fights: Fights,
    flights: Flights,
    mending: Mending,
    drills: Drills,
    memory: Memory,
    leading: bool,
    /// When the last entry was said.
    said_at: Option<Timestamp>,
    /// Whether the log may not know which namespaces are out of scope.
    scopes_changed: bool,
    /// Whether a scope may cover other namespaces than its policy's status says.
    coverage_changed: bool,
    log: Result<(), String>,
    last_action: u64,
    heartbeat_at: Duration,
    /// The last heartbeat of this term.
    beat_at: Option<Timestamp>,
    full_pass_at: Duration,
    pauses: BTreeMap<String, Pause>,
    /// Objects with a pause that is not heeded, and why it isn't.
    unheeded: BTreeMap<Subject, String>,
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
    pub fn new(config: Config, mut memory: Memory) -> Self {
        memory.people.recalled(config.exceptions.unapproved);
        Self {
            config,
            last_action: memory.last_intent,
            memory,
            inventory: Inventory::default(),
            analyses: Analyses::default(),
            observed: Observed::default(),
            policies: BTreeMap::new(),
            people: People::default(),
            rules: BTreeMap::new(),
            rule_ids: BTreeMap::new(),
            readers: BTreeMap::new(),
            instances: BTreeMap::new(),
            keys: BTreeMap::new(),
            last_id: 0,
            uncertain: BTreeSet::new(),
            judged_last: RuleId::default(),
            plans: BTreeSet::new(),
            newcomers: Vec::new(),
            again: Vec::new(),
            timers: Timers::default(),
            budgets: BTreeMap::new(),
            brakes: BTreeMap::new(),
            fights: Fights::default(),
            flights: Flights::default(),
            mending: Mending::default(),
            drills: Drills::default(),
            leading: false,
            said_at: None,
            scopes_changed: false,
            coverage_changed: false,
            log: Ok(()),
            heartbeat_at: HEARTBEAT,
            beat_at: None,
            full_pass_at: FULL_PASS,
            pauses: BTreeMap::new(),
            unheeded: BTreeMap::new(),
            status_written: BTreeMap::new(),
            out: Out::default(),
        }
    }

    /// Kinds that must be watched for the policies there are.
    pub fn needed_kinds(&self) -> BTreeSet<Kind> {
        let mut kinds: BTreeSet<Kind> = self.readers.keys().copied().collect();
        kinds.extend(self.drill_kinds());
        kinds
    }

    /// Further things that must be observed.
    pub fn needed_observations(&self) -> BTreeSet<Observation> {
        let rules = self.rules.values();
        let needed = rules.flat_map(|rule| {
            let observes = rule.control.info().observes.iter().copied();
            observes.filter(|observation| !observation.writes() || self.is_active(rule))
        });
        needed.collect()
    }

    /// Whether a policy that is not suspended uses a rule.
    fn is_active(&self, rule: &Rule) -> bool {
        let mut instances = rule
            .instances
            .iter()
            .filter_map(|id| self.instances.get(id));
        instances.any(|instance| !instance.key.suspended)
    }

    /// What is known of the cluster.
    pub const fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// What was observed beside objects, for the shell to complete.
    pub const fn observed_mut(&mut self) -> &mut Observed {
        &mut self.observed
    }

    /// The parameters of a control in each policy that switches it on and is not suspended, as
    /// JSON.
    pub fn parameters_of(&self, control: &str) -> Vec<serde_json::Value> {
        let policies = self.policies.values();
        policies
            .filter(|policy| !policy.spec.suspend)
            .filter_map(|policy| {
                let registered = crate::controls::registry::find(control)?;
                Some((registered.enabled)(&policy.spec.controls)?.parameters)
            })
            .collect()
    }

    /// Whether a term has begun and not ended.
    pub const fn leading(&self) -> bool {
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
                self.wake_observers(Observation::OwnRights);
                if let Some(changes) = self.inventory.end_list(kind) {
                    self.changes(kind, Ok(changes), now);
                    self.availability(kind, Availability::Synced, now);
                }
            }
            Event::Alive(kind) => {
                if self.inventory.freshness.alive(kind, now.mono) {
                    self.wake_readers(kind);
                    self.wake_observers(Observation::OwnRights);
                }
            }
            Event::Availability(kind, availability) => {
                self.availability(kind, availability, now);
            }
            Event::Missing(kind) => {
                let availability = self.inventory.missing(kind);
                self.availability(kind, availability, now);
            }
            Event::Unwatched(kind) => {
                self.forget(kind);
                self.inventory.freshness.forget(kind);
                self.wake_observers(Observation::OwnRights);
            }
            Event::Repaired(kind, objects, since) => self.repaired(kind, objects, since, now),
            Event::Policy(policy) => self.policy_applied(&policy, now),
            Event::PolicyDeleted(name) => self.policy_deleted(&name),
            Event::People(object) => self.person_acted(object, now),
            Event::PeopleGone(kind, namespace, name) => {
                self.person_withdrew(kind, &namespace, &name, now);
            }
            Event::PeopleListed(kind) => self.people_listed(kind),
            Event::Periods(told) => self.periods_told(told, now),
            Event::RemarkFailed(key) => self.remark_failed(&key, now),
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
        self.drill(now);
        self.settle();
        self.follow_reviews(now);
        self.tell_controls();
        self.judge(now);
        if self.is_settled() {
            self.mending.clear();
        }
        for (id, subject) in std::mem::take(&mut self.plans) {
            self.plan(id, &subject, now);
        }
        self.heartbeat(now);
        self.note_coverage(now);
        let statuses = self.statuses(now); // may have something to tell, so before the rest
        let remarks = self.remarks(now);
        if !self.out.entries.is_empty() {
            self.said_at = Some(now.wall);
        }
        let Out {
            entries,
            actions,
            drills,
            notices,
            measures,
            changed,
            gone,
            periods,
        } = std::mem::take(&mut self.out);
        Round {
            records: entries
                .into_iter()
                .map(|body| record::at(now.wall, body))
                .collect(),
            actions,
            drills,
            statuses,
            remarks,
            notices,
            measures,
            changed,
            gone,
            periods,
            next: self.next_due(now),
        }
    }

    /// Has the analyses that the controls need, and no others.
    fn need_analyses(&mut self) {
        let rules = self.rules.values();
        let derives = rules.flat_map(|rule| rule.control.info().derives);
        let wanted = derives.copied().collect();
        self.analyses.need(&wanted, &self.inventory);
    }

    /// Marks what is due by itself.
    fn due(&mut self, now: Now) {
        self.people_due(now); // before rechecks: an exception that ends is the cause
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
            self.wake_observers(Observation::OwnRights);
        }
        if now.mono >= self.full_pass_at {
            self.full_pass_at = now.mono + FULL_PASS;
            let all: Vec<RuleId> = self.rules.keys().copied().collect();
            for id in all {
                self.dirty(id, Touched::All, Cause::Object);
            }
        }
    }

    fn next_due(&self, now: Now) -> Option<Duration> {
        if !self.is_settled() {
            return Some(now.mono);
        }
        let ((wall, mono), (ends, status)) = (self.timers.next(), self.people_next());
        let wall = wall.into_iter().chain(ends).min().map(|at| now.later(at));
        let drill = self.drill_due(now);
        let own = [drill, Some(self.heartbeat_at), Some(self.full_pass_at)];
        [wall, mono, status].into_iter().chain(own).flatten().min()
    }

    fn dirty(&mut self, id: RuleId, touched: Touched, cause: Cause) {
        if let Some(rule) = self.rules.get_mut(&id) {
            rule.dirty.mark(touched, cause);
            self.uncertain.insert(id);
        }
    }

    fn replan(&mut self, id: u32, subject: &Subject) {
        self.plans.insert((id, subject.clone()));
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

    /// Appends an entry, if this replica leads.
    fn say(&mut self, body: Body) {
        if self.leading {
            self.memory.lasting.note(&body);
            self.memory.people.note(&body);
            if let Body::PolicyChange(said) = &body {
                self.memory.ledger.note(said);
                self.people.policies_untold = true;
            }
            if let Body::Transition(said) = &body
                && let Some(how) = said.ended
            {
                let (control, policies) = (&said.control, said.policies.iter());
                self.out
                    .measures
                    .extend(policies.map(|policy| Measure::Ended {
                        policy: policy.clone(),
                        control: control.clone(),
                        how,
                    }));
            }
            self.out.entries.push(body);
        }
    }

    /// Ids grow over restarts and when the clock is set back: they begin with the time, and follow the log's last.
    fn next_action_id(&mut self, now: Now) -> u64 {
        let millis = u64::try_from(now.wall.as_millisecond()).unwrap_or_default();
        self.last_action = (self.last_action + 1).max(millis * 1000);
        self.last_action
    }
}

/// SHA-256 of a value's canonical JSON, in hex.
pub(crate) fn digest(value: &serde_json::Value) -> String {
    // Keys are sorted, because serde_json's map is an ordered one.
    let bytes = crate::evidence::canonical::value_to_vec(value)
        .unwrap_or_else(|_| value.to_string().into_bytes());
    hex(&Sha256::digest(&bytes))
}
