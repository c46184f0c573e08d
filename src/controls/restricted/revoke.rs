//! How a grant is taken away: the commands for a person, and the remedy where a whole binding may
//! go.

use super::command;
use crate::{
    analysis::rbac::is,
    analysis::rbac_defaults::{self, BOOTSTRAPPING, Trust},
    controls::prelude::*,
    inventory::rbac::{Binding, Holder},
};

/// A binding that gives something which its subject must not have.
pub(in crate::controls) type Given<'a> = (Kind, &'a Object<Binding>);

/// The binding of this kind and name.
pub(in crate::controls) fn binding<'a>(
    inventory: &'a Inventory,
    kind: Kind,
    namespace: &str,
    name: &str,
) -> Option<&'a Object<Binding>> {
    let tables = &inventory.tables;
    match kind {
        Kind::RoleBinding => tables.role_bindings.get(namespace, name),
        _ => tables.cluster_role_bindings.get("", name),
    }
}

/// Whether a binding is one that is never deleted: Kubernetes' own, or one that Probity itself
/// needs. The label is enough here: what it protects wrongly becomes a proposal.
pub(in crate::controls) fn is_protected(own_namespace: &str, binding: &Object<Binding>) -> bool {
    let labels = &binding.meta.labels;
    let released = labels.get("app.kubernetes.io/managed-by") == Some("Helm")
        && labels.get("app.kubernetes.io/name") == Some("probity");
    let own = |namespace: &str| !own_namespace.is_empty() && namespace == own_namespace;
    let names_us = binding.spec.subjects.iter().any(|holder| {
        let account = crate::analysis::rbac::account(&holder.name);
        match &*holder.kind {
            "ServiceAccount" => own(&holder.namespace),
            "User" => account.is_some_and(|(namespace, _)| own(namespace)),
            // Bootstrapping goes through this group, whatever the binding is called.
            "Group" => &*holder.name == "system:masters",
            _ => false,
        }
    });
    labels.get(BOOTSTRAPPING).is_some() || binding.meta.owners.ours || released || names_us
}

/// Whether nobody who may keep the right would lose anything with the binding.
pub(in crate::controls) fn is_foreign(
    context: &Context<'_>,
    binding: &Object<Binding>,
    keeps: impl Fn(&Holder) -> bool,
) -> bool {
    let subjects = &binding.spec.subjects;
    !is_protected(context.own_namespace, binding) && !subjects.iter().any(keeps)
}

/// The commands that take the grants away from `subject`: the binding as a whole where it is
/// foreign, else its place in it.
pub(in crate::controls) fn commands<'a>(
    context: &Context<'_>,
    given: impl IntoIterator<Item = Given<'a>>,
    subject: &Subject,
    is_foreign: impl Fn(&Object<Binding>) -> bool,
) -> String {
    let minor = context.observed.server_minor;
    let commands = given.into_iter().map(|(kind, binding)| {
        let (meta, spec) = (&binding.meta, &binding.spec);
        let default = |h: &Holder| rbac_defaults::grant(minor, kind, binding, h) == Trust::BuiltIn;
        if spec.subjects.iter().any(|h| is(h, subject) && default(h)) {
            // The binding comes back by itself; what is wrong is what its role holds.
            let home: &str = if *spec.role_kind == *"Role" {
                &meta.namespace
            } else {
                ""
            };
            let role = if home.is_empty() {
                Kind::ClusterRole
            } else {
                Kind::Role
            };
            return command::edit(role, home, &spec.role);
        }
        if is_foreign(binding) {
            return command::delete(kind, &meta.namespace, &meta.name);
        }
        let places = spec.subjects.iter().enumerate();
        let places = places.filter(|(_, h)| is(h, subject));
        let places: Vec<usize> = places.map(|(place, _)| place).collect();
        command::remove_subjects(kind, binding, &places)
    });
    commands.take(8).collect::<Vec<_>>().join("; ")
}

/// The deletion of a binding.
pub(in crate::controls) fn delete(kind: Kind, meta: &Meta) -> Remedy {
    Remedy::Delete {
        target: Target {
            kind,
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
        },
    }
}
