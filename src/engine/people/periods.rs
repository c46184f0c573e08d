//! Audit periods: what the log says of them is computed beside the loop, and stands in their statuses.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{ObjectKey, Stand};
use crate::{
    api::{AuditPeriod, AuditPeriodSpec, ObservedPeriod, PeopleKind, PeopleObject},
    controls::Observation,
    engine::{
        Engine, Now, PeriodCoverage,
        status::{cut, whole_seconds},
    },
    period::{Frame, Standing},
};

/// A period that is to be computed.
#[derive(Debug, Clone, PartialEq)]
pub struct PeriodAsked {
    /// The object.
    pub key: ObjectKey,
    /// Its uid.
    pub uid: String,
    /// The version of the spec.
    pub generation: i64,
    /// The days and policies that it is about.
    pub frame: Frame,
}

/// What the log says of a period.
#[derive(Debug, Clone, PartialEq)]
pub struct PeriodTold {
    /// The object's uid.
    pub uid: String,
    /// The version of the spec that this is about.
    pub generation: i64,
    /// How it stands, or why the log could not be read.
    pub standing: Result<Box<Standing>, String>,
}

/// How a period stands, with what the engine knows of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PeriodState {
    generation: i64,
    /// Why the spec can't be used.
    problem: Option<String>,
    /// The last result of the log for this version; none until it has been read.
    standing: Option<Result<Box<Standing>, String>>,
    /// Which other periods it overlaps.
    overlaps: Vec<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

fn generation(object: &AuditPeriod) -> i64 {
    object.metadata.generation.unwrap_or_default()
}

fn frame(key: &ObjectKey, spec: &AuditPeriodSpec) -> Result<Frame, String> {
    Frame::of(&key.name, spec).map_err(|error| error.to_string())
}

/// The share of the period that is observed, by control.
fn coverage(standing: &Standing) -> Vec<(String, f64)> {
    let controls = standing.controls.iter().map(|control| {
        let said = &control.observed;
        (format!("{} in {}", said.id, said.policy), control.coverage)
    });
    controls.collect()
}

/// A period, for the metrics.
#[derive(Debug, Clone, Copy)]
pub struct PeriodSeries<'a> {
    /// Its name.
    pub name: &'a str,
    /// The first instant after it; none where the spec can't be used.
    pub to: Option<Timestamp>,
    /// How it stands; none while the log has not been read for it, or can't be.
    pub standing: Option<&'a Standing>,
}

impl Engine {
    /// The periods that are held, as metrics show them.
    pub fn period_series(&self) -> Vec<PeriodSeries<'_>> {
        let held = self.people.objects.iter();
        let periods = held.filter_map(|(key, held)| {
            let Some(Stand::Period(state)) = &held.stand else {
                return None;
            };
            let standing = match &state.standing {
                Some(Ok(standing)) if state.problem.is_none() => Some(&**standing),
                _ => None,
            };
            Some(PeriodSeries {
                name: &key.name,
                to: state.to,
                standing,
            })
        });
        periods.collect()
    }

    /// The periods whose specs can be used: what is to be computed of the log.
    pub fn periods(&self) -> Vec<PeriodAsked> {
        let held = self.people.objects.iter();
        let periods = held.filter_map(|(key, held)| match &held.object {
            PeopleObject::Period(object) => Some(PeriodAsked {
                key: key.clone(),
                uid: held.facts.uid.clone(),
                generation: generation(object),
                frame: frame(key, &object.spec).ok()?,
            }),
            _ => None,
        });
        periods.collect()
    }

    /// Takes in what the log says of periods.
    pub(in crate::engine) fn periods_told(
        &mut self,
        told: BTreeMap<ObjectKey, PeriodTold>,
        now: Now,
    ) {
        for (key, told) in told {
            // It may have been deleted while the log was read.
            let is_held = self.people.objects.contains_key(&key);
            if is_held && self.people.periods.get(&key) != Some(&told) {
                self.people.periods.insert(key.clone(), told);
                self.period_changed(&key, now);
                self.remark_soon(&key, now);
            }
        }
        self.observe_periods(now);
    }

    /// Lets controls know how much was observed. What the log does not tell is not known, and no
    /// absence.
    fn observe_periods(&mut self, now: Now) {
        let asked = self.periods().into_iter();
        let held = self.people.objects.iter();
        let invalid = held.filter_map(|(key, held)| match &held.object {
            PeopleObject::Period(object) => {
                let problem = frame(key, &object.spec).err()?;
                let coverage = PeriodCoverage {
                    problem: Some(problem),
                    begun: false,
                    controls: Ok(Vec::new()),
                };
                Some((key.name.clone(), coverage))
            }
            _ => None,
        });
        let periods = asked.map(|asked| {
            let told = self.people.periods.get(&asked.key);
            let told =
                told.filter(|told| told.uid == asked.uid && told.generation == asked.generation);
            let controls = match told.map(|told| &told.standing) {
                Some(Ok(standing)) => Ok(coverage(standing)),
                Some(Err(why)) => Err(why.clone()),
                None => Err("the log has not been read for it yet".to_owned()),
            };
            let begun = now.wall >= asked.frame.from;
            let coverage = PeriodCoverage {
                problem: None,
                begun,
                controls,
            };
            (asked.key.name, coverage)
        });
        let periods: BTreeMap<_, _> = periods.chain(invalid).collect();
        if self.observed.periods != periods {
            self.observed.periods = periods;
            self.wake_observers(Observation::AuditPeriods);
        }
    }

    /// Another period, or another spec of one: others may overlap it.
    pub(super) fn periods_changed(&mut self, now: Now) {
        self.observe_periods(now);
        self.out.periods = true;
        let keys = self.people.objects.keys();
        let keys: Vec<ObjectKey> = keys
            .filter(|key| key.kind == PeopleKind::Period)
            .cloned()
            .collect();
        for key in keys {
            self.period_changed(&key, now);
            self.remark_soon(&key, now);
        }
    }

    /// Judges anew where a period stands.
    pub(super) fn period_changed(&mut self, key: &ObjectKey, now: Now) {
        let asked = self.periods();
        let Some(held) = self.people.objects.get_mut(key) else {
            return;
        };
        let PeopleObject::Period(object) = &held.object else {
            return;
        };
        let generation = generation(object);
        let told = self.people.periods.get(key);
        let told = told.filter(|told| told.uid == held.facts.uid && told.generation == generation);
        let frame = frame(key, &object.spec);
        let others = frame.as_ref().ok().map(|own| {
            let others = asked.iter().filter(|other| other.key != *key);
            let others = others.filter(|other| other.frame.overlaps(own));
            others
                .map(|other| {
                    let of = &other.frame;
                    format!("{} ({} to {})", of.name, of.start, of.end)
                })
                .collect()
        });
        let state = PeriodState {
            generation,
            standing: told.map(|told| told.standing.clone()),
            overlaps: others.unwrap_or_default(),
            from: frame.as_ref().ok().map(|frame| frame.from),
            to: frame.as_ref().ok().map(|frame| frame.to),
            problem: frame.err(),
        };
        let begins = state.from.filter(|from| *from > now.wall);
        held.stand = Some(Stand::Period(Box::new(state)));
        self.out.periods = true;
        self.people.wake(key, begins);
    }
}

impl PeriodState {
    /// What the status is to say; nothing while it is not known.
    pub(super) fn observed(
        &self,
        before: Option<&ObservedPeriod>,
        now: Timestamp,
    ) -> Option<ObservedPeriod> {
        let ready = match (&self.problem, &self.standing) {
            (Some(why), _) => ("False", "InvalidSpec", why.clone()),
            (None, None) => return None,
            (None, Some(Err(why))) => ("False", "LogUnreadable", why.clone()),
            (None, Some(Ok(standing))) => {
                let begun = self.from.is_some_and(|from| now >= from);
                let reason = match (standing.observed.over, begun) {
                    (true, _) => "Over",
                    (false, true) => "UnderWay",
                    (false, false) => "NotBegun",
                };
                ("True", reason, String::new())
            }
        };
        let standing = match &self.standing {
            Some(Ok(standing)) if self.problem.is_none() => Some(standing),
            _ => None,
        };
        let begins = standing.and_then(|standing| standing.log_begins);
        let before_log = begins.map(|begins| {
            format!("nothing is known of the time before {begins:.0}, when the log begins")
        });
        let overlaps = (!self.overlaps.is_empty()).then(|| {
            format!(
                "days and policies are also those of {}",
                self.overlaps.join(", ")
            )
        });
        let elsewhere = standing.and_then(|standing| standing.elsewhere.clone());
        let empty = standing.and_then(|standing| standing.empty.clone());
        let told = |kind, (status, reason, message): (&str, &str, String)| {
            self.condition(kind, status, reason, &message, before, now)
        };
        let flag = |reason, message: Option<String>| match message {
            Some(message) => ("True", reason, message),
            None => ("False", "No", String::new()),
        };
        let conditions = vec![
            told("Ready", ready),
            told("StartsBeforeLog", flag("LogBeganLater", before_log)),
            told("LedElsewhere", flag("AnotherReplicaLed", elsewhere)),
            told("Overlaps", flag("SharesDays", overlaps)),
            told("Empty", flag("NothingInForce", empty)),
        ];
        // While the log can't be read, what was known of it stays.
        let known = standing.map(|standing| &standing.observed);
        let known = known.or_else(|| before.filter(|_| self.problem.is_none()));
        Some(ObservedPeriod {
            observed_generation: self.generation,
            conditions,
            ..known.cloned().unwrap_or_default()
        })
    }

    fn condition(
        &self,
        kind: &str,
        status: &str,
        reason: &str,
        message: &str,
        before: Option<&ObservedPeriod>,
        now: Timestamp,
    ) -> Condition {
        let before = before.map_or(&[][..], |before| &before.conditions);
        let known = before.iter().find(|known| known.type_ == kind);
        let since = known
            .filter(|known| known.status == status)
            .map(|known| known.last_transition_time.clone());
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: cut(message),
            observed_generation: Some(self.generation),
            last_transition_time: since.unwrap_or_else(|| Time(whole_seconds(now))),
        }
    }
}
