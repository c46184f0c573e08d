//! What each kind of entry means for an account.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Account, Phase, Place};
use crate::{
    evidence::{
        body::{self, ControlCounts, Heartbeat, Intent, PolicyChange, Population, Transition},
        words::{Change, End, Freshness},
    },
    period::{
        Sink,
        definition::{Policy, Said, definitions, is_suspended},
        people::PolicyStep,
        track::{Moment, Track},
    },
};

impl Account {
    pub(super) fn gap(&mut self, said: &body::Gap, at: Timestamp) {
        let Some(closed) = self.blind.note(said, at) else {
            return;
        };
        for track in self
            .tracks
            .iter_mut()
            .filter(|track| track.concern.is(&said.scope))
        {
            track.hide(closed.from, closed.to);
        }
    }

    pub(super) fn policy(&mut self, said: &PolicyChange, moment: Moment, sink: &mut dyn Sink) {
        if !self.frame.covers(&said.policy) {
            return;
        }
        if self.phase != Phase::After {
            let step = PolicyStep::new(moment.id, moment.at, said);
            if self.phase == Phase::Within {
                self.changes.push(step);
            }
        }
        let policy = Policy::read(said);
        let suspended = is_suspended(said, policy.as_ref());
        let known = self.index.get(&said.policy).into_iter().flatten();
        let mut known: Vec<usize> = known.map(|(_, at)| *at).collect();
        // In the order in which they came, not in that of the map.
        known.sort_unstable();
        let mut leave = |positions: &[usize], why: &str, end| {
            for position in positions {
                self.tracks[*position].leave(why, end, moment, &self.blind, sink);
            }
        };
        if said.change == Change::Created {
            // The log knows nothing of the one before: what lasted there is not known to last.
            leave(&known, "the log before it was lost", End::Unobservable);
        }
        if said.change == Change::Deleted {
            leave(&known, "the policy was deleted", End::PolicyDeleted);
            return;
        }
        let Some(policy) = policy else {
            if suspended {
                leave(&known, "the policy was suspended", End::PolicySuspended);
            }
            return;
        };
        let is_on = |track: &Track| {
            policy
                .controls
                .iter()
                .any(|(id, ..)| **id == *track.control)
        };
        let (used, dropped): (Vec<usize>, Vec<usize>) = known
            .iter()
            .partition(|position| is_on(&self.tracks[**position]));
        let mut leave = |positions: &[usize], why: &str, end| {
            for position in positions {
                self.tracks[*position].leave(why, end, moment, &self.blind, sink);
            }
        };
        leave(
            &dropped,
            "no longer switched on in the policy",
            End::DefinitionChanged,
        );
        if suspended {
            leave(&used, "the policy was suspended", End::PolicySuspended);
            return;
        }
        for (control, parameters, params_hash) in policy.controls {
            let Some(position) = self.track(&said.policy, &control, moment) else {
                continue;
            };
            let track = &mut self.tracks[position];
            let defined = Said {
                rule_version: None,
                params_hash: Some(&params_hash),
                scope_hash: Some(&policy.scope_hash),
            };
            track.define(&defined, moment);
            if self.phase != Phase::After {
                track.definition.parameters = Some(parameters);
                track.definition.scope = Some(policy.scope.clone());
            }
        }
    }

    pub(super) fn transition(&mut self, said: &Transition, moment: Moment, sink: &mut dyn Sink) {
        for policy in &said.policies {
            let Some(position) = self.track(policy, &said.control, moment) else {
                continue;
            };
            let subject = self.subjects.id(&said.subject);
            let track = &mut self.tracks[position];
            if said.to.is_some() {
                track.define(&said.into(), moment);
            }
            track.transition(said, &subject, moment, &self.blind, sink);
            if said.to == Some(crate::verdict::Outcome::Pass) && self.phase != Phase::After {
                self.occurrences.passed(&said.control, &subject, moment.at);
            }
        }
    }

    pub(super) fn population(&mut self, said: &Population, moment: Moment, sink: &mut dyn Sink) {
        for policy in &said.policies {
            let Some(position) = self.track(policy, &said.control, moment) else {
                continue;
            };
            let track = &mut self.tracks[position];
            if !said.joined.is_empty() {
                track.enter(moment);
            }
            let seen = track.seen(&self.blind);
            for subject in &said.joined {
                track.joined(&self.subjects.id(subject), moment);
            }
            for subject in &said.left {
                track.left(&self.subjects.id(subject), moment, seen, sink);
            }
        }
    }

    pub(super) fn heartbeat(&mut self, said: &Heartbeat, at: Timestamp) {
        let unusable: BTreeSet<(&str, Freshness)> = said
            .kinds
            .iter()
            .filter(|kind| !matches!(kind.state, Freshness::Synced | Freshness::Absent))
            .map(|kind| (&*kind.kind, kind.state))
            .collect();
        let mut layout = std::mem::take(&mut self.layout);
        layout.truncate(said.controls.len());
        for (number, row) in said.controls.iter().enumerate() {
            let known = layout
                .get(number)
                .filter(|known| known.is_by(&row.policy, &row.control));
            let track = if let Some(known) = known {
                known.track
            } else {
                let place = self.place(row, at);
                let track = place.track;
                match layout.get_mut(number) {
                    Some(known) => *known = place,
                    None => layout.push(place),
                }
                track
            };
            let Some(position) = track else { continue };
            let track = &mut self.tracks[position];
            track.enter(Moment::of_none(at));
            let hidden = unusable.iter().find(|(kind, _)| track.concern.reads(kind));
            if let Some((kind, state)) = hidden {
                track.hidden(kind, *state, at);
                continue;
            }
            track.watch.beat(at);
            track.reconcile(&row.by_outcome, at);
        }
        self.layout = layout;
    }

    /// Finds the track of a row of a heartbeat.
    fn place(&mut self, row: &ControlCounts, at: Timestamp) -> Place {
        let ControlCounts {
            policy, control, ..
        } = row;
        Place {
            policy: policy.clone(),
            control: control.clone(),
            track: self.track(policy, control, Moment::of_none(at)),
        }
    }

    pub(super) fn intent(&mut self, said: &Intent, moment: Moment) {
        for policy in &said.policies {
            self.track(policy, &said.control, moment);
        }
        // What would be put back is in the log; the account needs only what was done.
        let (before, after) = (None, None);
        self.intents.insert(
            (self.replica, said.id),
            (
                moment.at,
                Intent {
                    before,
                    after,
                    ..said.clone()
                },
            ),
        );
    }

    pub(super) fn outcome(
        &mut self,
        said: &body::ActionOutcome,
        at: Timestamp,
        sink: &mut dyn Sink,
    ) {
        let Some((began, intent)) = self.intents.remove(&(self.replica, said.intent)) else {
            return;
        };
        let mut concerns = false;
        for policy in &intent.policies {
            if let Some(position) = self.position(policy, &intent.control) {
                self.tracks[position].remedied(said.result);
                concerns = true;
            }
        }
        if concerns && self.phase == Phase::Within {
            sink.remedy(began, &intent, at, said);
        }
    }

    pub(super) fn scope(&mut self, said: &body::Scope, moment: Moment) {
        for policy in &said.policies {
            for (control, defined) in definitions(said) {
                let Some(position) = self.track(policy, control, moment) else {
                    continue;
                };
                self.tracks[position].define(&defined, moment);
                if self.phase == Phase::After {
                    continue;
                }
                self.tracks[position].included = Some(said.included);
                let left_out = self.excluded.entry(position).or_default();
                left_out.take(&said.excluded, moment.at, self.frame.from);
            }
        }
    }
}
