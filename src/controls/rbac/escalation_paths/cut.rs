//! What ends a path: taking away what gives its first step.

use crate::{
    analysis::{
        escalation::{How, Path, Place},
        rbac::is,
        rbac_defaults::Trust,
        rights::Grant,
    },
    controls::{
        prelude::*,
        restricted::{self, revoke},
    },
};

/// Whether a binding may give the right for a step where it is taken.
fn gives(grant: &Grant<'_>, how: How, place: &Place) -> bool {
    let there = grant.namespace.is_empty()
        || matches!(place, Place::In(namespace) if grant.namespace == namespace);
    there
        && how.needs().any(|(thing, verbs)| {
            let powers = grant.powers.on(thing);
            // That server-side apply creates takes `patch` as well, which another may give.
            let mut held = powers.map(|power| power.verbs(|| true));
            grant.reaches(thing) && held.any(|held| held.has(verbs))
        })
}

/// What to do about a path. The command is for the one binding that gives its first step; of
/// several, which ones do is for a person to tell.
pub(super) fn proposal(context: &Context<'_>, subject: &Subject, path: &Path) -> String {
    let instead =
        "limit its role to what is needed, or move what it leads to out of its reach; else";
    let untouched = super::is_default(context, subject);
    let grants = context.analyses.rights().grants(subject).filter(|grant| {
        // What Kubernetes gives begins no path as long as nobody added to it.
        let passed = untouched && restricted::trust(context, grant, subject) == Trust::BuiltIn;
        let first = path.steps.first();
        !passed && first.is_some_and(|first| gives(grant, first.how, &first.place))
    });
    let bindings = grants.filter_map(|grant| {
        let found = revoke::binding(context.inventory, grant.kind, grant.namespace, grant.name)?;
        Some((grant.kind, found))
    });
    let bindings: Vec<revoke::Given<'_>> = bindings.collect();
    match &*bindings {
        [] => format!("{instead} take the right for the first step away from it"),
        [only] => {
            let alone = |binding: &Object<_>| {
                revoke::is_foreign(context, binding, |holder| !is(holder, subject))
            };
            let command = revoke::commands(context, [*only], subject, alone);
            format!("{instead} take the right for the first step away: {command}")
        }
        several => {
            let named = several
                .iter()
                .take(8)
                .map(|(kind, binding)| Subject::of(*kind, &binding.meta).to_string());
            let named: Vec<String> = named.collect();
            format!(
                "{instead} take it out of those of its bindings that give the right for the first \
                 step; these may: {}",
                named.join(", ")
            )
        }
    }
}
