//! How fresh each kind is: the difference between "there is none" and "nobody looked".

use std::{collections::BTreeMap, time::Duration};

use super::Kind;

/// Without an event, a bookmark or a clean end for this long, a watch is stale.
pub const STALE_AFTER: Duration = Duration::from_secs(90);

/// Whether a kind can be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    /// Listed completely, and its watch is alive.
    Synced,
    /// A neighbour's kind that this cluster never served: that tool isn't used.
    Absent,
    /// Its first list isn't complete.
    Listing,
    /// We lack the right; the server's message names it.
    Forbidden(String),
    /// Its CRD was there and vanished.
    Vanished,
    /// Its watch has not been heard of for [`STALE_AFTER`].
    Stale,
    /// The server can't be reached, or sends what can't be understood.
    Broken(String),
    /// Nobody watches it.
    Unwatched,
}

impl Availability {
    /// Whether a verdict may rest on what is held of this kind.
    pub const fn is_usable(&self) -> bool {
        matches!(self, Self::Synced | Self::Absent)
    }

    /// What to call it in reasons, metrics and entries.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Synced => "Synced",
            Self::Absent => "Absent",
            Self::Listing => "Listing",
            Self::Forbidden(_) => "Forbidden",
            Self::Vanished => "Vanished",
            Self::Stale => "Stale",
            Self::Broken(_) => "Broken",
            Self::Unwatched => "Unwatched",
        }
    }

    /// A sentence for a verdict's message about `kind`.
    pub fn explain(&self, kind: Kind) -> String {
        let info = kind.info();
        let resource = if info.group.is_empty() {
            info.plural.to_owned()
        } else {
            format!("{}.{}", info.plural, info.group)
        };
        match self {
            Self::Synced | Self::Absent => format!("{resource} are known"),
            Self::Listing => format!("{resource} have not been listed completely yet"),
            Self::Forbidden(message) => {
                format!("Probity lacks the right to list and watch {resource}: {message}")
            }
            Self::Vanished => {
                format!("the CustomResourceDefinition of {resource} vanished while it was in use")
            }
            Self::Stale => format!("the watch of {resource} has been silent for too long"),
            Self::Broken(message) => format!("{resource} can't be read: {message}"),
            Self::Unwatched => format!("{resource} are not watched"),
        }
    }
}

/// The kind as which objects are kept that an API server beside the cluster's own serves as `kind`:
/// where that one does not answer, or lets nobody read, the kept ones tell the same.
const fn kept_as(kind: Kind) -> Option<Kind> {
    match kind {
        Kind::FelixV3Configuration => Some(Kind::FelixConfiguration),
        Kind::CalicoV3NetworkPolicy => Some(Kind::CalicoNetworkPolicy),
        Kind::CalicoV3GlobalNetworkPolicy => Some(Kind::CalicoGlobalNetworkPolicy),
        _ => None,
    }
}

/// Freshness of all kinds.
#[derive(Debug, Default)]
pub struct Freshness {
    kinds: BTreeMap<Kind, State>,
}

#[derive(Debug)]
struct State {
    availability: Availability,
    alive_at: Duration,
    ever_synced: bool,
}

impl Freshness {
    /// Whether `kind` can be judged.
    pub fn of(&self, kind: Kind) -> &Availability {
        let own = self.raw(kind);
        let known_otherwise =
            || kept_as(kind).is_some_and(|kept| *self.raw(kept) == Availability::Synced);
        let untold = matches!(
            own,
            Availability::Forbidden(_) | Availability::Stale | Availability::Broken(_)
        );
        if untold && known_otherwise() {
            return &Availability::Absent;
        }
        own
    }

    fn raw(&self, kind: Kind) -> &Availability {
        self.kinds
            .get(&kind)
            .map_or(&Availability::Unwatched, |state| &state.availability)
    }

    /// Whether a verdict may rest on what is held of all these kinds.
    pub fn all_usable(&self, kinds: &[Kind]) -> bool {
        kinds.iter().all(|kind| self.of(*kind).is_usable())
    }

    /// Whether `kind` was ever listed completely while it was watched.
    pub fn ever_synced(&self, kind: Kind) -> bool {
        self.kinds.get(&kind).is_some_and(|state| state.ever_synced)
    }

    /// Sets the availability of `kind`; `now` is monotonic. Returns whether it changed.
    pub fn set(&mut self, kind: Kind, availability: Availability, now: Duration) -> bool {
        let state = self.kinds.entry(kind).or_insert(State {
            availability: Availability::Unwatched,
            alive_at: now,
            ever_synced: false,
        });
        state.ever_synced |= availability == Availability::Synced;
        if availability.is_usable() {
            state.alive_at = now;
        }
        let changed = state.availability != availability;
        state.availability = availability;
        changed
    }

    /// Notes a sign of life of the watch. Returns whether that ended staleness.
    pub fn alive(&mut self, kind: Kind, now: Duration) -> bool {
        let Some(state) = self.kinds.get_mut(&kind) else {
            return false;
        };
        state.alive_at = now;
        let was_stale = state.availability == Availability::Stale;
        if was_stale {
            state.availability = Availability::Synced;
        }
        was_stale
    }

    /// Marks the watches that have been silent for too long, and returns them.
    pub fn mark_stale(&mut self, now: Duration) -> Vec<Kind> {
        let mut stale = Vec::new();
        for (kind, state) in &mut self.kinds {
            let silent = now.saturating_sub(state.alive_at) > STALE_AFTER;
            if silent && state.availability == Availability::Synced {
                state.availability = Availability::Stale;
                stale.push(*kind);
            }
        }
        stale
    }

    /// Forgets a kind that nobody watches any more.
    pub fn forget(&mut self, kind: Kind) {
        self.kinds.remove(&kind);
    }

    /// Kinds that are watched, with availability and the time since the last sign of life.
    pub fn iter(&self, now: Duration) -> impl Iterator<Item = (Kind, &Availability, Duration)> {
        self.kinds.iter().map(move |(kind, state)| {
            (
                *kind,
                &state.availability,
                now.saturating_sub(state.alive_at),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Duration = Duration::ZERO;

    #[test]
    fn a_silent_watch_becomes_stale_and_recovers() {
        let mut freshness = Freshness::default();
        freshness.set(Kind::Pod, Availability::Synced, T0);
        assert!(freshness.mark_stale(STALE_AFTER).is_empty());
        let late = STALE_AFTER + Duration::from_secs(1);
        assert_eq!(freshness.mark_stale(late), [Kind::Pod]);
        assert!(!freshness.of(Kind::Pod).is_usable());
        assert!(freshness.alive(Kind::Pod, late));
        assert!(freshness.of(Kind::Pod).is_usable());
    }

    #[test]
    fn what_nobody_watches_is_not_usable() {
        assert!(!Freshness::default().of(Kind::Pod).is_usable());
    }

    #[test]
    fn what_another_server_does_not_tell_is_known_by_what_is_kept() {
        let (served, kept) = (Kind::CalicoV3NetworkPolicy, Kind::CalicoNetworkPolicy);
        let mut freshness = Freshness::default();
        freshness.set(served, Availability::Forbidden("no tier".to_owned()), T0);
        assert!(!freshness.of(served).is_usable());
        freshness.set(kept, Availability::Absent, T0);
        assert!(!freshness.of(served).is_usable());
        freshness.set(kept, Availability::Synced, T0);
        assert_eq!(*freshness.of(served), Availability::Absent);
        freshness.set(kept, Availability::Stale, T0);
        assert!(!freshness.of(served).is_usable());
    }

    #[test]
    fn an_absent_neighbour_never_becomes_stale() {
        let mut freshness = Freshness::default();
        freshness.set(Kind::VeleroSchedule, Availability::Absent, T0);
        assert!(freshness.mark_stale(STALE_AFTER * 100).is_empty());
    }
}
