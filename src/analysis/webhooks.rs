//! Whose webhooks a right on their configurations is about.

use super::rights::Thing;
use crate::inventory::{Inventory, Kind, Sym};

/// The kind of webhook configurations that a thing is.
pub const fn kind(thing: Thing) -> Option<Kind> {
    match thing {
        Thing::ValidatingWebhooks => Some(Kind::ValidatingWebhook),
        Thing::MutatingWebhooks => Some(Kind::MutatingWebhook),
        _ => None,
    }
}

/// Whether a right that is limited to these names is about nothing but webhooks that are served by
/// Services of `home`, the namespace of the account that holds it. One that does not exist, or
/// holds no webhook, is nobody's own.
pub fn are_own(inventory: &Inventory, thing: Thing, names: &[Sym], home: &Sym) -> bool {
    let tables = &inventory.tables;
    let table = match kind(thing) {
        Some(Kind::ValidatingWebhook) => &tables.validating_webhooks,
        Some(_) => &tables.mutating_webhooks,
        None => return false,
    };
    let is_own = |name: &Sym| {
        let hooks = table
            .get("", name)
            .map_or(&[][..], |object| &object.spec.hooks);
        let own = |namespace: &Sym| namespace == home;
        !hooks.is_empty()
            && hooks
                .iter()
                .all(|hook| hook.namespace.as_ref().is_some_and(own))
    };
    !names.is_empty() && names.iter().all(is_own)
}
