//! Carries out what a round asks for: entries first, then writes, statuses and events.

use std::time::Instant;

use super::{Input, LOG_RETRY, Operator};
use crate::{
    api::{ControlPolicyStatus, EvidencePosition},
    cluster::{
        apply,
        client::CallError,
        drill,
        status::{write_remark, write_status},
    },
    engine::{Action, ActionResult, DrillWrite, Event, Now, Remark, Round, Step},
    evidence::{
        Record,
        journal::{Answer, Durable, News},
    },
    inventory::Sym,
    telemetry::spans,
};

impl Operator {
    /// Carries out what a round asks for.
    pub(super) fn carry(&mut self, round: Round, now: Now) {
        let Round {
            records,
            actions,
            drills,
            statuses,
            remarks,
            notices,
            measures,
            changed,
            gone,
            periods,
            next: _,
        } = round;
        tracing::Span::current()
            .record("records", records.len())
            .record("actions", actions.len())
            .record("statuses", statuses.len());
        let durable = self.append(records);
        for action in actions {
            self.act(action, durable.clone(), now);
        }
        for write in drills {
            self.drill(write, durable.clone());
        }
        for (name, mut status) in statuses {
            let position = EvidencePosition {
                log: self.options.replica.clone(),
                seq: i64::try_from(self.journal.position().saturating_sub(1)).unwrap_or(i64::MAX),
            };
            status.evidence = Some(position.clone());
            self.engine.status_sent(&name, position);
            self.report(&name, &status);
            self.write_status(name, status);
        }
        for remark in remarks {
            self.write_remark(remark);
        }
        for notice in notices {
            // Followers judge too, but only the leader speaks. A full queue drops Events, never
            // evidence.
            if self.term.is_some() {
                let (subject, policy) = self.engine.uids(&notice);
                if self.notices.try_send((notice, subject, policy)).is_err() {
                    self.metrics.request("event", "Dropped");
                }
            }
        }
        self.metrics.count(&measures, self.origin.elapsed());
        for policy in gone {
            self.metrics.forget_policy(Some(&policy));
            self.policies.remove(&policy);
            self.reports.forget_policy(&policy);
        }
        if self.term.is_some() {
            for policy in changed {
                self.metrics.policy(&self.engine, &policy);
            }
            if periods {
                self.metrics.periods(&self.engine);
            }
        }
    }

    fn append(&mut self, records: Vec<Record>) -> Option<Durable> {
        if records.is_empty() {
            return None;
        }
        self.metrics.logged(records.len());
        let span = spans::append(records.len());
        let durable = self.journal.append(records);
        let (waiting, metrics, began) = (durable.clone(), self.metrics.clone(), Instant::now());
        tokio::spawn(async move {
            let written = waiting.await.is_ok();
            span.record("result", if written { "Ok" } else { "Failed" });
            if written {
                metrics.synced(began.elapsed());
            }
        });
        Some(durable)
    }

    /// Sends one step of a remedy to the API server, under the term.
    fn act(&self, action: Action, durable: Option<Durable>, now: Now) {
        let Some(term) = self.term.clone() else {
            return;
        };
        let (client, sender) = (self.connection.client.clone(), self.sender.clone());
        let metrics = self.metrics.clone();
        if action.caused_at == now.received {
            metrics.processed(self.origin.elapsed().saturating_sub(action.caused_at));
        }
        let verb = match action.step {
            Step::Archive => "archive",
            Step::DryRun => "dryrun",
            Step::Write => "write",
        };
        let span = spans::write(verb, action.remedy.target().kind.info().kind);
        tokio::spawn(async move {
            let (id, result) = apply::write(client, term, durable, action).await;
            metrics.request(verb, finished(&span, &result));
            // The loop is gone only when the operator stops; the restart resolves the intent.
            let _ = sender.send(Input::Action(id, result)).await;
        });
    }

    /// Sends a write of a restore drill to the API server, under the term.
    fn drill(&self, write: DrillWrite, durable: Option<Durable>) {
        let Some(term) = self.term.clone() else {
            return;
        };
        let (client, sender) = (self.connection.client.clone(), self.sender.clone());
        let metrics = self.metrics.clone();
        let span = spans::write("drill", write.spot.kind);
        tokio::spawn(async move {
            let (id, result) = drill::write(client, term, durable, write).await;
            metrics.request("drill", finished(&span, &result));
            // The loop is gone only when the operator stops; the restart resolves the intent.
            let _ = sender.send(Input::Action(id, result)).await;
        });
    }

    fn write_status(&self, name: Sym, status: ControlPolicyStatus) {
        let Some(term) = self.term.clone() else {
            return;
        };
        let (client, sender) = (self.connection.client.clone(), self.sender.clone());
        let metrics = self.metrics.clone();
        let span = spans::write("status", "ControlPolicy");
        tokio::spawn(async move {
            if !term.is_live() {
                return;
            }
            let written = write_status(&client, &name, &status).await;
            let result = written.as_ref().map_or_else(CallError::category, |()| "Ok");
            metrics.request("status", result);
            span.record("result", result);
            if let Err(error) = written {
                tracing::warn!(policy = %name, %error, "The status was not written; trying again");
                let _ = sender.send(Input::StatusFailed(name)).await;
            }
        });
    }

    fn write_remark(&self, remark: Remark) {
        let Some(term) = self.term.clone() else {
            return;
        };
        let (client, sender) = (self.connection.client.clone(), self.sender.clone());
        let metrics = self.metrics.clone();
        let span = spans::write("status", remark.key.kind.kind());
        tokio::spawn(async move {
            if !term.is_live() {
                return;
            }
            let written = write_remark(&client, &remark).await;
            let result = written.as_ref().map_or_else(CallError::category, |()| "Ok");
            metrics.request("status", result);
            span.record("result", result);
            if let Err(error) = written {
                let (kind, name) = (remark.key.kind.kind(), &remark.key.name);
                tracing::warn!(kind, %name, %error, "The status was not written; trying again");
                let _ = sender.send(Input::RemarkFailed(remark.key)).await;
            }
        });
    }

    /// Takes in what became of something that was asked of the log.
    pub(super) fn answered(&mut self, answer: Option<Answer>) {
        let now = self.now();
        let news = answer.and_then(|answer| self.journal.answered(answer, now.wall));
        match news {
            None => return,
            Some(News::Failing(why)) => {
                tracing::error!(%why, "The evidence log can't be written: nothing is put back until it can");
                self.metrics.log_failing(true);
                self.engine.apply(Event::Log(Err(why.to_string())), now);
            }
            Some(News::Healthy) => {
                tracing::info!("The evidence log can be written again");
                self.metrics.log_failing(false);
                self.engine.apply(Event::Log(Ok(())), now);
            }
        }
        self.log_retry_at = now.mono + LOG_RETRY;
    }
}

/// Notes in its span how a step ended, and returns it as the metrics have it.
fn finished(span: &tracing::Span, result: &ActionResult) -> &'static str {
    let result = match result {
        ActionResult::Failed(_) => "Failed",
        _ => "Ok",
    };
    span.record("result", result);
    result
}
