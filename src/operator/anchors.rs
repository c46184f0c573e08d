//! When heads of the log are kept elsewhere: within ten minutes of anything but heartbeats, and at least hourly.

use std::{collections::BTreeMap, time::Duration};

use tokio::sync::mpsc::Sender;

use super::Input;
use crate::{
    api::AnchorStatus,
    cluster::{
        anchors::{self, Head, Places},
        client::Connection,
    },
    evidence::{Journal, body::Epoch},
    metrics::Metrics,
};

/// With something to tell.
const SOON: Duration = Duration::from_mins(10);
/// With heartbeats alone.
const HOURLY: Duration = Duration::from_hours(1);
/// After a failure.
const AGAIN: Duration = Duration::from_secs(30);
/// For the first time after a start, when the log has said what began.
const FIRST: Duration = Duration::from_secs(15);

/// What is told of the log wherever its heads are kept.
#[derive(Debug, Clone, Default)]
pub struct Anchoring {
    /// Where.
    pub places: Places,
    /// The key that checks the log.
    pub key: String,
    /// How the log begins.
    pub epoch: Option<Epoch>,
}

/// What has been kept.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    what: Anchoring,
    under_way: bool,
    failed: bool,
    /// On the monotonic clock.
    last: Option<Duration>,
    /// Entries other than heartbeats that the journal had taken then.
    told: u64,
    /// By kind of place: when it last took a checkpoint, and whether it failed since.
    places: BTreeMap<String, (Option<Duration>, bool)>,
}

impl Anchors {
    pub(super) fn new(what: Anchoring) -> Self {
        Self {
            what,
            ..Self::default()
        }
    }

    /// Keeps the last checkpoint, if that is due.
    pub(super) fn turn(
        &mut self,
        journal: &Journal,
        connection: &Connection,
        sender: &Sender<Input>,
        now: Duration,
    ) {
        if self.under_way || !self.is_due(journal, now) {
            return;
        }
        let Some(head) = self.head(journal) else {
            return;
        };
        self.under_way = true;
        (self.last, self.told) = (Some(now), journal.notable());
        let (client, places, sender) = (
            connection.client.clone(),
            self.what.places.clone(),
            sender.clone(),
        );
        tokio::spawn(async move {
            let kept = anchors::keep(&client, &places, &head).await;
            // The operator may be stopping.
            let _ = sender.send(Input::Anchored(kept)).await;
        });
    }

    fn is_due(&self, journal: &Journal, now: Duration) -> bool {
        let wait = match self.last {
            None => return now >= FIRST,
            Some(_) if self.failed => AGAIN,
            Some(_) if journal.notable() > self.told => SOON,
            Some(_) => HOURLY,
        };
        self.last.is_none_or(|last| now >= last + wait)
    }

    /// The last checkpoint, with what is to be told of it.
    fn head(&self, journal: &Journal) -> Option<Head> {
        Some(Head {
            published: journal.published()?,
            key: self.what.key.clone(),
            epoch: self.what.epoch.clone(),
            problem: journal.publish_failure(),
        })
    }

    /// What became of it.
    pub(super) fn kept(&mut self, anchors: &[AnchorStatus], now: Duration) {
        self.under_way = false;
        self.failed = false;
        for anchor in anchors {
            let kind = anchor.target.split([' ', '/']).next().unwrap_or_default();
            let place = self.places.entry(kind.to_owned()).or_default();
            place.1 = anchor.problem.is_some();
            if anchor.problem.is_none() {
                place.0 = Some(now);
            }
            if let Some(problem) = &anchor.problem {
                self.failed = true;
                tracing::warn!(target = anchor.target, problem, "A checkpoint was not kept");
            }
        }
    }

    /// Shows how old what is kept elsewhere is.
    pub(super) fn measure(&self, metrics: &Metrics, now: Duration) {
        for (kind, (kept, failing)) in &self.places {
            let age = kept.map(|kept| now.saturating_sub(kept));
            metrics.anchor(kind, age, *failing);
        }
        let broken = self.what.epoch.as_ref();
        metrics.log_broken(broken.is_some_and(Epoch::is_break));
    }

    /// Keeps the last checkpoint of a log that is closed.
    pub(super) async fn last(self, connection: &Connection, published: crate::evidence::Published) {
        let head = Head {
            published,
            key: self.what.key,
            epoch: self.what.epoch,
            problem: None,
        };
        for anchor in anchors::keep(&connection.client, &self.what.places, &head).await {
            if let Some(problem) = anchor.problem {
                tracing::warn!(
                    target = anchor.target,
                    problem,
                    "The last checkpoint was not kept"
                );
            }
        }
    }
}
