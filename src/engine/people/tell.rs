//! Tells controls what people say.

use super::{Emergency, PeopleObject, Stand, attestations, reviews};
use crate::{
    api::PeopleKind,
    controls::Observation,
    engine::{Engine, changes},
};

/// What controls observe, and the kinds that it consists of.
const TOLD: [(Observation, &[PeopleKind]); 3] = [
    (
        Observation::Exceptions,
        &[PeopleKind::Exception, PeopleKind::ClusterException],
    ),
    (Observation::Attestations, &[PeopleKind::Attestation]),
    (Observation::AccessReviews, &[PeopleKind::Review]),
];

impl Engine {
    /// Brings up to date what controls know, and has judged again what rests on it.
    pub(in crate::engine) fn tell_controls(&mut self) {
        let untold = std::mem::take(&mut self.people.untold);
        for (observation, kinds) in TOLD {
            let news = kinds.iter().any(|kind| untold.contains(kind));
            // A part of a list must not be taken for all of it.
            let whole = kinds.iter().all(|kind| self.people.listed.contains(kind));
            if !news || !whole {
                continue;
            }
            let mut said = std::mem::take(&mut self.observed.people);
            match observation {
                Observation::Exceptions => said.emergencies = Some(self.emergencies()),
                Observation::Attestations => said.attestations = Some(self.attestations()),
                _ => said.reviews = Some(self.reviews()),
            }
            self.observed.people = said;
            self.wake_observers(observation);
        }
        let news = changes::KINDS.iter().any(|kind| untold.contains(kind));
        self.people.policies_untold |= news;
        let mut kinds = changes::KINDS.iter();
        if self.people.policies_untold && kinds.all(|kind| self.people.listed.contains(kind)) {
            self.people.policies_untold = false;
            let changed = Some(self.changed());
            if self.observed.changes != changed {
                self.observed.changes = changed;
                self.wake_observers(Observation::Changes);
            }
        }
    }

    fn emergencies(&self) -> Vec<Emergency> {
        let all = self.people.objects.iter().filter_map(|(key, held)| {
            let exemption = match &held.object {
                PeopleObject::Exception(object) => &object.spec.exemption,
                PeopleObject::ClusterException(object) => &object.spec.exemption,
                _ => return None,
            };
            let created = held.object.meta().creation_timestamp.as_ref()?;
            exemption.break_glass.then(|| Emergency {
                kind: key.kind,
                namespace: key.namespace.clone(),
                name: key.name.clone(),
                created: created.0,
                by: exemption.requested_by.clone(),
                decision: held.object.decision().cloned(),
            })
        });
        all.collect()
    }

    fn attestations(&self) -> Vec<super::Attested> {
        let all = self.people.objects.iter().filter_map(|(key, held)| {
            let PeopleObject::Attestation(object) = &held.object else {
                return None;
            };
            Some(attestations::said(&key.name, object))
        });
        all.collect()
    }

    fn reviews(&self) -> Vec<super::Reviewed> {
        let all = self.people.objects.iter().filter_map(|(key, held)| {
            let (PeopleObject::Review(object), Some(Stand::Review(state))) =
                (&held.object, &held.stand)
            else {
                return None;
            };
            let frozen = held.frozen.as_ref();
            let place = (&self.inventory, &*self.config.owner_label);
            Some(reviews::said(
                place,
                &key.name,
                object,
                frozen,
                state,
                held.decided_at,
            ))
        });
        all.collect()
    }
}
