//! Who has left the organisation, and what still names them.

use super::judged_user;
use crate::{
    controls::prelude::*,
    engine::{Leavers, MapName},
    inventory::rbac::Holder,
};

/// The `ConfigMap` that lists who has left: the names of users, one on each line of each of its
/// keys. Empty lines, and lines that begin with `#`, are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeaversConfigMap {
    /// Its namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,

    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// What the API server puts before the names of the identity provider, such as `oidc:`, where
    /// the list holds them without.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 128))]
    pub user_prefix: String,
}

/// A list that was read longer ago says nothing: it is read once a minute.
const STALE: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

/// Subjects of a binding, by place, who have left; and until when that is known, where a list was asked.
pub(super) type Left<'a> = (Vec<(usize, &'a str)>, Option<Timestamp>);

impl LeaversConfigMap {
    /// Its namespace and name.
    pub fn name(&self) -> MapName {
        (self.namespace.clone(), self.name.clone())
    }

    /// The subjects of a binding who have left, by place. `Err` is a sentence that says why that
    /// can't be told.
    pub(super) fn among<'a>(
        &self,
        context: &Context<'_>,
        judged: &[(usize, &'a Holder)],
    ) -> Result<Left<'a>, String> {
        let mut users = judged.iter().filter_map(|(place, holder)| {
            let name = judged_user(holder)?;
            Some((*place, name))
        });
        let stale = |at: &Timestamp| at.saturating_add(STALE).unwrap_or(Timestamp::MAX);
        let (listed, until) = match context.observed.leavers.get(&self.name()) {
            Some(Leavers::Listed { at, names }) if context.now < stale(at) => (names, stale(at)),
            seen => {
                if users.next().is_none() {
                    return Ok((Vec::new(), None));
                }
                let why = match seen {
                    Some(Leavers::NotSeen(why)) => why.clone(),
                    Some(Leavers::Listed { at, .. }) => format!("it was last read at {at}"),
                    None => "nobody has looked at it yet".to_owned(),
                };
                return Err(format!(
                    "whether the users that it names have left can't be told: ConfigMap {}/{}: \
                     {why}",
                    self.namespace, self.name
                ));
            }
        };
        let has_left = |name: &str| {
            let bare = name.strip_prefix(&*self.user_prefix).unwrap_or(name);
            [name, bare]
                .iter()
                .any(|name| listed.contains(&*name.to_lowercase()))
        };
        let mut asked = false;
        let users = users.inspect(|_| asked = true);
        let left = users.filter(|(_, name)| has_left(name)).collect();
        Ok((left, asked.then_some(until)))
    }
}
