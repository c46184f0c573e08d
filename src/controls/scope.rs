//! Which namespaces a policy covers.

use crate::inventory::{Inventory, selector::Selector};

/// System namespaces that are out of scope unless a policy names them.
pub const SYSTEM: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// Namespaces that a policy covers.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// Labels that they must have; empty selects all.
    pub selector: Selector,
    /// If not empty, only these.
    pub include: Vec<String>,
    /// Never these.
    pub exclude: Vec<String>,
    /// The namespace that Probity runs in: out of scope unless included by name.
    pub own: String,
    /// The namespace that restore drills make: while it is theirs, likewise.
    pub sandbox: Option<String>,
}

impl Scope {
    /// Why the namespace is not covered, for people; `None` if it is.
    pub fn exclusion(&self, inventory: &Inventory, namespace: &str) -> Option<&'static str> {
        if self.covers(inventory, namespace) {
            return None;
        }
        let listed = |names: &[String]| names.iter().any(|name| name == namespace);
        Some(if listed(&self.exclude) {
            "listed in spec.scope.exclude"
        } else if !self.include.is_empty() && !listed(&self.include) {
            "not listed in spec.scope.include"
        } else if self.is_system(namespace) && !listed(&self.include) {
            "a system namespace"
        } else if self.is_sandbox(inventory, namespace) && !listed(&self.include) {
            "the sandbox of a restore drill"
        } else {
            "not matched by spec.scope.namespaceSelector"
        })
    }

    /// Whether the namespace is covered.
    pub fn covers(&self, inventory: &Inventory, namespace: &str) -> bool {
        if self.exclude.iter().any(|name| name == namespace) {
            return false;
        }
        let named = self.include.iter().any(|name| name == namespace);
        let others = || self.is_system(namespace) || self.is_sandbox(inventory, namespace);
        if !named && (!self.include.is_empty() || others()) {
            return false;
        }
        self.selector.is_empty()
            || inventory
                .meta(crate::inventory::Kind::Namespace, "", namespace)
                .is_some_and(|meta| self.selector.matches(&meta.labels))
    }

    /// Whether a restore drill made the namespace. Of one that is gone some objects may still be
    /// known.
    fn is_sandbox(&self, inventory: &Inventory, namespace: &str) -> bool {
        self.sandbox.as_deref() == Some(namespace)
            && inventory
                .meta(crate::inventory::Kind::Namespace, "", namespace)
                .is_none_or(super::backup::drill::is_drill)
    }

    /// Whether the namespace is the system's or our own.
    pub fn is_system(&self, namespace: &str) -> bool {
        SYSTEM.contains(&namespace) || (!self.own.is_empty() && namespace == self.own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(scope: &Scope, namespace: &str) -> bool {
        scope.covers(&Inventory::default(), namespace)
    }

    #[test]
    fn by_default_all_but_system_namespaces_are_covered() {
        let scope = Scope {
            own: "probity-system".into(),
            ..Scope::default()
        };
        assert!(covers(&scope, "shop"));
        // Anyone may create a namespace with this prefix: only the exact names are the system's.
        assert!(covers(&scope, "kube-shop"));
        assert!(!covers(&scope, "kube-system"));
        assert!(!covers(&scope, "probity-system"));
    }

    #[test]
    fn a_system_namespace_can_be_named() {
        let scope = Scope {
            include: vec!["kube-system".into()],
            ..Scope::default()
        };
        assert!(covers(&scope, "kube-system"));
        assert!(!covers(&scope, "shop"));
    }
}
