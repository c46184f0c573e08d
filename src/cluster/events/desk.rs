//! Decides which notices become Events. Reads no clock and sends nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

/// The same said again within this time of the last is counted in the Event that is there.
const SERIES: Duration = Duration::from_mins(6);
/// Events that are remembered, so that they can be counted in.
const MOST_SERIES: usize = 500;
/// Time that a policy's share is measured over.
const WINDOW: Duration = Duration::from_mins(1);
/// Events of one policy within [`WINDOW`], new or counted in.
const MOST_PER_WINDOW: u32 = 10;
/// Routine Events among these: in a flood of drift there is room left to say that the brake has
/// latched, or who keeps writing a field back.
const MOST_ROUTINE: u32 = 7;
/// Policies whose share is measured.
const MOST_POLICIES: usize = 1000;

/// A reference to an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reference {
    pub(super) api_version: String,
    pub(super) kind: &'static str,
    /// Empty where cluster-scoped.
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: Option<String>,
}

impl Reference {
    pub(super) fn json(&self) -> Value {
        let mut json =
            json!({ "apiVersion": self.api_version, "kind": self.kind, "name": self.name });
        if !self.namespace.is_empty() {
            json["namespace"] = self.namespace.as_str().into();
        }
        if let Some(uid) = &self.uid {
            json["uid"] = uid.as_str().into();
        }
        json
    }
}

/// Notices of the same key say the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) regarding: Reference,
    pub(super) reason: &'static str,
    pub(super) note: String,
    /// Whether it is one of those that a flood of drift consists of.
    pub(super) routine: bool,
}

/// What to do with a notice.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Create an Event.
    Create,
    /// It occurred this often by now: say so in the Event of this name.
    Count { name: String, count: u32 },
    /// Send nothing. `tell` says whether to log it: once in a flood.
    Drop { tell: bool },
}

/// An Event that was created.
#[derive(Debug)]
struct Series {
    name: String,
    count: u32,
    seen: Duration,
}

/// What a policy had of its share.
#[derive(Debug)]
struct Share {
    since: Duration,
    sent: u32,
    /// Whether something was dropped in this window.
    dropped: bool,
    /// Whether the flood that this window is part of was logged.
    told: bool,
}

/// What was said lately.
#[derive(Debug, Default)]
pub(super) struct Desk {
    series: BTreeMap<Key, Series>,
    shares: BTreeMap<String, Share>,
    dropped: u64,
}

impl Desk {
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Decides about a notice, given the monotonic time.
    pub(super) fn decide(&mut self, key: &Key, policy: &str, now: Duration) -> Decision {
        // Counted also where nothing may be sent: the next update then tells the whole count.
        let known = self.occurred(key, now);
        let most = if key.routine {
            MOST_ROUTINE
        } else {
            MOST_PER_WINDOW
        };
        if let Some(tell) = self.over_share(policy, most, now) {
            self.dropped = self.dropped.saturating_add(1);
            return Decision::Drop { tell };
        }
        match known {
            Some((name, count)) => Decision::Count { name, count },
            None => Decision::Create,
        }
    }

    /// An Event was created.
    pub(super) fn created(&mut self, key: Key, name: String, now: Duration) {
        make_room(&mut self.series, MOST_SERIES, |series| series.seen);
        let (count, seen) = (1, now);
        self.series.insert(key, Series { name, count, seen });
    }

    /// An Event is gone.
    pub(super) fn forget(&mut self, key: &Key) {
        self.series.remove(key);
    }

    fn occurred(&mut self, key: &Key, now: Duration) -> Option<(String, u32)> {
        let series = self.series.get_mut(key)?;
        if now.saturating_sub(series.seen) >= SERIES {
            self.series.remove(key);
            return None;
        }
        series.count = series.count.saturating_add(1);
        series.seen = now;
        Some((series.name.clone(), series.count))
    }

    /// Takes one from a policy's share. Where there is nothing left, whether to log that.
    fn over_share(&mut self, policy: &str, most: u32, now: Duration) -> Option<bool> {
        if !self.shares.contains_key(policy) {
            make_room(&mut self.shares, MOST_POLICIES, |share| share.since);
        }
        let share = self
            .shares
            .entry(policy.to_owned())
            .or_insert_with(|| Share::new(now, false));
        let age = now.saturating_sub(share.since);
        if age >= WINDOW {
            let same_flood = share.dropped && age < WINDOW * 2;
            *share = Share::new(now, same_flood);
        }
        if share.sent < most {
            share.sent += 1;
            return None;
        }
        share.dropped = true;
        Some(!std::mem::replace(&mut share.told, true))
    }
}

impl Share {
    const fn new(since: Duration, told: bool) -> Self {
        Self {
            since,
            sent: 0,
            dropped: false,
            told,
        }
    }
}

/// Forgets the oldest where a map is full, so that one more fits.
fn make_room<K: Ord + Clone, V>(
    map: &mut BTreeMap<K, V>,
    most: usize,
    time: impl Fn(&V) -> Duration,
) {
    if map.len() < most {
        return;
    }
    let oldest = map.iter().min_by_key(|(_, value)| time(value));
    if let Some(key) = oldest.map(|(key, _)| key.clone()) {
        map.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, note: &str) -> Key {
        Key {
            regarding: Reference {
                api_version: "v1".to_owned(),
                kind: "Service",
                namespace: "web".to_owned(),
                name: name.to_owned(),
                uid: None,
            },
            reason: "Drifted",
            note: note.to_owned(),
            routine: true,
        }
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn count(name: &str, count: u32) -> Decision {
        let name = name.to_owned();
        Decision::Count { name, count }
    }

    #[test]
    fn the_same_again_is_counted_until_six_minutes_pass_in_silence() {
        let mut desk = Desk::default();
        let key = key("a", "n");
        assert_eq!(desk.decide(&key, "p", at(0)), Decision::Create);
        desk.created(key.clone(), "e".to_owned(), at(0));
        assert_eq!(desk.decide(&key, "p", at(359)), count("e", 2));
        assert_eq!(desk.decide(&key, "p", at(700)), count("e", 3));
        assert_eq!(desk.decide(&key, "p", at(1060)), Decision::Create);
    }

    #[test]
    fn other_notes_and_other_objects_are_other_events() {
        let mut desk = Desk::default();
        desk.created(key("a", "n"), "e".to_owned(), at(0));
        assert_eq!(desk.decide(&key("a", "m"), "p", at(1)), Decision::Create);
        assert_eq!(desk.decide(&key("b", "n"), "p", at(1)), Decision::Create);
    }

    #[test]
    fn an_event_that_could_not_be_created_is_tried_anew() {
        let mut desk = Desk::default();
        assert_eq!(desk.decide(&key("a", "n"), "p", at(0)), Decision::Create);
        assert_eq!(desk.decide(&key("a", "n"), "p", at(1)), Decision::Create);
    }

    #[test]
    fn a_flood_is_cut_off_per_policy_and_told_once() {
        let mut desk = Desk::default();
        let mut decisions = |policy: &str, time| {
            let notices = (0..15).map(|n| key("a", &n.to_string()));
            let all: Vec<_> = notices
                .map(|key| desk.decide(&key, policy, at(time)))
                .collect();
            let sent = all.iter().filter(|d| **d == Decision::Create).count();
            let told = Decision::Drop { tell: true };
            (sent, all.iter().filter(|d| **d == told).count())
        };
        assert_eq!(decisions("p", 0), (7, 1));
        assert_eq!(decisions("p", 59), (0, 0));
        assert_eq!(decisions("q", 59), (7, 1));
        assert_eq!(decisions("p", 60), (7, 0), "still the same flood");
        assert_eq!(decisions("p", 600), (7, 1), "another one");
        assert_eq!(desk.dropped(), 8 + 15 + 8 + 8 + 8);
    }

    #[test]
    fn a_flood_of_drift_leaves_room_for_what_follows_from_it() {
        let mut desk = Desk::default();
        let mut sent = |routine: bool| {
            let notices = (0..15).map(|n| Key {
                routine,
                ..key("a", &format!("{routine} {n}"))
            });
            let decisions = notices.map(|key| desk.decide(&key, "p", at(0)));
            decisions.filter(|d| *d == Decision::Create).count()
        };
        assert_eq!(sent(true), 7);
        assert_eq!(sent(false), 3);
    }

    #[test]
    fn what_was_dropped_of_a_series_is_in_its_next_count() {
        let mut desk = Desk::default();
        desk.created(key("a", "n"), "e".to_owned(), at(0));
        for _ in 0..20 {
            desk.decide(&key("a", "n"), "p", at(1));
        }
        assert_eq!(desk.decide(&key("a", "n"), "p", at(61)), count("e", 22));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_go_first() {
        let mut desk = Desk::default();
        for n in 0..3000_u64 {
            let text = n.to_string();
            desk.decide(&key(&text, "n"), &text, at(n));
            desk.created(key(&text, "n"), text, at(n));
        }
        assert_eq!(
            (desk.series.len(), desk.shares.len()),
            (MOST_SERIES, MOST_POLICIES)
        );
        assert!(desk.series.contains_key(&key("2999", "n")));
    }
}
