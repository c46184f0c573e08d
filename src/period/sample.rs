//! Samples: drawn from a complete population so that anybody who has the seed draws the same.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Deviation, Member, Sink, SubjectId};
use crate::evidence::SubjectRef;

/// Collects the population of one control over a period: every subject that ever was in it.
#[derive(Debug, Default)]
pub struct Sampler {
    control: String,
    items: BTreeMap<String, Item>,
}

/// An item of a population.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// What it is drawn by: group, kind, namespace and name.
    pub id: String,
    /// The subject.
    pub subject: SubjectId,
    /// When it was first seen.
    pub joined: Timestamp,
    /// When it left, if it did before the period ended.
    pub left: Option<Timestamp>,
    /// Deviations of it in the period.
    pub deviations: u64,
}

/// A sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// The control.
    pub control: String,
    /// The seed.
    pub seed: String,
    /// Items in the population.
    pub population: u64,
    /// SHA-256 over the ids of the population in order, each with a line feed.
    pub population_sha256: String,
    /// The items drawn: by SHA-256 of the seed and the id, one after the other, the least first.
    pub items: Vec<Drawn>,
}

/// An item that was drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drawn {
    /// SHA-256 of seed and id.
    pub sha256: String,
    /// The item.
    #[serde(flatten)]
    pub item: Item,
}

impl Sampler {
    /// Begins with nothing.
    pub fn new(control: &str) -> Self {
        Self {
            control: control.to_owned(),
            items: BTreeMap::new(),
        }
    }

    /// Draws `count` items, or all there are.
    pub fn draw(self, seed: &str, count: usize) -> Sample {
        let mut hash = Sha256::new();
        for id in self.items.keys() {
            hash.update(id);
            hash.update("\n");
        }
        let population = self.items.len() as u64;
        let items = self.items.into_values().map(|item| {
            let digest = Sha256::new()
                .chain_update(seed)
                .chain_update(&item.id)
                .finalize();
            Drawn {
                sha256: crate::engine::hex(&digest),
                item,
            }
        });
        let mut items: Vec<Drawn> = items.collect();
        items.sort_by(|a, b| a.sha256.cmp(&b.sha256));
        items.truncate(count);
        Sample {
            control: self.control,
            seed: seed.to_owned(),
            population,
            population_sha256: crate::engine::hex(&hash.finalize()),
            items,
        }
    }
}

impl Sink for Sampler {
    fn member(&mut self, member: &Member) {
        if *member.control != *self.control {
            return;
        }
        let id = item_id(member.subject.subject());
        let new = Item {
            id: id.clone(),
            subject: member.subject.clone(),
            joined: member.joined,
            left: member.left,
            deviations: 0,
        };
        let item = self.items.entry(id).or_insert_with(|| new.clone());
        item.joined = item.joined.min(new.joined);
        // In several policies, or there again: it is there as long as it is anywhere.
        item.left = item.left.zip(new.left).map(|(a, b)| a.max(b));
        if item.subject.subject().uid.is_empty() {
            item.subject = new.subject;
        }
    }

    fn deviation(&mut self, deviation: &Deviation) {
        if *deviation.control != *self.control {
            return;
        }
        let subject = &deviation.subject;
        let id = item_id(subject.subject());
        let new = Item {
            id: id.clone(),
            subject: subject.clone(),
            joined: deviation.opened,
            left: deviation.closed,
            deviations: 0,
        };
        self.items.entry(id).or_insert(new).deviations += 1;
    }
}

/// What an item is drawn by. No part of it holds a slash, but perhaps the name of a role.
pub fn item_id(subject: &SubjectRef) -> String {
    let SubjectRef {
        group,
        kind,
        namespace,
        name,
        uid: _,
    } = subject;
    format!(
        "{group}/{kind}/{}/{name}",
        namespace.as_deref().unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(names: &[&str]) -> Sampler {
        let mut sampler = Sampler::new("c");
        for (second, name) in names.iter().enumerate() {
            let at = Timestamp::from_second(i64::try_from(second).unwrap()).unwrap();
            let subject = SubjectRef {
                group: "".into(),
                kind: "Namespace".into(),
                namespace: None,
                name: (*name).into(),
                uid: "u".into(),
            };
            let subject = super::super::subjects::Subjects::default().id(&subject);
            let member = Member {
                policy: "p".into(),
                control: "c".into(),
                subject,
                joined: at,
                left: None,
            };
            sampler.member(&member);
        }
        sampler
    }

    fn drawn(sample: &Sample) -> Vec<&str> {
        sample
            .items
            .iter()
            .map(|drawn| &*drawn.item.subject.subject().name)
            .collect()
    }

    #[test]
    fn the_same_seed_draws_the_same_in_whichever_order_they_came() {
        let one = sampler(&["a", "b", "c", "d", "e"]).draw("seed", 3);
        let other = sampler(&["e", "c", "a", "b", "d"]).draw("seed", 3);
        assert_eq!(drawn(&one), drawn(&other));
        assert_eq!(one.population_sha256, other.population_sha256);
        assert_eq!((one.population, one.items.len()), (5, 3));
        let another = sampler(&["a", "b", "c", "d", "e"]).draw("another", 5);
        assert_eq!(another.items.len(), 5);
        assert_eq!(another.population_sha256, one.population_sha256);
    }

    #[test]
    fn anybody_can_draw_it_with_sha256sum() {
        // printf 'seed/Namespace//a' | sha256sum
        let sample = sampler(&["a"]).draw("seed", 9);
        let expected = Sha256::digest(b"seed/Namespace//a");
        assert_eq!(sample.items[0].sha256, crate::engine::hex(&expected));
        assert_eq!(
            sample.population_sha256,
            crate::engine::hex(&Sha256::digest(b"/Namespace//a\n"))
        );
    }

    #[test]
    fn a_larger_sample_begins_with_the_smaller_one() {
        let names = ["a", "b", "c", "d", "e", "f"];
        let (small, large) = (sampler(&names).draw("s", 2), sampler(&names).draw("s", 5));
        assert_eq!(drawn(&small)[..], drawn(&large)[..2]);
    }
}
