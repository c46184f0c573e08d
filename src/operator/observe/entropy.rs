//! Anti-entropy: lists what the watches should hold, and compares.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use tokio::{sync::mpsc::Sender, task::JoinHandle};

use super::{Input, Source, Turn};
use crate::{
    cluster::watch::list_metadata,
    inventory::{Availability, Kind, Sym, entropy::Listed},
};

/// After a kind was listed, the watch gets so long to deliver before a difference counts.
const SECOND_LOOK: Duration = Duration::from_secs(5);
/// At the start, the first list of a kind waits so long.
const FIRST_LOOK: Duration = Duration::from_secs(30);

/// When each kind was listed last.
#[derive(Debug, Default)]
pub(super) struct Entropy {
    due: BTreeMap<Kind, (Duration, Timestamp)>,
    listing: Option<JoinHandle<()>>,
}

impl Entropy {
    /// Lists one kind at a time, the one that was listed longest ago.
    pub(super) fn turn(&mut self, turn: &Turn<'_>) {
        if self
            .listing
            .as_ref()
            .is_some_and(|task| !task.is_finished())
        {
            return;
        }
        let kinds = turn.engine.needed_kinds();
        self.due.retain(|kind, _| kinds.contains(kind));
        for kind in kinds {
            let first = turn.now.mono + FIRST_LOOK.min(turn.verify_every);
            let due = self.due.entry(kind).or_insert((first, turn.now.wall));
            let synced = *turn.engine.inventory().freshness.of(kind) == Availability::Synced;
            if !synced || turn.now.mono < due.0 {
                continue;
            }
            let next = (turn.now.mono + turn.verify_every, turn.now.wall);
            let (_, since) = std::mem::replace(due, next);
            let (client, sender) = (turn.connection.client.clone(), turn.sender.clone());
            self.listing = Some(tokio::spawn(list(kind, since, client, sender)));
            return;
        }
    }
}

/// Has the same list compared again a little later.
pub(in crate::operator) fn look_again(
    kind: Kind,
    listed: Listed,
    suspects: Vec<(Sym, Sym)>,
    since: Timestamp,
    sender: &Sender<Input>,
) {
    let sender = sender.clone();
    tokio::spawn(async move {
        tokio::time::sleep(SECOND_LOOK).await;
        let again = Input::Listed {
            kind,
            listed,
            suspects: Some(suspects),
            since,
        };
        let _ = sender.send(again).await; // the operator may be stopping
    });
}

async fn list(kind: Kind, since: Timestamp, client: kube::Client, sender: Sender<Input>) {
    let resource = Source::Kind(kind).resource();
    match list_metadata(&client, &resource).await {
        Ok((rv, objects)) => {
            let Some(listed) = Listed::new(&rv, objects) else {
                tracing::warn!(
                    kind = kind.info().kind,
                    "A list has versions that are no numbers"
                );
                return;
            };
            let listed = Input::Listed {
                kind,
                listed,
                suspects: None,
                since,
            };
            let _ = sender.send(listed).await; // the operator may be stopping
        }
        Err(error) => {
            tracing::debug!(kind = kind.info().kind, %error, "An anti-entropy list failed");
        }
    }
}
