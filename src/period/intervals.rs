//! Sets of time: disjoint half-open intervals, and how long they are together.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

/// A set of instants, as disjoint intervals that don't touch, each with its begin and without its end.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Intervals(BTreeMap<Timestamp, Timestamp>);

impl Intervals {
    /// Adds what lies between two times. Nothing, if they are in the wrong order.
    pub fn insert(&mut self, from: Timestamp, to: Timestamp) {
        if from >= to {
            return;
        }
        // Time mostly goes on where the last interval ends.
        if let Some(mut last) = self.0.last_entry()
            && (*last.key()..=*last.get()).contains(&from)
        {
            let end = last.get_mut();
            *end = to.max(*end);
            return;
        }
        let (mut from, mut to) = (from, to);
        // Everything that it touches becomes part of it; what begins last is met first.
        while let Some((&begin, &end)) = self.0.range(..=to).next_back() {
            if end < from {
                break;
            }
            self.0.remove(&begin);
            from = from.min(begin);
            to = to.max(end);
        }
        self.0.insert(from, to);
    }

    /// The intervals, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        self.0.iter().map(|(from, to)| (*from, *to))
    }

    /// The interval that has this instant inside it, its begin not counted.
    pub fn around(&self, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let (from, to) = self.0.range(..at).next_back()?;
        (at < *to).then_some((*from, *to))
    }

    /// The interval that has this instant inside or ends with it.
    pub fn up_to(&self, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let (from, to) = self.0.range(..at).next_back()?;
        (at <= *to).then_some((*from, *to))
    }

    /// What of it lies between two times.
    #[must_use]
    pub fn within(&self, from: Timestamp, to: Timestamp) -> Self {
        let mut part = Self::default();
        if from >= to {
            return part;
        }
        let first = self.0.range(..from).next_back();
        for (begin, end) in first.into_iter().chain(self.0.range(from..to)) {
            part.insert(from.max(*begin), to.min(*end));
        }
        part
    }

    /// What between two times doesn't belong to it.
    #[must_use]
    pub fn missing(&self, from: Timestamp, to: Timestamp) -> Self {
        let mut rest = Self::default();
        let mut at = from;
        for (begin, end) in self.within(from, to).iter() {
            rest.insert(at, begin);
            at = end;
        }
        rest.insert(at, to);
        rest
    }

    /// Takes everything out that lies in the other.
    pub fn remove_all(&mut self, other: &Self) {
        let mut rest = Self::default();
        for (begin, end) in self.iter() {
            for (from, to) in other.missing(begin, end).iter() {
                rest.insert(from, to);
            }
        }
        *self = rest;
    }

    /// How long it is in all.
    pub fn length(&self) -> SignedDuration {
        let lengths = self.iter().map(|(from, to)| to.duration_since(from));
        lengths.fold(SignedDuration::ZERO, SignedDuration::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// The same as the set of whole seconds.
    fn seconds(set: &Intervals) -> Vec<i64> {
        let spans = set.iter();
        spans
            .flat_map(|(from, to)| from.as_second()..to.as_second())
            .collect()
    }

    fn set() -> impl Strategy<Value = Vec<(i64, i64)>> {
        prop::collection::vec((0i64..60, 0i64..60), 0..12)
    }

    fn made(spans: &[(i64, i64)]) -> Intervals {
        let mut made = Intervals::default();
        for (from, to) in spans {
            made.insert(at(*from), at(*to));
        }
        made
    }

    fn holds(spans: &[(i64, i64)], second: i64) -> bool {
        spans
            .iter()
            .any(|(from, to)| (*from..*to).contains(&second))
    }

    proptest! {
        #[test]
        fn operations_are_those_of_sets_of_seconds(ours in set(), theirs in set(), from in 0i64..60, to in 0i64..60) {
            let ours_set = made(&ours);
            let inside: Vec<i64> = (0..60).filter(|s| holds(&ours, *s)).collect();
            prop_assert_eq!(seconds(&ours_set), inside.clone());
            prop_assert_eq!(ours_set.length(), SignedDuration::from_secs(i64::try_from(inside.len()).unwrap()));
            let clipped: Vec<i64> = (from..to).filter(|s| holds(&ours, *s)).collect();
            prop_assert_eq!(seconds(&ours_set.within(at(from), at(to))), clipped);
            let missing: Vec<i64> = (from..to).filter(|s| !holds(&ours, *s)).collect();
            prop_assert_eq!(seconds(&ours_set.missing(at(from), at(to))), missing);
            let mut rest = ours_set.clone();
            rest.remove_all(&made(&theirs));
            let expected: Vec<i64> = (0..60).filter(|s| holds(&ours, *s) && !holds(&theirs, *s)).collect();
            prop_assert_eq!(seconds(&rest), expected);
            // Disjoint and apart: no interval touches the next one.
            let spans: Vec<_> = ours_set.iter().collect();
            prop_assert!(spans.windows(2).all(|two| two[0].1 < two[1].0));
            let around = ours_set.around(at(from));
            prop_assert_eq!(around.is_some(), holds(&ours, from) && holds(&ours, from - 1));
            prop_assert_eq!(ours_set.up_to(at(from)).is_some(), holds(&ours, from - 1));
        }
    }
}
