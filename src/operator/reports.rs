//! Copies statuses into reports of `OpenReports`, where policies ask for it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Input, Operator};
use crate::{
    api::ControlPolicyStatus,
    cluster::{client::CallError, open_reports},
    inventory::Sym,
    report::open_reports::{name, report},
};

/// The generation of each policy for which it was last settled whether it has a report.
#[derive(Debug, Default)]
pub(super) struct Reports {
    settled: BTreeMap<Sym, i64>,
}

impl Reports {
    /// Whether it is to be settled anew: at the begin of a term, and when the policy changed.
    fn is_news(&mut self, policy: &Sym, generation: i64) -> bool {
        self.settled.insert(policy.clone(), generation) != Some(generation)
    }

    /// Forgets what an earlier term has settled.
    pub(super) fn forget(&mut self) {
        self.settled.clear();
    }
}

impl Reports {
    /// Has the report of a policy settled anew with its next status.
    pub(super) fn again(&mut self, policy: &Sym) {
        self.settled.remove(policy);
    }
}

impl Operator {
    /// Writes the report that a policy wants beside its status, or deletes the one that it wants no
    /// longer.
    pub(super) fn report(&mut self, policy: &Sym, status: &ControlPolicyStatus) {
        let Some((wanted, uid)) = self.engine.reports(policy) else {
            return;
        };
        let generation = status.observed_generation.unwrap_or_default();
        let content = wanted.then(|| report(policy, uid, status));
        let news = self.reports.is_news(policy, generation);
        if wanted || news {
            self.settle_report(policy.clone(), content);
        }
    }

    fn settle_report(&self, policy: Sym, content: Option<Value>) {
        let Some(term) = self.term.clone() else {
            return;
        };
        let (client, metrics) = (self.connection.client.clone(), self.metrics.clone());
        let sender = self.sender.clone();
        tokio::spawn(async move {
            if !term.is_live() {
                return;
            }
            let name = name(&policy);
            let settled = match &content {
                Some(report) => open_reports::write(&client, &name, report).await,
                None => open_reports::remove(&client, &name).await,
            };
            let result = settled.as_ref().map_or_else(CallError::category, |()| "Ok");
            metrics.request("report", result);
            match settled {
                Ok(()) => {}
                // Where nobody asked for a report, there is no right to delete one either.
                Err(CallError::Forbidden { .. }) if content.is_none() => {}
                Err(CallError::NotFound) => tracing::warn!(
                    %policy,
                    "The cluster serves no clusterreports.openreports.io/v1alpha1: the policy's spec.reports asks for one"
                ),
                Err(error) => {
                    tracing::warn!(%policy, %error, "The policy's ClusterReport was not written");
                    if error.is_transient() {
                        // The next status brings the next report.
                        let _ = sender.send(Input::StatusFailed(policy)).await;
                    }
                }
            }
        });
    }
}
