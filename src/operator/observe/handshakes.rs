//! When entry points are looked at as their clients see them, and which.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Repeated, Turn};
use crate::{
    analysis::tls::Target,
    cluster::tls,
    controls::encryption::{HANDSHAKE_INTERVAL, IngressTls, handshake_targets},
    engine::{Finding, Served},
};

/// Which entry points there are is looked up so often: it takes a walk over all of them.
const LOOK_UP: Duration = Duration::from_secs(30);
/// Handshakes at a time.
const AT_A_TIME: usize = 16;

/// When something was looked at.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    looks: Repeated,
    looked_up: Option<Duration>,
}

impl Handshakes {
    /// Looks where it is due.
    pub(super) fn turn(&mut self, turn: &Turn<'_>) {
        let due = self.looked_up.map_or(Duration::ZERO, |last| last + LOOK_UP);
        if turn.now.mono < due {
            return;
        }
        self.looked_up = Some(turn.now.mono);
        let parameters = turn.engine.parameters_of("enc-ingress-tls");
        let parameters = parameters.into_iter();
        let controls: Vec<IngressTls> = parameters
            .filter_map(|value| serde_json::from_value(value).ok())
            .filter(|control: &IngressTls| control.handshake)
            .collect();
        if controls.is_empty() {
            return;
        }
        let more = controls
            .iter()
            .map(|control| control.trusted_authorities.clone());
        let more: Vec<String> = more.collect();
        let targets: Vec<Target> = handshake_targets(turn.engine.inventory())
            .into_iter()
            .collect();
        let settings = json!([more, names(&targets)]);
        self.looks
            .turn(turn, settings, HANDSHAKE_INTERVAL, look(targets, more));
    }
}

/// What tells when there are other entry points than before.
fn names(targets: &[Target]) -> Value {
    let names = targets.iter();
    names
        .map(|t| format!("{}:{} {}", t.host, t.port, t.name))
        .collect()
}

async fn look(targets: Vec<Target>, more: Vec<String>) -> Finding {
    let roots = Arc::new(tls::authorities(&more));
    let looks = stream::iter(targets).map(|target| {
        let roots = Arc::clone(&roots);
        async move {
            let shown = tls::look(&target, Some(roots)).await;
            (target, shown)
        }
    });
    let shown = looks.buffer_unordered(AT_A_TIME).collect().await;
    Finding::Served(Served {
        at: Timestamp::now(),
        shown,
    })
}
