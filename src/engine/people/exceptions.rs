//! Which failures are accepted: exceptions, where they stand, and what they cover.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::ObjectKey;
use crate::{
    api::{Decision, DecisionVerdict, ExceptionKind, ExceptionPhase, Exemption, PeopleObject},
    controls::{Acceptance, Subject, Verdict, registry},
    engine::events::ExceptionBounds,
    inventory::{
        Interner, Inventory, Sym,
        selector::{Selector, WireSelector},
    },
    verdict::Outcome,
};

/// What names of users that are no persons begin with: service accounts, nodes, parts of the system.
pub(super) const SYSTEM: &str = "system:";

/// An exception, read once.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Exception {
    /// Kind, namespace and name, for people.
    name: String,
    pub(super) control: String,
    kind: ExceptionKind,
    rule_version: Option<u32>,
    covers: Result<Covers, String>,
    ticket: String,
    created: Timestamp,
    expires: Timestamp,
    requested_by: String,
    break_glass: bool,
    generation: i64,
    decision: Option<Decision>,
}

/// The subjects of an exception.
#[derive(Debug, Clone, PartialEq)]
enum Covers {
    /// By kind, namespace and name.
    Named(BTreeSet<(String, String, String)>),
    /// By their labels, in some namespaces or in all.
    Selected(Selector, Option<BTreeSet<Sym>>),
}

/// Where an exception stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State {
    pub(super) phase: ExceptionPhase,
    /// Whether it accepts failures.
    pub(super) in_force: bool,
    /// When it changes by itself.
    pub(super) until: Option<Timestamp>,
    /// Why it is so, in a sentence.
    pub(super) message: String,
    /// Whether it was in force without approval, and is so no longer.
    glass_swept: bool,
}

impl State {
    /// Why it has ended by itself, in one word.
    pub(super) const fn ended(&self) -> Option<&'static str> {
        match self.phase {
            ExceptionPhase::Expired => Some("Expired"),
            ExceptionPhase::RuleChanged => Some("RuleChanged"),
            _ if self.glass_swept => Some("BreakGlassOver"),
            _ => None,
        }
    }
}

impl Exception {
    /// Reads an exception; nothing else is one.
    pub(super) fn of(
        key: &ObjectKey,
        object: &PeopleObject,
        interner: &mut Interner,
    ) -> Option<Self> {
        let own: Sym = key.namespace.clone();
        let (exemption, covers) = match object {
            PeopleObject::Exception(object) => {
                let spec = &object.spec;
                // The namespace itself belongs to itself, and is named without one.
                let named = spec.subjects.iter().map(|subject| {
                    let (kind, name) = (subject.kind.clone(), subject.name.clone());
                    (kind, own.to_string(), name)
                });
                let only = Some(BTreeSet::from([own.clone()]));
                let covers = covers(named.collect(), &spec.exemption, only, interner);
                (&spec.exemption, covers)
            }
            PeopleObject::ClusterException(object) => {
                let spec = &object.spec;
                let named = spec.subjects.iter().map(|subject| {
                    let namespace = subject.namespace.clone().unwrap_or_default();
                    (subject.kind.clone(), namespace, subject.name.clone())
                });
                let within = spec.namespaces.iter().map(|name| Sym::from(name.as_str()));
                let within: BTreeSet<Sym> = within.collect();
                let within = Some(within).filter(|within| !within.is_empty());
                let covers = covers(named.collect(), &spec.exemption, within, interner);
                (&spec.exemption, covers)
            }
            _ => return None,
        };
        let meta = object.meta();
        let created = meta.creation_timestamp.as_ref().map(|time| time.0);
        Some(Self {
            name: if own.is_empty() {
                format!("{} {}", key.kind.kind(), key.name)
            } else {
                format!("{} {own}/{}", key.kind.kind(), key.name)
            },
            control: exemption.control.clone(),
            kind: exemption.kind,
            rule_version: exemption.rule_version,
            covers,
            ticket: exemption.ticket.clone(),
            created: created.unwrap_or(Timestamp::MIN),
            expires: exemption.expires_at.0,
            requested_by: exemption.requested_by.clone(),
            break_glass: exemption.break_glass,
            generation: meta.generation.unwrap_or_default(),
            decision: object.decision().cloned(),
        })
    }

    /// Where it stands at a time, and until when. `earlier` is when the glass was last broken for some of the same without
    /// anybody approving it since: then this one waits for approval.
    pub(super) fn state(
        &self,
        bounds: &ExceptionBounds,
        now: Timestamp,
        earlier: Option<Timestamp>,
    ) -> State {
        let state = |phase, until, message: String| State {
            phase,
            in_force: matches!(phase, ExceptionPhase::Active | ExceptionPhase::BreakGlass),
            until,
            message,
            glass_swept: false,
        };
        if let Some(wrong) = self.wrong(bounds) {
            return state(ExceptionPhase::Invalid, None, wrong);
        }
        if let Some(decision) = &self.decision
            && decision.verdict == DecisionVerdict::Rejected
        {
            let message = format!("{} refused it", decision.by);
            return state(ExceptionPhase::Rejected, None, message);
        }
        let undecided = self.break_glass && self.decision.is_none();
        let after =
            |span: SignedDuration| self.created.saturating_add(span).unwrap_or(Timestamp::MAX);
        let (swept, overdue) = (after(bounds.break_glass), after(bounds.unapproved));
        if undecided && now >= overdue {
            let message =
                "it was to be in force without approval, and nobody has approved it since";
            let mut state = state(ExceptionPhase::Unapproved, None, message.to_owned());
            state.glass_swept = earlier.is_none();
            return state;
        }
        if now >= self.expires {
            let until = undecided.then_some(overdue);
            return state(
                ExceptionPhase::Expired,
                until,
                "its time is over".to_owned(),
            );
        }
        if let Some((had, is)) = self.other_rule() {
            let message = format!("it is about version {had} of the rule, which is now {is}");
            return state(ExceptionPhase::RuleChanged, None, message);
        }
        match &self.decision {
            Some(decision) => {
                let message = format!("approved by {}", decision.by);
                state(ExceptionPhase::Active, Some(self.expires), message)
            }
            None if undecided && earlier.is_none() && now < swept => {
                let message = format!("in force without approval until {swept}");
                let until = Some(swept.min(self.expires));
                state(ExceptionPhase::BreakGlass, until, message)
            }
            None => {
                let message = match earlier {
                    Some(earlier) => format!(
                        "the glass was broken for the same at {earlier}, and nobody has approved that: this one does \
                         nothing before somebody else than the requester approves it: probity approve"
                    ),
                    None => "it does nothing before somebody else than the requester approves it: probity approve"
                        .to_owned(),
                };
                let until = if undecided {
                    overdue.min(self.expires)
                } else {
                    self.expires
                };
                let mut state = state(ExceptionPhase::Pending, Some(until), message);
                state.glass_swept = undecided && earlier.is_none();
                state
            }
        }
    }

    /// What keeps it from being used, in a sentence. Admission refuses most of it; but it may
    /// not have been there.
    fn wrong(&self, bounds: &ExceptionBounds) -> Option<String> {
        if registry::find(&self.control).is_none() {
            return Some(format!("there is no control {}", self.control));
        }
        if let Err(why) = &self.covers {
            return Some(format!("spec.selector can't be used: {why}"));
        }
        let latest = self
            .created
            .saturating_add(bounds.longest)
            .unwrap_or(Timestamp::MAX);
        if self.expires > latest {
            return Some(format!(
                "expiresAt is later than {latest}, which is the latest"
            ));
        }
        if self.break_glass && self.requested_by.starts_with(SYSTEM) {
            return Some(format!(
                "{} is no person: an emergency is declared by one, in their own name",
                self.requested_by
            ));
        }
        let decision = self.decision.as_ref()?;
        if decision.by.starts_with(SYSTEM) {
            return Some(format!("{} is no person, and can't approve", decision.by));
        }
        if decision.by == self.requested_by {
            return Some("who asks can't approve".to_owned());
        }
        (decision.generation != self.generation)
            .then(|| "it was changed after it was approved: make another exception".to_owned())
    }

    /// The version of the rule that it is about and the one there is, where these differ.
    fn other_rule(&self) -> Option<(u32, u32)> {
        let had = self
            .rule_version
            .filter(|_| self.kind == ExceptionKind::FalsePositive)?;
        let is = registry::find(&self.control)?.info.rule_version;
        (had != is).then_some((had, is))
    }

    /// Whether a subject is among those that it is about.
    pub(super) fn covers(&self, inventory: &Inventory, subject: &Subject) -> bool {
        match &self.covers {
            Err(_) => false,
            Ok(Covers::Named(named)) => {
                let (kind, name) = (subject.kind_name(), subject.name.to_string());
                let at = |namespace: &str| {
                    named.contains(&(kind.to_owned(), namespace.to_owned(), name.clone()))
                };
                // A namespace is named with none in the cluster, and lies in itself for its team.
                at(subject.object_namespace()) || at(&subject.namespace)
            }
            Ok(Covers::Selected(selector, within)) => {
                let namespace = &subject.namespace;
                within
                    .as_ref()
                    .is_none_or(|within| within.contains(namespace))
                    && subject.object_kind().is_some_and(|kind| {
                        inventory
                            .meta(kind, subject.object_namespace(), &subject.name)
                            .is_some_and(|meta| selector.matches(&meta.labels))
                    })
            }
        }
    }
}

fn covers(
    named: BTreeSet<(String, String, String)>,
    exemption: &Exemption,
    within: Option<BTreeSet<Sym>>,
    interner: &mut Interner,
) -> Result<Covers, String> {
    match &exemption.selector {
        Some(selector) => WireSelector::parse_valid(&selector.to_string(), interner)
            .map(|selector| Covers::Selected(selector, within)),
        None => Ok(Covers::Named(named)),
    }
}

/// The exceptions by control.
#[derive(Debug, Default)]
pub(in crate::engine) struct Exceptions {
    by_control: BTreeMap<String, BTreeMap<ObjectKey, (Exception, State)>>,
}

impl Exceptions {
    pub(super) fn insert(&mut self, key: ObjectKey, exception: Exception, state: State) {
        let of = self
            .by_control
            .entry(exception.control.clone())
            .or_default();
        of.insert(key, (exception, state));
    }

    pub(super) fn remove(&mut self, key: &ObjectKey) -> Option<(Exception, State)> {
        let mut maps = self.by_control.values_mut();
        let removed = maps.find_map(|of| of.remove(key));
        self.by_control.retain(|_, of| !of.is_empty());
        removed
    }

    pub(super) fn in_force(&self, kind: ExceptionKind) -> usize {
        let all = self.by_control.values().flat_map(BTreeMap::values);
        all.filter(|(exception, state)| state.in_force && exception.kind == kind)
            .count()
    }

    /// How many of those in force end by `soon`.
    pub(super) fn ending(&self, soon: Timestamp) -> usize {
        let all = self.by_control.values().flat_map(BTreeMap::values);
        all.filter(|(exception, state)| state.in_force && exception.expires <= soon)
            .count()
    }

    /// The exceptions of a control.
    pub(super) fn of(&self, control: &str) -> impl Iterator<Item = &ObjectKey> {
        self.by_control
            .get(control)
            .into_iter()
            .flat_map(BTreeMap::keys)
    }

    /// The other exceptions of the control that one is about.
    pub(super) fn like(&self, key: &ObjectKey) -> Vec<ObjectKey> {
        let mut maps = self.by_control.values();
        let own = maps.find(|of| of.contains_key(key));
        let others = own.into_iter().flat_map(BTreeMap::keys);
        others.filter(|other| *other != key).cloned().collect()
    }

    pub(super) fn get(&self, key: &ObjectKey) -> Option<&(Exception, State)> {
        self.by_control.values().find_map(|of| of.get(key))
    }

    /// A verdict as it stands with the exceptions in force: a failure that one of them accepts is
    /// [`Outcome::Excepted`], with all that was found.
    pub(in crate::engine) fn consider(
        &self,
        control: &str,
        subject: &Subject,
        inventory: &Inventory,
        mut verdict: Verdict,
    ) -> Verdict {
        if verdict.outcome != Outcome::Fail {
            return verdict;
        }
        let of = self.by_control.get(control);
        let accepting = of
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter(|(exception, state)| state.in_force && exception.covers(inventory, subject));
        // Of several the last to end says it, so that its end is the end.
        let last = accepting.max_by_key(|(exception, _)| exception.expires);
        let Some((exception, state)) = last else {
            return verdict;
        };
        verdict.outcome = Outcome::Excepted;
        verdict.accepted = Some(Box::new(Acceptance {
            by: exception.name.clone(),
            approved: state.phase != ExceptionPhase::BreakGlass,
        }));
        verdict.remedy = None;
        let kind = exception.kind.as_str();
        let approval = if state.phase == ExceptionPhase::BreakGlass {
            ", in an emergency and without approval"
        } else {
            ""
        };
        verdict.message = format!(
            "{} (accepted by {}, {kind}, {}{approval})",
            verdict.message, exception.name, exception.ticket
        )
        .into();
        verdict
    }
}
