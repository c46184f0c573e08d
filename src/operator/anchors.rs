//! When heads of the log are kept elsewhere: within ten minutes of anything but heartbeats, and at least hourly. Each place
//! has its own turn, so that one that fails is tried again without the others.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::sync::mpsc::Sender;

use super::Input;
use crate::{
    api::AnchorStatus,
    cluster::{
        anchors::{self, Head, Place, Places},
        client::Connection,
    },
    evidence::{Journal, Published, body::Epoch},
    metrics::Metrics,
};

/// With something to tell.
const SOON: Duration = Duration::from_mins(10);
/// With heartbeats alone.
const HOURLY: Duration = Duration::from_hours(1);
/// How often a timestamp is asked for: authorities are shared by many.
const DAILY: SignedDuration = SignedDuration::from_hours(24);
/// After a first failure; doubled with each further one, up to [`SOON`].
const AGAIN: Duration = Duration::from_secs(30);
/// For the first time after a start, when the log has said what began.
const FIRST: Duration = Duration::from_secs(15);
/// How long a place may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long it may take at the end.
const LAST: Duration = Duration::from_secs(10);

/// What is told of the log wherever its heads are kept.
#[derive(Debug, Clone, Default)]
pub struct Anchoring {
    /// Where.
    pub places: Places,
    /// What was known of them at the start.
    pub known: Vec<AnchorStatus>,
    /// The key that checks the log.
    pub key: String,
    /// How the log begins.
    pub epoch: Option<Epoch>,
}

/// What became of a turn.
#[derive(Debug)]
pub(crate) struct Turned {
    /// Entries of the head.
    size: u64,
    /// Whether the tree could not be written.
    unpublished: bool,
    /// Whether the `EvidenceLog` says that the log is intact, where it was written.
    intact: Option<bool>,
    /// By place: whether it took the head. Places that were not tried are left out.
    kept: Vec<(Place, Result<(), String>)>,
}

/// What there is to tell.
#[derive(Debug, Default)]
struct News {
    /// The size that covers all but heartbeats.
    notable: u64,
    /// Whether the tree can't be written.
    unpublished: bool,
}

/// What has been kept at a place.
#[derive(Debug, Default)]
struct Kept {
    /// Entries of the last head that it took.
    size: u64,
    /// When it took it, by the wall clock.
    time: Option<Timestamp>,
    /// When it was last tried, on the monotonic clock.
    tried: Option<Duration>,
    failures: u32,
    problem: Option<String>,
}

impl Kept {
    /// Whether it is to be tried. `notable` is the size that covers all but heartbeats.
    fn is_due(&self, notable: u64, now: Duration) -> bool {
        let Some(tried) = self.tried else {
            return now >= FIRST;
        };
        let wait = match self.failures {
            0 if notable > self.size => SOON,
            0 => HOURLY,
            failures => AGAIN
                .saturating_mul(1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX))
                .min(SOON),
        };
        now >= tried + wait
    }

    /// Whether what was kept last is not so old.
    fn is_younger(&self, than: SignedDuration, wall: Timestamp) -> bool {
        self.time
            .is_some_and(|time| wall.duration_since(time) < than)
    }

    fn took(&mut self, size: u64, result: Result<(), String>) {
        match result {
            Ok(()) => {
                (self.size, self.time) = (size, Some(Timestamp::now()));
                (self.failures, self.problem) = (0, None);
            }
            Err(problem) => {
                self.failures += 1;
                self.problem = Some(anchors::in_brief(&problem));
            }
        }
    }

    fn status(&self, target: String) -> AnchorStatus {
        AnchorStatus {
            target,
            size: i64::try_from(self.size).unwrap_or(i64::MAX),
            time: self.time.map(Time),
            problem: self.problem.clone(),
        }
    }
}

/// What has been kept.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    what: Anchoring,
    under_way: bool,
    places: BTreeMap<Place, Kept>,
    /// Whether the `EvidenceLog` says that the tree can't be written.
    told_unpublished: bool,
    /// Whether the log is another than the one before, and nobody has looked into that.
    broken: bool,
}

impl Anchors {
    pub(super) fn new(what: Anchoring) -> Self {
        let places = what.places.used().into_iter().map(|place| {
            let target = what.places.target(place);
            let known = what.known.iter().find(|known| known.target == target);
            let kept = Kept {
                size: known.map_or(0, |known| u64::try_from(known.size).unwrap_or_default()),
                time: known.and_then(|known| known.time.as_ref().map(|time| time.0)),
                problem: known.and_then(|known| known.problem.clone()),
                ..Kept::default()
            };
            (place, kept)
        });
        Self {
            places: places.collect(),
            broken: what.epoch.as_ref().is_some_and(Epoch::is_break),
            what,
            ..Self::default()
        }
    }

    /// Keeps the last checkpoint where that is due.
    pub(super) fn turn(
        &mut self,
        journal: &Journal,
        connection: &Connection,
        sender: &Sender<Input>,
        now: Duration,
    ) {
        if self.under_way {
            return;
        }
        let Some(mut head) = self.head(journal) else {
            return;
        };
        let news = News {
            notable: journal.notable(),
            unpublished: head.problem.is_some(),
        };
        let due = self.due(&news, now, Timestamp::now());
        if due.is_empty() {
            return;
        }
        self.under_way = true;
        for place in &due {
            self.places.entry(*place).or_default().tried = Some(now);
        }
        let (client, turn, sender) = (connection.client.clone(), self.begin(due), sender.clone());
        tokio::spawn(async move {
            let turned = turn.run(&client, &mut head, PATIENCE).await;
            // The operator may be stopping.
            let _ = sender.send(Input::Anchored(turned)).await;
        });
    }

    fn due(&self, news: &News, now: Duration, wall: Timestamp) -> Vec<Place> {
        let untold = news.unpublished != self.told_unpublished;
        let is_due = |(place, kept): &(&Place, &Kept)| match place {
            Place::Timestamp if kept.failures == 0 && kept.is_younger(DAILY, wall) => false,
            Place::EvidenceLog if untold && kept.failures == 0 && kept.tried.is_some() => true,
            _ => kept.is_due(news.notable, now),
        };
        let due: Vec<_> = self
            .places
            .iter()
            .filter(is_due)
            .map(|(place, _)| *place)
            .collect();
        // A timestamp alone is no reason: it comes with the next head that is kept.
        if due == [Place::Timestamp] {
            Vec::new()
        } else {
            due
        }
    }

    fn begin(&self, due: Vec<Place>) -> Turn {
        let said = self
            .places
            .iter()
            .map(|(place, kept)| (*place, kept.status(self.what.places.target(*place))));
        Turn {
            places: self.what.places.clone(),
            said: said.collect(),
            due,
        }
    }

    /// The last checkpoint, with what is to be told of it.
    fn head(&self, journal: &Journal) -> Option<Head> {
        Some(Head {
            published: journal.published()?,
            timestamp: None,
            key: self.what.key.clone(),
            epoch: self.what.epoch.clone(),
            problem: journal.publish_failure(),
        })
    }

    /// What became of it.
    pub(super) fn kept(&mut self, turned: Turned) {
        self.under_way = false;
        self.broken = turned.intact.map_or(self.broken, |intact| !intact);
        for (place, result) in turned.kept {
            if let Err(problem) = &result {
                let target = self.what.places.target(place);
                tracing::warn!(target, problem, "A checkpoint was not kept");
            } else if place == Place::EvidenceLog {
                self.told_unpublished = turned.unpublished;
            }
            self.places
                .entry(place)
                .or_default()
                .took(turned.size, result);
        }
    }

    /// Shows how old what is kept elsewhere is.
    pub(super) fn measure(&self, metrics: &Metrics, now: Timestamp) {
        for (place, kept) in &self.places {
            let age = kept.time.map(|time| now.duration_since(time));
            let age = age.map(|age| Duration::try_from(age).unwrap_or_default());
            metrics.anchor(place.label(), age, kept.problem.is_some());
        }
        let outside = self
            .places
            .iter()
            .any(|(place, kept)| place.is_outside() && kept.size > 0 && kept.problem.is_none());
        metrics.anchored_outside(outside);
        metrics.log_broken(self.broken);
    }

    /// Keeps the last checkpoint of a log that is closed.
    pub(super) async fn last(self, connection: &Connection, published: Published) {
        let places = self.places.keys().copied();
        let turn = self.begin(places.filter(|place| *place != Place::Timestamp).collect());
        let mut head = Head {
            published,
            timestamp: None,
            key: self.what.key,
            epoch: self.what.epoch,
            problem: None,
        };
        let turned = turn.run(&connection.client, &mut head, LAST).await;
        for (place, result) in turned.kept {
            if let Err(problem) = result {
                let target = self.what.places.target(place);
                tracing::warn!(target, problem, "The last checkpoint was not kept");
            }
        }
    }
}

/// Keeping one head at the places that are due.
struct Turn {
    places: Places,
    said: BTreeMap<Place, AnchorStatus>,
    due: Vec<Place>,
}

impl Turn {
    async fn run(mut self, client: &kube::Client, head: &mut Head, patience: Duration) -> Turned {
        let size = head.published.checkpoint.size;
        let mut kept = anchors::vouch(&self.places, head, &self.due, patience).await;
        let is_other = |place: &Place| {
            !matches!(
                place,
                Place::Witness | Place::Timestamp | Place::EvidenceLog
            )
        };
        let others: Vec<Place> = self.due.iter().copied().filter(is_other).collect();
        kept.extend(anchors::keep(client, &self.places, head, &others, patience).await);
        let mut intact = None;
        let mut changed = self.due.contains(&Place::EvidenceLog);
        for (place, result) in &kept {
            let Some(said) = self.said.get_mut(place) else {
                continue;
            };
            let before = std::mem::replace(
                &mut said.problem,
                result
                    .as_ref()
                    .err()
                    .map(|problem| anchors::in_brief(problem)),
            );
            if result.is_ok() {
                said.size = i64::try_from(size).unwrap_or(i64::MAX);
                said.time = Some(Time(Timestamp::now()));
            }
            // A place that goes on failing is no news.
            changed |= result.is_ok() || before != said.problem;
        }
        if changed {
            self.said.remove(&Place::EvidenceLog);
            let said: Vec<AnchorStatus> = self.said.into_values().collect();
            let told = anchors::tell(client, &self.places, head, &said).await;
            intact = told.as_ref().ok().copied();
            let told = told.map(|_| ()).map_err(|error| error.to_string());
            kept.push((Place::EvidenceLog, told));
        }
        Turned {
            size,
            unpublished: head.problem.is_some(),
            intact,
            kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn two_places() -> Anchors {
        Anchors::new(Anchoring {
            places: Places {
                config_map: Some("audit".to_owned()),
                ..Places::default()
            },
            ..Anchoring::default()
        })
    }

    fn turned(size: u64, kept: Vec<(Place, Result<(), String>)>) -> Turned {
        Turned {
            size,
            unpublished: false,
            intact: None,
            kept,
        }
    }

    fn due(anchors: &Anchors, notable: u64, unpublished: bool, now: Duration) -> Vec<Place> {
        let news = News {
            notable,
            unpublished,
        };
        anchors.due(&news, now, Timestamp::UNIX_EPOCH)
    }

    fn try_all(anchors: &mut Anchors, now: Duration) {
        for kept in anchors.places.values_mut() {
            kept.tried = Some(now);
        }
    }

    #[test]
    fn what_was_appended_while_a_head_was_taken_is_told_soon() {
        let mut anchors = two_places();
        assert_eq!(due(&anchors, 3, false, FIRST.saturating_sub(SECOND)), []);
        assert_eq!(due(&anchors, 3, false, FIRST).len(), 2);
        try_all(&mut anchors, FIRST);
        // The head has three entries; a fourth was appended before it was taken.
        let both = vec![(Place::ConfigMap, Ok(())), (Place::EvidenceLog, Ok(()))];
        anchors.kept(turned(3, both));
        assert_eq!(
            due(&anchors, 4, false, (FIRST + SOON).saturating_sub(SECOND)),
            []
        );
        assert_eq!(due(&anchors, 4, false, FIRST + SOON).len(), 2);
        assert_eq!(due(&anchors, 3, false, FIRST + SOON), []);
        assert_eq!(due(&anchors, 3, false, FIRST + HOURLY).len(), 2);
    }

    #[test]
    fn a_place_that_fails_is_tried_again_alone_and_ever_more_rarely() {
        let mut anchors = two_places();
        let mut now = FIRST;
        let mut waits = Vec::new();
        try_all(&mut anchors, now);
        anchors.kept(turned(3, vec![(Place::EvidenceLog, Ok(()))]));
        for size in 4..12 {
            anchors.kept(turned(size, vec![(Place::ConfigMap, Err("no".to_owned()))]));
            let mut wait = Duration::ZERO;
            while due(&anchors, 0, false, now + wait).is_empty() {
                wait += SECOND;
            }
            assert_eq!(due(&anchors, 0, false, now + wait), [Place::ConfigMap]);
            now += wait;
            waits.push(wait.as_secs());
            anchors.places.get_mut(&Place::ConfigMap).unwrap().tried = Some(now);
            anchors.places.get_mut(&Place::EvidenceLog).unwrap().tried = Some(now);
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 600, 600, 600]);
        let kept = &anchors.places[&Place::ConfigMap];
        assert_eq!(kept.status(String::new()).size, 0, "it never took one");
        anchors.kept(turned(20, vec![(Place::ConfigMap, Ok(()))]));
        let status = anchors.places[&Place::ConfigMap].status(String::new());
        assert_eq!((status.size, status.problem), (20, None));
    }

    #[test]
    fn that_the_tree_cannot_be_written_is_told_at_once_and_once() {
        let mut anchors = two_places();
        try_all(&mut anchors, FIRST);
        let now = FIRST + SECOND;
        assert_eq!(due(&anchors, 0, true, now), [Place::EvidenceLog]);
        anchors.kept(Turned {
            unpublished: true,
            ..turned(3, vec![(Place::EvidenceLog, Ok(()))])
        });
        assert_eq!(due(&anchors, 0, true, now), []);
        assert_eq!(due(&anchors, 0, false, now), [Place::EvidenceLog]);
    }

    #[test]
    fn what_was_kept_before_a_restart_is_known() {
        let time: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let anchors = Anchors::new(Anchoring {
            places: two_places().what.places,
            known: vec![AnchorStatus {
                target: two_places().what.places.target(Place::ConfigMap),
                size: 7,
                time: Some(Time(time)),
                problem: Some("refused".to_owned()),
            }],
            ..Anchoring::default()
        });
        let kept = &anchors.places[&Place::ConfigMap];
        let status = kept.status(String::new());
        assert_eq!((status.size, status.time), (7, Some(Time(time))));
        assert_eq!(status.problem.as_deref(), Some("refused"));
        assert_eq!(anchors.places[&Place::EvidenceLog].time, None);
    }
}
