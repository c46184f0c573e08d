//! A request, and whether a rule allows it: exactly as the API server's RBAC authorizer does it.

use super::power::covers;
use crate::inventory::{Sym, rbac::Rule};

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// The verb.
    pub verb: &'a str,
    /// On what.
    pub target: Target<'a>,
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// Objects.
    Resource {
        /// API group.
        group: &'a str,
        /// Resource, with its subresource: `pods/exec`.
        resource: &'a str,
        /// Namespace; empty at cluster scope.
        namespace: &'a str,
        /// Name; empty where the request carries none.
        name: &'a str,
    },
    /// A path that is no resource.
    Url(&'a str),
}

impl Request<'_> {
    /// The namespace whose `RoleBinding`s count; empty where none do.
    pub const fn namespace(&self) -> &str {
        match self.target {
            Target::Resource { namespace, .. } => namespace,
            Target::Url(_) => "",
        }
    }

    /// Whether a rule allows it.
    pub fn is_in(&self, rule: &Rule) -> bool {
        let has = |list: &[Sym], item: &str| list.iter().any(|x| **x == *item || **x == *"*");
        if !has(&rule.verbs, self.verb) {
            return false;
        }
        match self.target {
            Target::Resource {
                group,
                resource,
                name,
                ..
            } => {
                let named = || rule.names.iter().any(|listed| **listed == *name);
                has(&rule.groups, group)
                    && covers(rule, resource)
                    && (rule.names.is_empty() || named())
            }
            Target::Url(path) => rule.urls.iter().any(|listed| {
                let prefix = listed.strip_suffix('*');
                **listed == *path || prefix.is_some_and(|_| in_tree(listed, path))
            }),
        }
    }
}

/// Whether a path lies below a pattern that ends with `*`.
fn in_tree(pattern: &str, path: &str) -> bool {
    path.starts_with(pattern.trim_end_matches('*'))
}
