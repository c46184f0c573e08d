//! What Kubernetes itself gives: its own bindings, and what the roles of these hold by default.

use super::revoke;
use crate::{
    analysis::{
        rbac::is,
        rbac_defaults::{self, Trust},
        rights::{Grant, Power, Powers, Verbs},
    },
    controls::prelude::*,
};

/// The verbs that a default role gives on what a power is about.
pub(super) fn given(default: &Powers, power: &Power) -> Verbs {
    let wide = default.on(power.thing).filter(|theirs| {
        theirs.names.is_empty()
            || (!power.names.is_empty() && power.names.iter().all(|name| theirs.is_for(name)))
    });
    wide.fold(Verbs::default(), |all, theirs| {
        all.or(theirs.verbs(|| true))
    })
}

/// Whether Kubernetes itself gives a grant to `subject`.
pub(in crate::controls) fn trust(
    context: &Context<'_>,
    grant: &Grant<'_>,
    subject: &Subject,
) -> Trust {
    if !grant.marked {
        return Trust::Custom;
    }
    let Some(binding) = revoke::binding(context.inventory, grant.kind, grant.namespace, grant.name)
    else {
        return Trust::Custom;
    };
    let minor = context.observed.server_minor;
    let holders = binding.spec.subjects.iter().filter(|h| is(h, subject));
    let mut trusts = holders.map(|h| rbac_defaults::grant(minor, grant.kind, binding, h));
    // A name that spells an account may stand beside the account: one default place suffices.
    trusts
        .clone()
        .find(|trust| *trust == Trust::BuiltIn)
        .or_else(|| trusts.next())
        .unwrap_or(Trust::Custom)
}

/// What the role of one of Kubernetes' own bindings holds by default.
pub(super) fn default_powers(context: &Context<'_>, grant: &Grant<'_>) -> Powers {
    let kind = grant.role_kind();
    rbac_defaults::of(context.observed.server_minor)
        .and_then(|defaults| defaults.powers(kind, grant.role_namespace, grant.role))
        .unwrap_or_default()
}
