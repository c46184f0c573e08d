//! Another replica of our name: two of one name would take each other's log for a rolled-back one of their own.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use tokio::time::{Instant, sleep};

use super::{CallError, LeaseConfig, LeaseView, replica_of, view, within};

/// A lease that claims to last longer is not waited for.
const LONGEST: Duration = Duration::from_mins(1);

/// Why the log of a replica must not be touched.
#[derive(Debug, thiserror::Error)]
pub enum Namesake {
    /// Another operator of this name leads.
    #[error(
        "another operator that is called {replica} leads in namespace {namespace}, and keeps the log of that name: give this one a --replica and a --data-dir of its own, or end the other first"
    )]
    Leads {
        /// The name.
        replica: String,
        /// Where the lease is.
        namespace: String,
    },
    /// Nobody knows who leads.
    #[error("whether another operator of this name leads can't be seen: {0}")]
    NotSeen(CallError),
}

/// Makes sure that no operator of this name holds the lease, before its log is touched. After a crash the lease is
/// still ours by name: it is waited out, at most for its duration.
///
/// Only who leads is seen: a follower of the same name is not.
///
/// # Errors
///
/// If the lease is held under this name, and renewed; or if it can't be read for a reason that may pass.
pub async fn no_namesake(client: kube::Client, config: &LeaseConfig) -> Result<(), Namesake> {
    let api: Api<Lease> = Api::namespaced(client, &config.namespace);
    let mut first: Option<(LeaseView, Instant)> = None;
    loop {
        let lease = within(config.timing.call(), api.get_opt(&config.name)).await;
        let seen = match lease {
            Ok(Some(lease)) => view(&lease),
            // Whoever may not read the lease can't lead, and says so when it tries to.
            Ok(None) | Err(CallError::Forbidden { .. }) => return Ok(()),
            Err(error) => return Err(Namesake::NotSeen(error)),
        };
        let ours = |holder: &String| replica_of(holder) == config.replica;
        if !seen.holder.as_ref().is_some_and(ours) {
            return Ok(());
        }
        let (before, since) = first.get_or_insert_with(|| (seen.clone(), Instant::now()));
        if before.renewed != seen.renewed {
            return Err(Namesake::Leads {
                replica: config.replica.clone(),
                namespace: config.namespace.clone(),
            });
        }
        if since.elapsed() > before.duration.min(LONGEST) {
            return Ok(());
        }
        sleep(config.timing.retry()).await;
    }
}
