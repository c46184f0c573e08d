//! What comes in about the cluster: changes, kinds that can or can't be read, findings.

use jiff::Timestamp;

use super::{
    Engine, Finding, Measure, Notice, NoticeKind, Now, PAUSE,
    plan::not_heeded,
    rule::{self, RuleId},
};
use crate::{
    controls::{Observation, Subject, Target, Touched},
    evidence::{
        body::{self, Body},
        words::Cause,
    },
    inventory::{Availability, Change, Kind, Sym, Unreadable},
    verdict::Outcome,
    words::{either, many},
};

/// What a person asked for with [`PAUSE`].
#[derive(Debug)]
pub(super) struct Pause {
    pub(super) until: Timestamp,
    /// The field manager that did it.
    pub(super) who: Option<String>,
}

impl Engine {
    /// Takes in the changes of objects of one kind.
    pub(super) fn changes(
        &mut self,
        kind: Kind,
        changes: Result<Vec<Change>, Unreadable>,
        now: Now,
    ) {
        let changes = changes.unwrap_or_else(|error| {
            let why = Availability::Broken(error.to_string());
            self.out.measures.push(Measure::Gap { kind });
            self.availability(kind, why, now);
            error.taken
        });
        for change in changes {
            self.analyses.note(&self.inventory, &change);
            let readers = self.readers.get(&kind).into_iter().flatten();
            for id in readers {
                if let Some(rule) = self.rules.get_mut(id) {
                    rule.touch(&change);
                    if !rule.dirty.is_empty() {
                        self.uncertain.insert(*id);
                    }
                }
            }
            let target = Target {
                kind,
                namespace: change.namespace.clone(),
                name: change.name.clone(),
            };
            if !self.flights.is_idle() {
                self.note_mending(&target);
            }
            self.flights.forgive(&target);
            self.note_asked(&change, now);
            if kind == Kind::Namespace {
                self.replan_namespace(&change.name);
                self.owners_changed();
                self.scopes_changed = true;
                self.coverage_changed = true;
            }
        }
    }

    /// Notes whether a change is, or comes of, a write of ours.
    fn note_mending(&mut self, target: &Target) {
        self.mending.note(target, self.flights.is_writing(target));
        if self.flights.has_started(target) {
            // What is done through a tool is done wherever it works, not where its object lies.
            let anywhere = Target {
                namespace: "".into(),
                ..target.clone()
            };
            self.mending.note(&anywhere, true);
        }
    }

    /// A namespace's pause, labels or end may let through or hold back the remedies in it.
    fn replan_namespace(&mut self, namespace: &Sym) {
        let plans = &mut self.plans;
        for (id, instance) in &self.instances {
            for (subject, row) in rule::in_namespace(&instance.rows, namespace) {
                if row.verdict.outcome == Outcome::Fail {
                    plans.insert((*id, subject.clone()));
                }
            }
        }
    }

    /// Notes the pause that somebody asked for on an object, whether it is heeded or not.
    fn note_asked(&mut self, change: &Change, now: Now) {
        let Change {
            kind,
            namespace,
            name,
            ..
        } = change;
        // Nearly nothing has one: only then is it copied.
        let asked = self.asked(*kind, namespace, name).map(str::to_owned);
        self.note_pause(change, asked.as_deref());
        let why = asked.and_then(|asked| not_heeded(&asked, now.wall));
        self.note_unheeded(change, why);
    }

    /// What stands in the annotation that asks for a pause.
    fn asked(&self, kind: Kind, namespace: &str, name: &str) -> Option<&str> {
        let meta = self.inventory.meta(kind, namespace, name)?;
        meta.annotations.get(PAUSE)
    }

    /// Records that a person paused something.
    fn note_pause(&mut self, change: &Change, asked: Option<&str>) {
        let until = asked.and_then(|until| until.parse::<Timestamp>().ok());
        if until.is_none() && self.pauses.is_empty() {
            return;
        }
        let target = format!(
            "{} {}/{}",
            change.kind.info().kind,
            change.namespace,
            change.name
        );
        if self.pauses.get(&target).map(|pause| pause.until) == until {
            return;
        }
        // Who takes an annotation away owns no field that is left: the manager that is named last is somebody else.
        let who = until.and(change.manager.as_deref()).map(str::to_owned);
        match until {
            Some(until) => {
                let who = who.clone();
                self.pauses.insert(target.clone(), Pause { until, who });
            }
            None => {
                self.pauses.remove(&target);
            }
        }
        self.say(Body::Pause(body::Pause { target, until, who }));
    }

    /// Tells, once, that somebody asked for a pause which is not heeded: they would take the next write for a fault.
    fn note_unheeded(&mut self, change: &Change, why: Option<String>) {
        if why.is_none() && self.unheeded.is_empty() {
            return;
        }
        // They take over what their templates say: of each new one it would be told again, and none of them is ever written.
        if matches!(change.kind, Kind::Pod | Kind::ReplicaSet | Kind::Job) {
            return;
        }
        let subject = Subject::object(change.kind, &change.namespace, &change.name);
        let Some(why) = why else {
            self.unheeded.remove(&subject);
            return;
        };
        let before = self.unheeded.insert(subject.clone(), why.clone());
        if self.leading && before.as_ref() != Some(&why) {
            self.notice_unheeded(subject, why);
        }
    }

    /// Tells of the pauses that are not heeded to whoever hears this leader for the first time. One that was too far ahead may
    /// be heeded by now.
    pub(super) fn say_unheeded(&mut self, now: Now) {
        for (subject, _) in std::mem::take(&mut self.unheeded) {
            let asked = subject.object_kind().and_then(|kind| {
                // The subject that a namespace is lies in itself; the object lies in none.
                let namespaced = kind.info().is_namespaced();
                let namespace: &str = if namespaced { &subject.namespace } else { "" };
                self.asked(kind, namespace, &subject.name)
            });
            if let Some(why) = asked.and_then(|asked| not_heeded(asked, now.wall)) {
                self.unheeded.insert(subject.clone(), why.clone());
                self.notice_unheeded(subject, why);
            }
        }
    }

    fn notice_unheeded(&mut self, subject: Subject, note: String) {
        self.out.notices.push(Notice {
            subject: Some(subject),
            policy: None,
            kind: NoticeKind::Warning,
            reason: "PauseNotHeeded",
            action: "Reconcile",
            note,
        });
    }

    pub(super) fn availability(&mut self, kind: Kind, availability: Availability, now: Now) {
        let absent = availability == Availability::Absent;
        if self.inventory.freshness.set(kind, availability, now.mono) {
            self.coverage_changed |= kind == Kind::Namespace;
            if absent {
                self.forget(kind);
            }
            self.wake_readers(kind);
            self.wake_observers(Observation::OwnRights);
        }
    }

    pub(super) fn forget(&mut self, kind: Kind) {
        for change in self.inventory.forget(kind) {
            self.analyses.note(&self.inventory, &change);
        }
    }

    pub(super) fn wake_readers(&mut self, kind: Kind) {
        let readers = self.readers.get(&kind).into_iter().flatten();
        self.uncertain.extend(readers.copied());
    }

    pub(super) fn repaired(&mut self, kind: Kind, objects: usize, since: Timestamp, now: Now) {
        self.out.measures.push(Measure::Gap { kind });
        self.say(Body::Gap(body::Gap {
            scope: kind.info().kind.to_owned(),
            from: since,
            to: Some(now.wall),
            cause: format!(
                "the watch had missed changes of {}; {} repaired",
                many(objects, "object"),
                either(objects, "it is", "they are")
            ),
        }));
    }

    pub(super) fn found(&mut self, mut finding: Finding) {
        let observation = finding.observation();
        if let Finding::Access(look) = &mut finding {
            self.compare(look);
        }
        self.observed.take(finding);
        if observation == Observation::ApiServerFacts {
            self.say_encryption_configs();
        }
        self.wake_observers(observation);
    }

    /// Says which encryption configuration each API server uses, where the log knows another one or
    /// none: a change to production, whoever made it.
    pub(super) fn say_encryption_configs(&mut self) {
        let replicas = self.observed.api_servers.replicas.iter();
        let said: Vec<Body> = replicas
            .filter_map(|(server, replica)| {
                let (_, reading) = replica.reading.as_ref()?;
                let (to, since) = (reading.config.clone()?, replica.configured()?);
                let before = self.memory.lasting.config(server);
                (before != Some(to.as_str())).then(|| {
                    Body::EncryptionConfig(body::EncryptionConfig {
                        server: server.clone(),
                        from: before.map(str::to_owned),
                        to,
                        since,
                    })
                })
            })
            .collect();
        for body in said {
            self.say(body);
        }
    }

    /// Has the verdicts that rest on an observation judged again.
    pub(super) fn wake_observers(&mut self, observation: Observation) {
        let rules = self.rules.iter();
        let observing: Vec<(RuleId, Touched)> = rules
            .filter(|(_, rule)| rule.control.info().observes.contains(&observation))
            .map(|(id, rule)| (*id, rule.control.noticed(observation)))
            .collect();
        for (id, touched) in observing {
            self.dirty(id, touched, Cause::Object);
        }
    }

    pub(super) fn log_state(&mut self, state: Result<(), String>, now: Now) {
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
}
