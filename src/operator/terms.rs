//! Terms: what this process does when it begins to lead, and when it no longer does.

use std::time::Duration;

use super::{Input, Operator};
use crate::{
    cluster::{
        anchors,
        lease::{Leadership, Term},
    },
    engine::{Event, Now},
    evidence::{
        Record,
        body::{self, Anchored, Body},
    },
};

/// A term begins without the head of the log that it follows if that is not told within this time.
const PREDECESSOR: Duration = Duration::from_secs(2);

impl Operator {
    /// Follows the lease; returns whether this process leads since now, or no longer does.
    pub(super) fn leadership(&mut self, now: Now) -> bool {
        let was = self.term.as_ref().map(Term::number);
        let term = self.candidate.term();
        let is = term.as_ref().map(Term::number);
        if was == is {
            return false;
        }
        if was.is_some() {
            self.engine.apply(Event::Following, now);
            self.metrics.forget_policy(None);
            self.metrics.forget_periods();
        }
        self.reports.forget();
        self.metrics.leading(is.is_some());
        self.term = term;
        if let Some(term) = is {
            self.begin_term(term, now);
        } else {
            tracing::warn!("This replica leads no longer");
        }
        true
    }

    fn begin_term(&mut self, term: u64, now: Now) {
        tracing::info!(term, "This replica leads");
        if !std::mem::replace(&mut self.started, true) {
            let start = Body::Start(self.options.start.clone());
            drop(self.journal.append(vec![Record::new(now.wall, start)]));
        }
        let predecessor = match &*self.candidate.leadership().borrow() {
            Leadership::Leader { predecessor, .. } => predecessor.clone(),
            Leadership::Follower { .. } => None,
        };
        let said = body::Term {
            holder: self.options.replica.as_str().into(),
            epoch: term,
            predecessor,
            before: None,
        };
        match said.other().map(str::to_owned) {
            Some(other) => self.ask_for_head(other, said),
            None => self.lead(said, now),
        }
    }

    /// The engine leads, unless the term has ended meanwhile.
    pub(super) fn lead(&mut self, said: body::Term, now: Now) {
        if self.term.as_ref().map(Term::number) == Some(said.epoch) {
            self.engine.apply(Event::Leading(said), now);
        }
    }

    /// Asks for the head of the log of the replica that led before. The term begins with the answer, or without one.
    fn ask_for_head(&self, replica: String, mut said: body::Term) {
        let client = self.connection.client.clone();
        let places = self.options.anchoring.places.clone();
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let asked = anchors::of_replica(&client, &places, &replica);
            let told = tokio::time::timeout(PREDECESSOR, asked).await;
            said.before = told_head(&replica, told);
            // Nobody takes it in where the operator has stopped.
            let _ = sender.send(Input::Leads(said)).await;
        });
    }
}

fn told_head<E: std::fmt::Display>(
    replica: &str,
    told: Result<Result<Option<Anchored>, E>, tokio::time::error::Elapsed>,
) -> Option<Anchored> {
    let problem = match told {
        Ok(Ok(head)) => return head,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", PREDECESSOR.as_secs()),
    };
    tracing::warn!(
        replica,
        problem,
        "The term does not say how the log before it ended"
    );
    None
}
