//! `rbac-csr-approval-restricted`

use std::borrow::Cow;

use super::{
    AllowedSubject,
    restricted::{self, Held, Restricted},
};
use crate::{
    analysis::{
        Derived,
        rights::{Thing, Verbs},
    },
    controls::prelude::*,
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
        rule_version: 1,
        reads: &restricted::READS,
        subjects: &[Kind::ServiceAccount],
        derives: &[Derived::Rights],
        observes: &[],
        writes: &restricted::DELETES,
        scope: ScopeUse::Ignored,
        what: "No user, group or service account that is not in `allowedSubjects` effectively \
               holds both `update` or `patch` on `certificatesigningrequests/approval` and \
               `approve` on the signer `kubernetes.io/kube-apiserver-client` (by name, by \
               `kubernetes.io/*`, or on all signers), nor `sign` on a signer \
               `kubernetes.io/kube-apiserver-client…`.",
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
                 issued are not listed: the API server deletes the requests after an hour. \
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

/// Whether an identity may give requests an approval, before the signer is looked at.
fn approves(context: &Context<'_>, subject: &Subject) -> bool {
    let rights = context.analyses.rights();
    rights.effective_grants(subject).any(|grant| {
        grant.reaches(Thing::Approvals)
            && grant
                .powers
                .on(Thing::Approvals)
                .any(|power| power.verbs.has(Verbs::UPDATE.or(Verbs::PATCH)))
    })
}

impl Restricted for CsrApprovalRestricted {
    const INFO: &'static Info = &Self::INFO;
    const RIGHTS: &'static [(Thing, Verbs)] = &[(Thing::Signers, Verbs::APPROVE.or(Verbs::SIGN))];
    const REASON: &'static str = "UserCertificatesIssuable";

    fn allowed(&self) -> &[AllowedSubject] {
        &self.allowed_subjects
    }

    fn counts(
        &self,
        context: &Context<'_>,
        subject: &Subject,
        held: &Held<'_>,
    ) -> Option<Cow<'static, str>> {
        let signs = held.verbs.has(Verbs::SIGN)
            && covers(held.names, |name| name.starts_with(CLIENT_SIGNER));
        let approves = held.verbs.has(Verbs::APPROVE)
            && covers(held.names, |name| name == CLIENT_SIGNER)
            && approves(context, subject);
        (signs || approves).then(|| held.place())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Expect, check_all};
    use super::*;

    const GROUP: &str = "certificates.k8s.io";

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
}
