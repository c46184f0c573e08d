//! `rbac-csr-approval-restricted`

use std::borrow::Cow;

use super::{
    AllowedSubject,
    restricted::{self, Held, Restricted},
};
use crate::{
    analysis::{
        Derived,
        rights::{Grant, Thing, Verbs},
    },
    controls::prelude::*,
    inventory::signing::SigningRequest,
};

/// Only listed identities can have certificates issued with which somebody is another user.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CsrApprovalRestricted {
    /// Identities that may approve or sign certificates of users.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allowed_subjects: Vec<AllowedSubject>,
}

/// The signer of certificates with which anybody may be any user.
pub(super) const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

impl CsrApprovalRestricted {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "rbac-csr-approval-restricted",
        field: "rbacCsrApprovalRestricted",
        title: "Only listed identities can have certificates of users issued",
        family: Family::Rbac,
        criteria: &["CC6.1", "CC6.2"],
        severity: Severity::High,
        strength: Strength::Effective,
        rule_version: 3,
        reads: &[
            Kind::RoleBinding,
            Kind::ClusterRoleBinding,
            Kind::ServiceAccount,
            Kind::SigningRequest,
        ],
        subjects: &[Kind::ServiceAccount, Kind::SigningRequest],
        derives: &[Derived::Rights],
        observes: &[],
        writes: &restricted::DELETES,
        scope: ScopeUse::Ignored,
        what: "No user, group or service account that is not in `allowedSubjects` effectively \
               holds both `update` or `patch` on `certificatesigningrequests/approval` and (itself, or by a group of service accounts that \
               it is in) `approve` on the signer `kubernetes.io/kube-apiserver-client` (by name, by \
               `kubernetes.io/*`, or on all signers), nor `sign` on a signer \
               `kubernetes.io/kube-apiserver-client…`. Each request for a certificate of the signer \
               `kubernetes.io/kube-apiserver-client` that was approved is listed as a subject, \
               with the user and groups that the certificate is of and who asked for it: the \
               population of the certificates of users that were issued.",
        why: "A certificate of that signer makes its holder any user and a member of any group \
              but `system:masters`, for as long as it is valid: it can't be revoked.",
        fix: "A binding none of whose subjects may keep what it gives is deleted, after it was \
              archived. Otherwise the command that takes the identity out is proposed.",
        by_hand: "Take `approve` and `sign` on the signer out of the role, or limit them to the \
                  signers of kubelets; list those who issue certificates of users in \
                  `allowedSubjects`.",
        prevention: "A ValidatingAdmissionPolicy can refuse roles that name these rights, and \
                     requests for that signer by anybody but the system.",
        limits: "Subjects are the identities that a binding names which Kubernetes does not \
                 create itself; who is in a group is not visible. Approval of the kubelets' own \
                 signers passes, and so does that of custom signers. Certificates that were \
                 issued are not judged, but recorded: the API server deletes their requests after \
                 an hour, and does not tell who approved them; its audit log does. What was issued \
                 before Probity looked, or while it did not, or by whoever holds the authority's \
                 key, is not seen. \
                 A pair of rights that somebody holds through groups of an identity \
                 provider is not seen as one. \
                 Holders of cluster-admin are NotApplicable here: rbac-cluster-admin-allowlist \
                 judges them. Grants by other authorizers are not visible.",
    };
}

/// Whether the rights on signers of these names cover `signer`, as admission asks: by its name, by
/// all of its domain, or by no name at all.
pub(super) fn covers(names: &[Sym], fits: impl Fn(&str) -> bool) -> bool {
    names.is_empty()
        || names
            .iter()
            .any(|name| **name == *"kubernetes.io/*" || fits(name))
}

/// What was issued by a request, in words; `None` where no certificate of a user was.
fn issued(request: &Object<SigningRequest>) -> Option<String> {
    let SigningRequest {
        signer,
        requester,
        approved,
        names,
    } = &request.spec;
    if !approved || **signer != *CLIENT_SIGNER {
        return None;
    }
    let Some(names) = names else {
        return Some(format!(
            "a certificate was approved that {requester} asked for; of whom can't be read"
        ));
    };
    let groups = match &*names.groups {
        [] => String::new(),
        groups => format!(" in groups {}", groups.join(", ")),
    };
    let user = &names.user;
    Some(format!(
        "a certificate of user {user}{groups} was approved, which {requester} asked for"
    ))
}

/// Whether a grant lets somebody give requests an approval, before the signer is looked at.
fn approves(grant: &Grant<'_>) -> bool {
    let mut powers = grant.powers.on(Thing::Approvals);
    grant.reaches(Thing::Approvals)
        && powers.any(|power| power.verbs.has(Verbs::UPDATE.or(Verbs::PATCH)))
}

/// Whether a grant lets somebody approve for the signer of users, before requests are looked at.
fn approves_for_users(grant: &Grant<'_>) -> bool {
    let mut powers = grant.powers.on(Thing::Signers);
    grant.reaches(Thing::Signers)
        && powers.any(|power| {
            power.verbs.has(Verbs::APPROVE) && covers(&power.names, |name| name == CLIENT_SIGNER)
        })
}

impl Restricted for CsrApprovalRestricted {
    const INFO: &'static Info = &Self::INFO;
    const RIGHTS: &'static [(Thing, Verbs)] = &[
        (Thing::Signers, Verbs::APPROVE.or(Verbs::SIGN)),
        (Thing::Approvals, Verbs::UPDATE.or(Verbs::PATCH)),
    ];
    const REASON: &'static str = "UserCertificatesIssuable";

    fn allowed(&self) -> &[AllowedSubject] {
        &self.allowed_subjects
    }

    fn changed(&self, change: &Change) -> Touched {
        let (kind, namespace, name) = (change.kind, &change.namespace, &change.name);
        Touched::Subject(Subject::object(kind, namespace, name))
    }

    fn beside(&self, context: &Context<'_>, found: &mut dyn FnMut(Subject)) {
        for request in context.inventory.tables.signing_requests.iter() {
            if issued(request).is_some() {
                found(Subject::of(Kind::SigningRequest, &request.meta));
            }
        }
    }

    fn judge_beside(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let requests = &context.inventory.tables.signing_requests;
        let message = issued(requests.get("", &subject.name)?)?;
        Some(Verdict::not_applicable("UserCertificateIssued", message))
    }

    fn counts(
        &self,
        context: &Context<'_>,
        subject: &Subject,
        held: &Held<'_>,
    ) -> Option<Cow<'static, str>> {
        let rights = context.analyses.rights();
        if held.thing == Thing::Approvals {
            // Of a pair that it holds itself, the right on the signer is the finding.
            let itself = rights
                .grants(subject)
                .any(|grant| approves_for_users(&grant));
            let mut effective = rights.effective_grants(subject);
            let by_group = !itself && effective.any(|grant| approves_for_users(&grant));
            return by_group.then(|| held.place());
        }
        let signs = held.verbs.has(Verbs::SIGN)
            && covers(held.names, |name| name.starts_with(CLIENT_SIGNER));
        let approves = held.verbs.has(Verbs::APPROVE)
            && covers(held.names, |name| name == CLIENT_SIGNER)
            && rights
                .effective_grants(subject)
                .any(|grant| approves(&grant));
        (signs || approves).then(|| held.place())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Expect, check_all, grant, verdict_on};
    use super::*;

    use serde_json::{Value, json};

    use crate::{analysis::rbac_defaults::tests::fresh_cluster, verdict::Outcome};

    const GROUP: &str = "certificates.k8s.io";

    fn request(name: &str, signer: &str, conditions: &[&str]) -> Value {
        let conditions = conditions.iter();
        let conditions = conditions.map(|kind| json!({ "type": kind, "status": "True" }));
        json!({
            "metadata": { "name": name },
            "spec": { "signerName": signer, "username": "bob", "request": "bm8gcmVxdWVzdA==" },
            "status": { "conditions": conditions.collect::<Vec<Value>>() },
        })
    }

    #[test]
    fn approved_certificates_of_users_are_the_population_that_was_issued() {
        let mut world = fresh_cluster(37);
        for (name, signer, conditions) in [
            ("asked", CLIENT_SIGNER, &[][..]),
            ("approved", CLIENT_SIGNER, &["Approved"]),
            ("denied", CLIENT_SIGNER, &["Approved", "Denied"]),
            (
                "kubelet",
                "kubernetes.io/kube-apiserver-client-kubelet",
                &["Approved"],
            ),
        ] {
            world.put(Kind::SigningRequest, request(name, signer, conditions));
        }
        let verdict = world.only(&CsrApprovalRestricted::default());
        assert_eq!(
            (verdict.outcome, verdict.reason),
            (Outcome::NotApplicable, "UserCertificateIssued")
        );
        assert!(
            verdict.message.contains("bob asked for"),
            "{}",
            verdict.message
        );
    }

    #[test]
    fn approval_needs_both_rights_and_the_signer_of_users() {
        let control = CsrApprovalRestricted::default();
        let approval = format!("update {GROUP} certificatesigningrequests/approval");
        let patch = format!("patch {GROUP} certificatesigningrequests/approval some-csr");
        for (rules, expect) in [
            (vec![approval.clone()], Expect::Pass),
            (vec![format!("approve {GROUP} signers")], Expect::Pass),
            (
                vec![approval.clone(), format!("approve {GROUP} signers")],
                Expect::Fail,
            ),
            (
                vec![patch, format!("approve {GROUP} signers {CLIENT_SIGNER}")],
                Expect::Fail,
            ),
            (
                vec![
                    approval.clone(),
                    format!("approve {GROUP} signers kubernetes.io/*"),
                ],
                Expect::Fail,
            ),
            (
                vec![
                    approval.clone(),
                    format!("approve {GROUP} signers {CLIENT_SIGNER}-kubelet"),
                ],
                Expect::Pass,
            ),
            (
                vec![approval, format!("approve {GROUP} signers example.com/*")],
                Expect::Pass,
            ),
            (
                vec![format!("sign {GROUP} signers {CLIENT_SIGNER}-kubelet")],
                Expect::Fail,
            ),
            (vec![format!("sign {GROUP} signers")], Expect::Fail),
            (
                vec![format!(
                    "sign {GROUP} signers kubernetes.io/kubelet-serving"
                )],
                Expect::Pass,
            ),
            (vec![format!("* {GROUP} *")], Expect::Fail),
        ] {
            let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
            check_all(&control, "", &rules, expect);
            // Requests lie in no namespace.
            check_all(&control, "shop", &rules, Expect::Pass);
        }
    }

    #[test]
    fn a_pair_is_a_pair_through_the_groups_of_accounts() {
        let approval = format!("update {GROUP} certificatesigningrequests/approval");
        let signers = format!("approve {GROUP} signers");
        let (all, own) = (
            "Group system:serviceaccounts",
            "Group system:serviceaccounts:shop",
        );
        let account = "ServiceAccount shop/robot";
        for (first, second, found) in [
            (account, all, account),
            (all, account, account),
            (account, own, account),
            (own, all, own),
            (all, own, own),
        ] {
            let mut world = fresh_cluster(37).namespace("shop");
            grant(&mut world, "", "first", &[&approval], &[first]);
            grant(&mut world, "", "second", &[&signers], &[second]);
            let control = CsrApprovalRestricted::default();
            let verdict = verdict_on(&mut world, &control, found);
            assert_eq!(
                verdict.reason, "UserCertificatesIssuable",
                "{first} and {second}"
            );
        }
    }
}
