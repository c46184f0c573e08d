//! How a grant is taken away: the commands for a person, and the remedy where a whole binding may
//! go.

use super::{command, is_protected};
use crate::{
    analysis::rbac::is,
    analysis::rbac_defaults::{self, Trust},
    controls::prelude::*,
    inventory::rbac::{Binding, Holder},
};

/// A binding that gives something which its subject must not have.
pub(super) type Given<'a> = (Kind, &'a Object<Binding>);

/// The binding of this kind and name.
pub(super) fn binding<'a>(
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

/// Whether nobody who may keep the right would lose anything with the binding.
pub(super) fn is_foreign(
    context: &Context<'_>,
    binding: &Object<Binding>,
    keeps: impl Fn(&Holder) -> bool,
) -> bool {
    let subjects = &binding.spec.subjects;
    !is_protected(context.own_namespace, binding) && !subjects.iter().any(keeps)
}

/// The commands that take the grants away from `subject`: the binding as a whole where it is
/// foreign, else its place in it.
pub(super) fn commands<'a>(
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
pub(super) fn delete(kind: Kind, meta: &Meta) -> Remedy {
    Remedy::Delete {
        target: Target {
            kind,
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
        },
    }
}
