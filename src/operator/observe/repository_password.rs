//! When the password of Velero's repositories is looked at.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use super::{Repeated, Turn};
use crate::{
    cluster::repository_password, controls::backup::RepoSecretNotDefault, engine::Finding,
};

/// It changes when somebody changes it.
const INTERVAL: Duration = Duration::from_mins(10);

/// Looks where it is due, in the namespaces of all policies.
pub(super) fn turn(probe: &mut Repeated, turn: &Turn<'_>) {
    let settings = turn.engine.parameters_of("backup-repo-secret-not-default");
    let parameters = settings
        .iter()
        .filter_map(|value| serde_json::from_value::<RepoSecretNotDefault>(value.clone()).ok());
    let namespaces: BTreeSet<String> = parameters.map(|control| control.namespace).collect();
    let namespaces: Vec<String> = namespaces.into_iter().collect();
    let client = turn.connection.client.clone();
    probe.turn(turn, Value::Array(settings), INTERVAL, async move {
        Finding::RepositoryPasswords(repository_password::look(&client, &namespaces).await)
    });
}
