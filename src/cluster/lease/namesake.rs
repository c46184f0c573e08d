//! Another replica of our name: two of one name would take each other's log for a rolled-back one of their own.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use tokio::time::{Instant, sleep};

use super::{LeaseConfig, replica_of, view, within};

/// Another replica of this name leads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "another operator that is called {replica} leads in namespace {namespace}, and keeps the log of that name: give this one a --replica and a --data-dir of its own, or end the other first"
)]
pub struct Namesake {
    replica: String,
    namespace: String,
}

/// Makes sure that no operator of this name holds the lease, before its log is touched. After a crash the lease is
/// still ours by name: it is waited out, at most for its duration.
///
/// Only who leads is seen. A follower of the same name is not, nor is anybody where the lease can't be read.
///
/// # Errors
///
/// If the lease is held under this name, and renewed.
pub async fn no_namesake(client: kube::Client, config: &LeaseConfig) -> Result<(), Namesake> {
    let api: Api<Lease> = Api::namespaced(client, &config.namespace);
    let mut first: Option<(super::LeaseView, Instant)> = None;
    loop {
        // Whoever can't read the lease can't lead, and says so when it tries to.
        let lease = within(config.timing.call(), api.get_opt(&config.name)).await;
        let Some(seen) = lease.ok().flatten().map(|lease| view(&lease)) else {
            return Ok(());
        };
        let ours = |holder: &String| replica_of(holder) == config.replica;
        if !seen.holder.as_ref().is_some_and(ours) {
            return Ok(());
        }
        match &first {
            None => first = Some((seen, Instant::now())),
            Some((before, _)) if before.renewed != seen.renewed => {
                return Err(Namesake {
                    replica: config.replica.clone(),
                    namespace: config.namespace.clone(),
                });
            }
            Some((before, since)) if since.elapsed() > before.duration.min(LONGEST) => {
                return Ok(());
            }
            Some(_) => {}
        }
        sleep(config.timing.retry()).await;
    }
}

/// A lease that claims to last longer is not waited for.
const LONGEST: Duration = Duration::from_mins(1);
