//! The shape of controls about rights: only allowed identities effectively hold a right.
//!
//! A control of this shape says which rights, where they count and what names mean; who holds
//! them, what Kubernetes itself gives, allowances, groups of accounts, commands and deletions are
//! the same for all.

mod accounts;
pub(in crate::controls) mod allowed;
mod builtin;
pub(in crate::controls) mod command;
pub(in crate::controls) mod revoke;
#[cfg(test)]
pub(in crate::controls) mod testing;

use std::borrow::Cow;

pub use self::allowed::{AllowedSubject, IdentityKind};
use self::builtin::{default_powers, given};
pub(in crate::controls) use self::{accounts::members, builtin::trust};
use crate::{
    analysis::{
        Derived,
        rbac::identity_in,
        rbac_defaults::Trust,
        rights::{Grant, Thing, Verbs},
    },
    controls::prelude::*,
    inventory::rbac::{Binding, Holder},
};

/// Kinds that a control of this shape reads by itself: the bindings that it may delete, and the
/// accounts that it counts. The rest is read by the analysis.
pub(in crate::controls) const READS: [Kind; 3] = [
    Kind::RoleBinding,
    Kind::ClusterRoleBinding,
    Kind::ServiceAccount,
];

/// What such a control may delete.
pub(in crate::controls) const DELETES: [Write; 2] = [
    Write::delete(Kind::RoleBinding),
    Write::delete(Kind::ClusterRoleBinding),
];

/// Whether further objects of a kind only ever add ways to become somebody. Webhooks take one from
/// whoever may write those of a name only: those may prove to be its own.
pub(in crate::controls) const fn adds_up(kind: Kind) -> bool {
    matches!(kind, Kind::ValidatingWebhook | Kind::MutatingWebhook)
}

/// Why holders of cluster-admin are not judged by others than `rbac-cluster-admin-allowlist`.
pub const HOLDS_CLUSTER_ADMIN: &str = "HoldsClusterAdmin";

/// A right that an identity holds.
#[derive(Debug, Clone, Copy)]
pub(in crate::controls) struct Held<'a> {
    /// Through which binding and role.
    pub(in crate::controls) grant: Grant<'a>,
    /// On what.
    pub(in crate::controls) thing: Thing,
    /// Which of the restricted verbs.
    pub(in crate::controls) verbs: Verbs,
    /// Names that it is limited to; empty means all.
    pub(in crate::controls) names: &'a [Sym],
}

impl Held<'_> {
    /// Where it counts, in words; empty for what belongs to no namespace anyhow.
    pub(in crate::controls) fn place(&self) -> Cow<'static, str> {
        if !self.grant.namespace.is_empty() {
            Cow::Owned(format!(" in namespace {}", self.grant.namespace))
        } else if self.thing.is_cluster_scoped() {
            Cow::Borrowed("")
        } else {
            Cow::Borrowed(" in every namespace")
        }
    }
}

/// What a control of this shape has of its own.
pub(in crate::controls) trait Restricted:
    std::fmt::Debug + Send + Sync
{
    /// Documentation and facts.
    const INFO: &'static Info;
    /// The rights.
    const RIGHTS: &'static [(Thing, Verbs)];
    /// The fact that is wrong.
    const REASON: &'static str;

    /// Identities that may hold them.
    fn allowed(&self) -> &[AllowedSubject];

    /// What is wrong with parameters that only this control has.
    fn check_own(&self) -> Result<(), String> {
        Ok(())
    }

    /// Whether a right counts, and where, in words that follow "may get secrets".
    fn counts(
        &self,
        context: &Context<'_>,
        subject: &Subject,
        held: &Held<'_>,
    ) -> Option<Cow<'static, str>>;

    /// Whether a right that counts would not if its role were Kubernetes' own, and nobody can tell:
    /// there are no pins for this server version.
    fn is_unpinned(&self, context: &Context<'_>, held: &Held<'_>) -> bool {
        let _ = (context, held);
        false
    }

    /// What to say before the commands of a proposal.
    fn advice(&self) -> &'static str {
        ""
    }

    /// Which subjects a change of a namespace makes uncertain.
    fn namespace_changed(&self) -> Touched {
        Touched::Nothing
    }

    /// Which subjects a change of any other object that it reads makes uncertain.
    fn changed(&self, change: &Change) -> Touched {
        let _ = change;
        Touched::Nothing
    }

    /// Whether there is anything that the rights are about; without it nobody is a subject.
    fn applies(&self, inventory: &Inventory) -> bool {
        let _ = inventory;
        true
    }

    /// Calls `found` with each subject beside identities.
    fn beside(&self, context: &Context<'_>, found: &mut dyn FnMut(Subject)) {
        let _ = (context, found);
    }

    /// Whether an object that can't be decoded, of one of the kinds of its subjects, is one.
    fn would_judge(&self, subject: &Subject) -> bool {
        let _ = subject;
        true
    }

    /// Judges one of these.
    fn judge_beside(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let _ = (context, subject);
        None
    }

    /// Which subjects a change of what an analysis says of `subject` makes uncertain.
    fn affected(&self, derived: Derived, subject: &Subject) -> Touched {
        match derived {
            // A binding may name it beside others: what to do about them rests on it too.
            Derived::Programs => Touched::All,
            _ => Touched::Subject(subject.clone()),
        }
    }
}

/// A right that counts against its holder.
struct Finding<'a> {
    held: Held<'a>,
    place: Cow<'static, str>,
}

/// What an identity has that counts.
#[derive(Default)]
struct Found<'a> {
    /// Whether a binding names it that Kubernetes does not create.
    named: bool,
    /// What counts against it.
    findings: Vec<Finding<'a>>,
    /// What would, if the binding were not Kubernetes' own: nobody can tell.
    unpinned: Vec<Finding<'a>>,
    /// Whether it is a cluster administrator.
    admin: bool,
}

fn find<'a, C: Restricted>(control: &C, context: &Context<'a>, subject: &Subject) -> Found<'a> {
    let rights = context.analyses.rights();
    let mask = C::RIGHTS
        .iter()
        .fold(0, |all, (thing, _)| all | thing.bit());
    let relevant = rights.things(subject) & mask != 0;
    let mut found = Found::default();
    for grant in rights.grants(subject) {
        let trust = trust(context, &grant, subject);
        found.named |= trust != Trust::BuiltIn;
        if grant.is_cluster_admin() {
            found.admin = true;
            continue;
        }
        if !relevant || grant.powers.things() & mask == 0 {
            continue;
        }
        let beyond = (trust == Trust::BuiltIn).then(|| default_powers(context, &grant));
        for (thing, verbs) in C::RIGHTS {
            if !grant.reaches(*thing) {
                continue;
            }
            for power in grant.powers.on(*thing) {
                let patched = || rights.patches(subject, &grant, power);
                let mut held = power.verbs(patched).and(*verbs);
                if let Some(default) = &beyond {
                    held = held.without(given(default, power));
                }
                if held.is_empty() {
                    continue;
                }
                let held = Held {
                    grant,
                    thing: *thing,
                    verbs: held,
                    names: &power.names,
                };
                if let Some(place) = control.counts(context, subject, &held) {
                    let finding = Finding { held, place };
                    match trust {
                        Trust::Unpinned => found.unpinned.push(finding),
                        _ if control.is_unpinned(context, &held) => found.unpinned.push(finding),
                        _ => found.findings.push(finding),
                    }
                }
            }
        }
    }
    found
}

/// What is said of findings: the first few, and how many more.
fn tell(findings: &[Finding<'_>]) -> String {
    let first = findings.iter().take(4).map(|Finding { held, place }| {
        let Held {
            grant,
            thing,
            verbs,
            names,
        } = held;
        let names = match names {
            [] => String::new(),
            names => {
                let list: Vec<&str> = names.iter().take(4).map(|name| &**name).collect();
                format!(" named {}", list.join(", "))
            }
        };
        let home = if grant.namespace.is_empty() {
            String::new()
        } else {
            format!("{}/", grant.namespace)
        };
        format!(
            "{verbs} {}{names}{place} by {} {home}{} ({} {})",
            thing.full_name(),
            grant.kind.info().kind,
            grant.name,
            grant.role_kind().info().kind,
            grant.role,
        )
    });
    let first: Vec<String> = first.collect();
    let more = match findings.len() - first.len() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!("may {}{more}", first.join("; "))
}

/// The verdict on an identity that a policy allows.
pub(in crate::controls) fn judge_allowed(
    context: &Context<'_>,
    entry: &AllowedSubject,
    commands: impl FnOnce() -> String,
) -> Verdict {
    let overdue_at = entry.overdue_at();
    if overdue_at.is_some_and(|at| at <= context.now) {
        let day = entry.review_by.as_deref().unwrap_or_default();
        let message = format!("allowed until its review, which was due by {day}");
        return Verdict::fail(Strength::Effective, "ReviewOverdue", message).propose(format!(
            "review it and set reviewBy to a later day, or remove the grant: {}",
            commands()
        ));
    }
    let owner = entry.owner.as_deref();
    let message = owner.map_or(String::new(), |owner| format!("owner: {owner}"));
    let verdict = Verdict::pass(Strength::Effective, "AllowedSubject", message);
    match overdue_at {
        Some(at) => verdict.recheck(at),
        None => verdict,
    }
}

fn allowance<'a>(allowed: &'a [AllowedSubject], subject: &Subject) -> Option<&'a AllowedSubject> {
    allowed.iter().find(|entry| entry.is(subject))
}

/// The bindings of findings, each once.
fn bindings<'a>(context: &Context<'a>, findings: &[Finding<'_>]) -> Vec<revoke::Given<'a>> {
    let mut given: Vec<revoke::Given<'a>> = Vec::new();
    for Finding { held, .. } in findings {
        let Grant {
            kind,
            namespace,
            name,
            ..
        } = held.grant;
        let known =
            |(_, b): &revoke::Given<'_>| b.meta.name == *name && b.meta.namespace == *namespace;
        if !given.iter().any(known) {
            let binding = revoke::binding(context.inventory, kind, namespace, name);
            given.extend(binding.map(|binding| (kind, binding)));
        }
    }
    given
}

impl<C: Restricted> Judge for C {}

/// Whole verdicts of controls of this shape.
trait Judge: Restricted + Sized {
    /// Whether a subject of a binding may keep what the binding gives it.
    fn keeps(&self, context: &Context<'_>, binding: &Object<Binding>, holder: &Holder) -> bool {
        let Some(subject) = identity_in(&binding.meta.namespace, holder) else {
            return false;
        };
        let offends = || {
            let found = find(self, context, &subject);
            found.findings.iter().any(|Finding { held, .. }| {
                *held.grant.name == binding.meta.name
                    && *held.grant.namespace == binding.meta.namespace
            })
        };
        allowance(self.allowed(), &subject).is_some() || !offends()
    }

    fn judge_subject(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let Found {
            named,
            findings,
            unpinned,
            admin,
        } = find(self, context, subject);
        if findings.is_empty() && !unpinned.is_empty() {
            return Some(Verdict::unknown(
                "ServerVersionNotPinned",
                format!(
                    "{}, by what looks like Kubernetes' own; what this server version creates is \
                     not known",
                    tell(&unpinned)
                ),
            ));
        }
        if findings.is_empty() {
            return named.then(|| {
                if admin {
                    Verdict::not_applicable(
                        HOLDS_CLUSTER_ADMIN,
                        "holds cluster-admin, which rbac-cluster-admin-allowlist judges",
                    )
                } else {
                    Verdict::pass(Strength::Effective, "RightNotHeld", "")
                }
            });
        }
        let given = bindings(context, &findings);
        let foreign = |binding: &Object<Binding>| {
            revoke::is_foreign(context, binding, |h| self.keeps(context, binding, h))
        };
        let commands = || revoke::commands(context, given.iter().copied(), subject, foreign);
        if let Some(entry) = allowance(self.allowed(), subject) {
            return Some(judge_allowed(context, entry, commands));
        }
        let message = format!("{}{}", tell(&findings), members(context.inventory, subject));
        let verdict = Verdict::fail(Strength::Effective, Self::REASON, message).propose(format!(
            "{}{}",
            self.advice(),
            commands()
        ));
        if Self::INFO.writes.is_empty() {
            return Some(verdict);
        }
        let mut foreign = given.iter().filter(|(_, b)| !b.meta.deleting && foreign(b));
        Some(match foreign.next() {
            Some((kind, binding)) => verdict.remedy(revoke::delete(*kind, &binding.meta)),
            None => verdict,
        })
    }
}

impl<C: Restricted> Control for C {
    fn info(&self) -> &'static Info {
        C::INFO
    }

    fn check(&self) -> Result<(), String> {
        self.check_own()?;
        self.allowed().iter().try_for_each(AllowedSubject::check)
    }

    fn touched(&self, change: &Change) -> Touched {
        match change.kind {
            // Accounts are only counted, and only in the group of their namespace.
            Kind::ServiceAccount => {
                let group = format!("system:serviceaccounts:{}", change.namespace);
                Touched::Subject(Subject::named(SubjectKind::Group, group))
            }
            Kind::Namespace => self.namespace_changed(),
            // Whoever a binding affects, the analysis names.
            Kind::RoleBinding | Kind::ClusterRoleBinding => Touched::Nothing,
            _ => self.changed(change),
        }
    }

    fn affected(&self, derived: Derived, subject: &Subject) -> Touched {
        Restricted::affected(self, derived, subject)
    }

    fn would_judge(&self, subject: &Subject) -> bool {
        Restricted::would_judge(self, subject)
    }

    fn fails_whatever(&self, _: &Subject, _: &str, kind: Kind) -> bool {
        adds_up(kind)
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        if namespace.is_none() {
            self.beside(context, found);
        }
        if !self.applies(context.inventory) {
            return;
        }
        let rights = context.analyses.rights();
        for (subject, mut grants) in rights.identities_with_grants() {
            if namespace.is_some_and(|namespace| *subject.namespace != *namespace) {
                continue;
            }
            let foreign = grants.any(|grant| trust(context, &grant, subject) != Trust::BuiltIn);
            if foreign || !find(self, context, subject).findings.is_empty() {
                found(subject.clone());
            }
        }
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        match subject.object_kind() {
            None | Some(Kind::ServiceAccount) if self.applies(context.inventory) => {
                self.judge_subject(context, subject)
            }
            _ => self.judge_beside(context, subject),
        }
    }
}
