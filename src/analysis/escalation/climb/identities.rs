//! Steps by being taken for somebody else.

use super::{Climber, Found, WRITE};
use crate::{
    analysis::{
        escalation::aims::{Aim, Ground, How, Place, Steps},
        rbac,
        rights::{Thing, Verbs},
    },
    controls::{Subject, SubjectKind},
    inventory::{Kind, Sym},
};

impl Climber<'_> {
    /// By being taken for somebody else.
    pub(super) fn identities(&self, steps: &mut Steps) {
        for found in self.held(true, Thing::ServiceAccounts, Verbs::IMPERSONATE) {
            self.accounts(steps, How::Impersonate, &found, Aim::Impersonable);
        }
        for found in self.held(true, Thing::Tokens, Verbs::CREATE) {
            self.accounts(steps, How::RequestToken, &found, Aim::Accounts);
        }
        for found in self.held(true, Thing::Users, Verbs::IMPERSONATE) {
            if found.names.is_empty() {
                steps.push(How::Impersonate, &found.place, Aim::AnyUser);
            }
            for name in found.names {
                // The name of an account is asked for among the service accounts.
                if rbac::account(name).is_none() {
                    let user = Subject::named(SubjectKind::User, name.clone());
                    steps.push(How::Impersonate, &found.place, Aim::Identity(user));
                }
            }
        }
        // Whoever names groups has to name a user too.
        for thing in [Thing::Users, Thing::ServiceAccounts] {
            let other = (thing, Verbs::IMPERSONATE);
            for (groups, _) in self.anywhere((Thing::Groups, Verbs::IMPERSONATE), other) {
                const MASTERS: &str = "system:masters";
                if groups.is_for(MASTERS) {
                    steps.push(How::Impersonate, &Place::Cluster, Aim::Admin);
                }
                for name in groups.names.iter().filter(|name| ***name != *MASTERS) {
                    let group = Subject::named(SubjectKind::Group, name.clone());
                    steps.push(How::Impersonate, &Place::Cluster, Aim::Identity(group));
                }
            }
        }
        let approve = (Thing::Signers, Verbs::APPROVE);
        for (signer, _) in self.anywhere(approve, (Thing::Approvals, WRITE)) {
            let client = |name: &str| signer.is_for(name);
            if client("kubernetes.io/kube-apiserver-client") || client("kubernetes.io/*") {
                steps.push(How::Certificate, &Place::Cluster, Aim::AnyCertified);
            }
        }
    }

    /// Accounts of a place: all of them, or those of certain names.
    fn accounts(&self, steps: &mut Steps, how: How, found: &Found<'_>, all: impl Fn(Place) -> Aim) {
        let place = found.place.namespaces();
        if found.names.is_empty() {
            steps.push(how, &place, all(place.clone()));
            return;
        }
        let one = |steps: &mut Steps, namespace: &Sym, name: &Sym| {
            let account = Subject::object(Kind::ServiceAccount, namespace, name);
            steps.push(how, &place, Aim::Identity(account));
        };
        for name in found.names {
            if let Place::In(namespace) = &place {
                one(steps, namespace, name);
                continue;
            }
            steps.rest_on(Ground::Named(name.clone()));
            for namespace in self.scene.graph.homes(name) {
                one(steps, namespace, name);
            }
        }
    }
}
