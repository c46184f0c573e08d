//! Which failing subjects may be acted on, and what holds the others back.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{
    Engine, Now,
    fights::{Field, Truce},
    flights::Flight,
    instance::Row,
    owners,
    policies::{Policy, PolicyControl},
};
use crate::{
    api::{Existing, Mode},
    controls::{Consent, Remedy, Subject, Target},
    evidence::words::Cause,
    inventory::{Kind, Meta, Sym},
    verdict::Outcome,
};

/// New objects are left alone for two seconds: what belongs to them may still be on its way.
/// One second more, because creation times have whole seconds.
const GRACE: SignedDuration = SignedDuration::from_secs(3);
/// Longest pause that an annotation can ask for.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(24);
/// By which a person pauses writes to an object, or to all of a namespace.
pub const PAUSE: &str = "probity.dev/pause-until";

/// Where a row stands with regard to its remedy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Standing {
    /// There is nothing to do.
    #[default]
    Quiet,
    /// The remedy is under way.
    UnderWay,
    /// The remedy is only proposed, for this reason.
    Held(Hold),
}

/// Why a remedy is only proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// The policy observes.
    Observe,
    /// The policy is suspended.
    Suspended,
    /// There is no remedy that can be carried out.
    NoRemedy,
    /// It failed before Enforce began.
    Existing,
    /// Nobody consented, and it did not pass before.
    Consent,
    /// Somebody else looks after the object or the field.
    Owner(String),
    /// The server said that we lack the right.
    NotAllowed(String),
    /// The budget of writes is used up.
    Budget,
    /// The brake is latched.
    Brake,
    /// A person paused it.
    Paused(Timestamp),
    /// Another field manager keeps writing back: who, and until when the field is left alone.
    Contended(String, Timestamp),
    /// Writes are not rolled out to this namespace.
    NotSelected,
    /// It is too new.
    Grace,
    /// Its namespace is being deleted.
    Terminating,
    /// The evidence log can't be written.
    Log,
    /// Something that the rule reads can't be seen now.
    Blind,
    /// Another replica leads.
    Follower,
    /// The server, the dry run or a check refused it.
    Refused(String),
    /// It failed and is tried again later.
    Backoff(String),
}

impl Hold {
    /// A sentence for people.
    pub fn explain(&self) -> String {
        match self {
            Self::Observe => "the policy observes".to_owned(),
            Self::Suspended => "the policy is suspended".to_owned(),
            Self::NoRemedy => "there is no safe remedy".to_owned(),
            Self::Existing => "it failed before Enforce began; set existing: Remediate".to_owned(),
            Self::Consent => "it never passed and nobody consented".to_owned(),
            Self::Owner(owner) => format!("{owner} looks after it"),
            Self::NotAllowed(message) => format!("Probity lacks the right: {message}"),
            Self::Budget => "the write budget is used up".to_owned(),
            Self::Brake => "the brake is latched; change limits.release".to_owned(),
            Self::Paused(until) => format!("paused until {until}"),
            Self::Contended(manager, until) => format!(
                "field manager {manager} keeps writing back, so it is left alone until {until:.0}: end that, or ask for an exception"
            ),
            Self::NotSelected => "enforceSelector does not select its namespace".to_owned(),
            Self::Grace => "it is less than two seconds old".to_owned(),
            Self::Terminating => "it is being deleted".to_owned(),
            Self::Log => "the evidence log can't be written".to_owned(),
            Self::Blind => "what the rule reads can't be seen now".to_owned(),
            Self::Follower => "another replica leads".to_owned(),
            Self::Refused(message) | Self::Backoff(message) => message.clone(),
        }
    }
}

/// A hold, and when to ask again although nothing changed.
type Held = (Hold, Option<Duration>);

/// What to do about a remedy in the name of one policy.
#[derive(Debug, Clone)]
enum Decision {
    /// Nothing: it is under way already.
    Leave,
    /// Carry it out.
    Carry,
    /// Only propose it.
    Hold(Held),
}

impl Engine {
    /// Decides what to do about one subject, and begins it where it may be done.
    pub(super) fn plan(&mut self, id: u32, subject: &Subject, now: Now) {
        let row = self.instances.get(&id).and_then(|i| i.rows.get(subject));
        if row.is_none_or(|row| row.verdict.outcome != Outcome::Fail) {
            self.flights.settle(id, subject);
            return;
        }
        let decided = self.consider(id, subject, now);
        let carriers: Vec<Sym> = decided
            .iter()
            .filter(|(_, decision)| matches!(decision, Decision::Carry))
            .map(|(policy, _)| policy.clone())
            .collect();
        if !carriers.is_empty() {
            self.begin(id, subject, carriers, now);
        }
        for (policy, decision) in decided {
            let standing = match decision {
                Decision::Leave => Standing::Quiet,
                Decision::Carry => Standing::UnderWay,
                Decision::Hold((hold, again)) => {
                    if let Some(at) = again {
                        self.timers.replan(at, id, subject);
                    }
                    Standing::Held(hold)
                }
            };
            let instance = self.instances.get_mut(&id);
            let row = instance.and_then(|instance| instance.rows.get_mut(subject));
            if row.is_some_and(|row| row.stand(&policy, standing)) {
                self.status_soon(&policy, now);
            }
        }
    }

    /// What each policy says about the remedy of one subject.
    fn consider(&mut self, id: u32, subject: &Subject, now: Now) -> Vec<(Sym, Decision)> {
        let Some(instance) = self.instances.get(&id) else {
            return Vec::new();
        };
        let Some(row) = instance.rows.get(subject) else {
            return Vec::new();
        };
        let (names, control) = (instance.policies.clone(), instance.key.control);
        let remedy = row.verdict.remedy.clone();
        let shared = match &remedy {
            None => Decision::Hold((Hold::NoRemedy, None)),
            // The verdict is as old as the blindness.
            Some(_) if self.is_blind(id) => Decision::Hold((Hold::Blind, None)),
            Some(remedy) => self.object_says(remedy, subject, now),
        };
        let mut decided = Vec::new();
        for name in names {
            let decision = match (&remedy, &shared) {
                (None, _) => shared.clone(),
                _ if self.is_suspended(&name) => Decision::Hold((Hold::Suspended, None)),
                _ if !self.enforces(&name, control) => Decision::Hold((Hold::Observe, None)),
                (Some(remedy), Decision::Carry) => self
                    .policy_allows(&name, id, subject, remedy, now)
                    .map_or_else(Decision::Hold, |()| Decision::Carry),
                _ => shared.clone(),
            };
            decided.push((name, decision));
        }
        if let Some(remedy) = &remedy {
            self.ask_for_peace(id, subject, remedy, &mut decided, now);
        }
        decided
    }

    /// Whether the field was put back so often that it must be left alone.
    fn ask_for_peace(
        &mut self,
        id: u32,
        subject: &Subject,
        remedy: &Remedy,
        decided: &mut [(Sym, Decision)],
        now: Now,
    ) {
        let carries = |(_, decision): &(Sym, Decision)| matches!(decision, Decision::Carry);
        if !remedy.may_be_fought() || !decided.iter().any(carries) {
            return;
        }
        let target = remedy.target();
        let meta = self
            .inventory
            .meta(target.kind, &target.namespace, &target.name);
        let manager = owners::rival(remedy, meta);
        let field: Field = (target.clone(), remedy.path());
        if let Err(truce) = self.fights.ask(&field, &manager, now) {
            self.begin_truce(id, subject, remedy, &truce, now);
            for decision in decided.iter_mut().filter(|decision| carries(decision)) {
                decision.1 = Decision::Hold(contended(&truce));
            }
        }
    }

    /// What holds a remedy back whichever policy asks for it; `Carry` where nothing does.
    fn object_says(&self, remedy: &Remedy, subject: &Subject, now: Now) -> Decision {
        if !self.leading() {
            return Decision::Hold((Hold::Follower, None));
        }
        if self.flights.busy_with(remedy) {
            return Decision::Leave;
        }
        if self.log.is_err() {
            return Decision::Hold((Hold::Log, None));
        }
        if let Err(held) = self.object_allows(remedy, subject, now) {
            return Decision::Hold(held);
        }
        let field: Field = (remedy.target().clone(), remedy.path());
        if let Some(truce) = self.fights.truce(&field, now.mono) {
            return Decision::Hold(contended(truce));
        }
        if let Some((hold, until)) = self.flights.backoff(remedy, now.mono) {
            return Decision::Hold((hold, Some(until)));
        }
        Decision::Carry
    }

    fn is_blind(&self, id: u32) -> bool {
        let instance = self.instances.get(&id);
        let rule = instance.and_then(|instance| self.rules.get(&instance.rule));
        rule.is_none_or(|rule| rule.blinded_by(&self.inventory).is_some())
    }

    /// Which of the policies that began a remedy still ask for it just before it is written, or
    /// what holds it back now: much may have changed since it was planned.
    pub(super) fn still_asked_for(&self, flight: &Flight, now: Now) -> Result<Vec<Sym>, Hold> {
        let Some(instance) = self.instances.get(&flight.instance) else {
            return Err(Hold::Observe);
        };
        if self.is_blind(flight.instance) {
            return Err(Hold::Blind);
        }
        if self.log.is_err() {
            return Err(Hold::Log);
        }
        self.object_allows(&flight.remedy, &flight.subject, now)
            .map_err(|(hold, _)| hold)?;
        // Nothing in the request tells the server that the work was begun elsewhere meanwhile.
        let row = instance.rows.get(&flight.subject);
        let asked = row.and_then(|row| row.verdict.remedy.as_deref());
        if matches!(*flight.remedy, Remedy::Start { .. }) && asked != Some(&*flight.remedy) {
            return Err(Hold::Backoff("what it was planned for has changed".into()));
        }
        let control = instance.key.control;
        // Brake and budget were asked before: what is under way is counted already.
        let asks = |name: &&Sym| {
            let policy = self.policies.get(*name);
            policy.is_some_and(|policy| self.selected(policy, flight.remedy.target()))
                && self.enforces(name, control)
        };
        let policies: Vec<Sym> = flight.policies.iter().filter(asks).cloned().collect();
        if policies.is_empty() {
            return Err(Hold::Observe);
        }
        Ok(policies)
    }

    /// Whether `policy` carries out remedies of `control` at all.
    pub(super) fn enforces(&self, policy: &str, control: &str) -> bool {
        let control = self.policies.get(policy).and_then(|p| p.control(control));
        !self.is_suspended(policy) && control.is_some_and(|c| c.mode == Mode::Enforce)
    }

    fn is_suspended(&self, policy: &str) -> bool {
        let policy = self.policies.get(policy);
        policy.is_some_and(|policy| policy.spec.suspend)
    }

    /// What the object itself and its namespace say.
    fn object_allows(&self, remedy: &Remedy, subject: &Subject, now: Now) -> Result<(), Held> {
        let target = remedy.target();
        let namespace = self.namespace_of(target);
        if namespace.is_some_and(|meta| meta.deleting) {
            return Err((Hold::Terminating, None));
        }
        let object = self
            .inventory
            .meta(target.kind, &target.namespace, &target.name);
        if object.is_some_and(|meta| meta.deleting) {
            return Err((Hold::Terminating, None));
        }
        for meta in object.into_iter().chain(namespace) {
            if let Some(until) = paused_until(meta, now.wall) {
                return Err((Hold::Paused(until), Some(now.later(until))));
            }
        }
        // Things that we manage come back at once; what is new gets a moment.
        let judged = subject.object_kind().and_then(|kind| {
            self.inventory
                .meta(kind, subject.object_namespace(), &subject.name)
        });
        for meta in object.into_iter().chain(judged) {
            let ready = meta.created_at() + GRACE;
            if !meta.owners.ours && now.wall < ready {
                return Err((Hold::Grace, Some(now.later(ready))));
            }
        }
        Ok(())
    }

    fn namespace_of(&self, target: &Target) -> Option<&Meta> {
        if target.namespace.is_empty() {
            return None;
        }
        self.inventory.meta(Kind::Namespace, "", &target.namespace)
    }

    /// What one policy says.
    fn policy_allows(
        &mut self,
        name: &Sym,
        id: u32,
        subject: &Subject,
        remedy: &Remedy,
        now: Now,
    ) -> Result<(), Held> {
        let policy = self.policies.get(name).ok_or((Hold::Observe, None))?;
        let instance = self.instances.get(&id).ok_or((Hold::NoRemedy, None))?;
        let row = instance.rows.get(subject).ok_or((Hold::NoRemedy, None))?;
        let rule = self.rules.get(&instance.rule);
        let kept = rule.and_then(|rule| rule.kept(subject));
        let control = policy
            .control(instance.key.control)
            .ok_or((Hold::Observe, None))?;
        if !self.selected(policy, remedy.target()) {
            return Err((Hold::NotSelected, None));
        }
        if let Remedy::Create {
            consent: Consent::IfPassedBefore,
            ..
        } = remedy
            && kept.is_none()
        {
            return Err((Hold::Consent, None));
        }
        if policy.spec.existing == Existing::Propose && !self.is_new(control, row, subject, remedy)
        {
            return Err((Hold::Existing, None));
        }
        if !policy.spec.override_owners {
            let target = remedy.target();
            let meta = self
                .inventory
                .meta(target.kind, &target.namespace, &target.name);
            let kept = kept.map(|kept| &*kept.owners);
            if let Some(owner) = owners::of(remedy, meta, kept, &policy.spec.people) {
                return Err((Hold::Owner(owner), None));
            }
        }
        let (limit, share) = {
            let limits = &policy.spec.limits;
            (limits.writes_per_minute, limits.max_share_of_kind)
        };
        let population = instance.counts.total();
        let release = policy.spec.limits.release.clone();
        let control = instance.key.control;
        if let Err(at) = self
            .budgets
            .entry(name.clone())
            .or_default()
            .check(limit, now.mono)
        {
            self.note_budget(name, now);
            return Err((Hold::Budget, Some(at)));
        }
        let brake = self.brakes.entry((name.clone(), control)).or_default();
        if brake.latched.is_some() {
            return Err((Hold::Brake, None));
        }
        if !brake.allows(subject, population, share, now.mono) {
            brake.latched = Some(release);
            self.note_brake(name, control, now);
            return Err((Hold::Brake, None));
        }
        Ok(())
    }

    /// Whether writes are rolled out to the target's namespace.
    fn selected(&self, policy: &Policy, target: &Target) -> bool {
        let Some(selector) = &policy.enforce_selector else {
            return true;
        };
        let meta = if target.kind == Kind::Namespace {
            self.inventory.meta(Kind::Namespace, "", &target.name)
        } else {
            self.namespace_of(target)
        };
        meta.is_some_and(|meta| selector.matches(&meta.labels))
    }

    /// Whether the failure began after Enforce did: drift, or a new object.
    fn is_new(
        &self,
        control: &PolicyControl,
        row: &Row,
        subject: &Subject,
        remedy: &Remedy,
    ) -> bool {
        let Some(since) = control.enforce_since else {
            return false;
        };
        // Creation times have whole seconds.
        let born_after = |meta: &Meta| i64::from(meta.created) >= since.as_second();
        let target = remedy.target();
        let target = self
            .inventory
            .meta(target.kind, &target.namespace, &target.name);
        if matches!(remedy, Remedy::Delete { .. }) {
            return target.is_some_and(born_after);
        }
        let drifted = row.deviation.as_ref().is_some_and(|deviation| {
            matches!(deviation.cause, Cause::Object | Cause::Time) && deviation.opened >= since
        });
        let judged = subject.object_kind().and_then(|kind| {
            self.inventory
                .meta(kind, subject.object_namespace(), &subject.name)
        });
        drifted || judged.is_some_and(born_after)
    }
}

/// What a truce means for a remedy.
fn contended(truce: &Truce) -> Held {
    let hold = Hold::Contended(truce.manager.clone(), truce.until);
    (hold, Some(truce.end))
}

/// Until when a person paused writes to the object. An end more than a day ahead is not heeded:
/// a forgotten pause must not switch enforcement off for good.
fn paused_until(meta: &Meta, now: Timestamp) -> Option<Timestamp> {
    let until: Timestamp = meta.annotations.get(PAUSE)?.parse().ok()?;
    (now < until && until.duration_since(now) <= LONGEST_PAUSE).then_some(until)
}

/// Why what somebody wrote into [`PAUSE`] pauses nothing now, unless it is heeded or over.
pub(super) fn not_heeded(said: &str, now: Timestamp) -> Option<String> {
    let Ok(until) = said.parse::<Timestamp>() else {
        let said: String = said.chars().take(64).collect();
        return Some(format!(
            "{PAUSE} is {said:?}, which is no time such as 2026-12-01T12:00:00Z: nothing is paused"
        ));
    };
    let begin = until.checked_sub(LONGEST_PAUSE).ok()?;
    (now < begin).then(|| {
        format!("{PAUSE} is {until}, and a pause lasts 24 hours at the most: nothing is paused before {begin}")
    })
}
