//! Heartbeats: the whole table in numbers, so that silence is visible and completeness checkable.

use jiff::SignedDuration;
use sha2::{Digest, Sha256};

use super::{Engine, HEARTBEAT, Now};
use crate::{
    evidence::{
        body::{Body, ControlCounts, Gap, Heartbeat, KindFreshness},
        words::Freshness,
    },
    inventory::Availability,
    verdict::Counts,
};

/// Two heartbeats further apart than this have a gap between them.
const ASLEEP: SignedDuration = SignedDuration::from_secs(150);

impl Engine {
    /// Says that we are looking, once a minute.
    pub(super) fn heartbeat(&mut self, now: Now) {
        if now.mono < self.heartbeat_at {
            return;
        }
        self.heartbeat_at = now.mono + HEARTBEAT;
        if !self.leading {
            self.beat_at = None;
            return;
        }
        self.say_if_asleep(now);
        self.say_scopes();
        let mut total = Counts::default();
        let mut controls = Vec::new();
        let told = self.instances.values();
        // Of one that has not been introduced the log doesn't know the subjects: to list it would claim that it is judged.
        for instance in told.filter(|instance| instance.introduced) {
            let counts = instance.visible_counts();
            total.join(&counts);
            for policy in &instance.policies {
                controls.push(ControlCounts {
                    policy: policy.clone(),
                    control: instance.key.control.into(),
                    by_outcome: counts,
                });
            }
        }
        let kinds = self
            .inventory
            .freshness
            .iter(now.mono)
            .map(|(kind, availability, age)| {
                let heard = now.wall.checked_sub(age).ok();
                KindFreshness {
                    group: kind.info().group.into(),
                    kind: kind.info().kind.into(),
                    state: word(availability),
                    heard,
                }
            });
        let heartbeat = Heartbeat {
            subjects: total.total(),
            by_outcome: total,
            controls,
            kinds: kinds.collect(),
            table_digest: self.table_digest(),
        };
        self.say(Body::Heartbeat(heartbeat));
    }

    /// Says that nothing was observed if the last heartbeat is long ago: the process, or its machine, was stopped.
    fn say_if_asleep(&mut self, now: Now) {
        let last = self.beat_at.replace(now.wall);
        let Some(from) = last.filter(|last| now.wall.duration_since(*last) > ASLEEP) else {
            return;
        };
        self.say(Body::Gap(Gap {
            scope: "all".to_owned(),
            from,
            to: Some(now.wall),
            cause: "the process did not run".to_owned(),
        }));
    }

    /// SHA-256 over every row: control, parameters, scope, subject, outcome and reason.
    fn table_digest(&self) -> String {
        let mut hash = Sha256::new();
        for (key, id) in self.keys.iter().filter(|(key, _)| !key.suspended) {
            for part in [key.control, &key.params_hash, &key.scope_hash] {
                hash.update(part);
                hash.update([0]);
            }
            for (subject, verdict) in self.members(*id) {
                for part in [subject.kind_name(), &subject.namespace, &subject.name] {
                    hash.update(part);
                    hash.update([0]);
                }
                hash.update(verdict.outcome.as_str());
                hash.update([0]);
                hash.update(verdict.reason);
                hash.update([1]);
            }
        }
        super::hex(&hash.finalize())
    }
}

const fn word(availability: &Availability) -> Freshness {
    match availability {
        Availability::Synced => Freshness::Synced,
        Availability::Absent => Freshness::Absent,
        Availability::Listing | Availability::Unwatched => Freshness::Syncing,
        Availability::Forbidden(_) => Freshness::Forbidden,
        Availability::Vanished => Freshness::Vanished,
        Availability::Stale | Availability::Broken(_) => Freshness::Stale,
    }
}
