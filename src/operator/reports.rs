//! Copies statuses into reports for other tools, where policies ask for it.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::Mutex;

use super::{Input, Operator};
use crate::{
    api::ControlPolicyStatus,
    cluster::{client::CallError, open_reports::Shelf},
    inventory::Sym,
    report::open_reports::{FLAVORS, Flavor, Reported, label, name},
};

/// The reports of a policy of each flavor. Who settles them holds the lock, so that it happens in the order of the statuses.
type Shelves = Arc<Mutex<[Shelf; 2]>>;

/// What is known of the reports of policies.
#[derive(Debug, Default)]
pub(super) struct Reports {
    /// The generation of each policy for which it was last settled whether it has reports.
    settled: BTreeMap<Sym, i64>,
    shelves: BTreeMap<Sym, Shelves>,
}

impl Reports {
    /// Whether it is to be settled anew: at the begin of a term, and when the policy changed.
    fn is_news(&mut self, policy: &Sym, generation: i64) -> bool {
        self.settled.insert(policy.clone(), generation) != Some(generation)
    }

    fn shelves(&mut self, policy: &Sym, uid: &str) -> Shelves {
        let empty = || Shelf {
            name: name(policy),
            label: label(policy, uid).to_owned(),
            namespaces: None,
        };
        let shelves = self.shelves.entry(policy.clone());
        let shelves = shelves.or_insert_with(|| Arc::new(Mutex::new([empty(), empty()])));
        Arc::clone(shelves)
    }

    /// Forgets what an earlier term has settled.
    pub(super) fn forget(&mut self) {
        self.settled.clear();
        self.shelves.clear();
    }

    /// Forgets a policy that is gone. Its reports go with it.
    pub(super) fn forget_policy(&mut self, policy: &str) {
        self.settled.remove(policy);
        self.shelves.remove(policy);
    }

    /// Has the reports of a policy settled anew with its next status.
    pub(super) fn again(&mut self, policy: &Sym) {
        self.settled.remove(policy);
    }
}

/// What is to be settled of one policy.
struct Task {
    policy: Sym,
    shelves: Shelves,
    wanted: Option<(&'static Flavor, Reported)>,
    /// Whether others than the wanted ones may be there, and failures are to be told.
    news: bool,
}

impl Operator {
    /// Writes the reports that a policy wants beside its status, and deletes those that it wants no longer.
    pub(super) fn report(&mut self, policy: &Sym, status: &ControlPolicyStatus) {
        let Some((wanted, uid)) = self.engine.reports(policy) else {
            return;
        };
        let generation = status.observed_generation.unwrap_or_default();
        let wanted = Flavor::of(wanted).map(|flavor| (flavor, Reported::new(policy, uid, status)));
        let news = self.reports.is_news(policy, generation);
        if wanted.is_some() || news {
            let shelves = self.reports.shelves(policy, uid);
            self.settle_reports(Task {
                policy: policy.clone(),
                shelves,
                wanted,
                news,
            });
        }
    }

    fn settle_reports(&self, task: Task) {
        let Some(term) = self.term.clone() else {
            return;
        };
        let (client, metrics) = (self.connection.client.clone(), self.metrics.clone());
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let policy = task.policy.clone();
            let shelves = Arc::clone(&task.shelves);
            let mut shelves = shelves.lock().await;
            if !term.is_live() {
                return;
            }
            let settled = settle(&client, &mut shelves, task).await;
            let result = settled.as_ref().map_or_else(CallError::category, |()| "Ok");
            metrics.request("report", result);
            let Err(error) = settled else {
                return;
            };
            tracing::warn!(%policy, %error, "The policy's reports were not written, or not deleted");
            if error.is_transient() {
                // The next status brings the next reports.
                let _ = sender.send(Input::StatusFailed(policy)).await;
            }
        });
    }
}

async fn settle(
    client: &kube::Client,
    shelves: &mut [Shelf; 2],
    task: Task,
) -> Result<(), CallError> {
    let Task {
        policy,
        shelves: _,
        wanted,
        news,
    } = task;
    for (flavor, shelf) in FLAVORS.iter().zip(shelves) {
        match &wanted {
            Some((wanted, reported)) if *wanted == flavor => {
                let refused = shelf.write(client, flavor, reported.clone()).await;
                tell(&policy, flavor, news, refused)?;
            }
            _ if news => match shelf.clear(client, flavor).await {
                // Where nobody asked for reports, there is no right to delete any either.
                Ok(()) | Err(CallError::Forbidden { .. }) => {}
                Err(error) => return Err(error),
            },
            _ => {}
        }
    }
    Ok(())
}

/// Says what stands in the way of reports that a policy asks for; once for each generation of it.
fn tell(
    policy: &str,
    flavor: &Flavor,
    news: bool,
    written: Result<Option<CallError>, CallError>,
) -> Result<(), CallError> {
    let Flavor {
        group,
        version,
        cluster: (kind, plural),
        ..
    } = flavor;
    match written {
        Ok(Some(error)) if news => tracing::info!(
            policy, %error,
            "Not every namespace takes a report; what concerns those is in the policy's {kind}"
        ),
        Ok(_) => {}
        Err(CallError::NotFound) => {
            if news {
                tracing::warn!(
                    policy,
                    "The cluster serves no {plural}.{group}/{version}: the policy's spec.reports asks for them"
                );
            }
        }
        Err(error) => return Err(error),
    }
    Ok(())
}
