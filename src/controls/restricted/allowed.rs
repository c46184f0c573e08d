//! Identities that a policy allows to hold a right.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    analysis::rbac,
    controls::{Subject, SubjectKind},
    inventory::Kind,
};

/// An identity that may hold the right, and who answers for that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowedSubject {
    /// What it is.
    pub kind: IdentityKind,

    /// Its name, exactly as bindings spell it.
    #[schemars(length(min = 1, max = 512))]
    pub name: String,

    /// Namespace of a service account; absent for users and groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,

    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub owner: Option<String>,

    /// Why it needs the right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub reason: Option<String>,

    /// Last day (`2026-12-31`, UTC) on which it is allowed unless someone looks at it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 10), extend("pattern" = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub review_by: Option<String>,
}

/// What an identity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IdentityKind {
    /// A user, by the name that authentication gives it.
    User,
    /// A group, by the name that authentication gives it.
    Group,
    /// A service account of a namespace.
    ServiceAccount,
}

impl AllowedSubject {
    /// Whether it is this identity.
    pub fn is(&self, subject: &Subject) -> bool {
        let kind = match self.kind {
            IdentityKind::User => SubjectKind::User,
            IdentityKind::Group => SubjectKind::Group,
            IdentityKind::ServiceAccount => SubjectKind::Object(Kind::ServiceAccount),
        };
        kind == subject.kind
            && self.name == *subject.name
            && self.namespace.as_deref().unwrap_or_default() == &*subject.namespace
    }

    /// The moment from which it is overdue; `None` where no review is due, or the day is none.
    pub fn overdue_at(&self) -> Option<Timestamp> {
        let day: Date = self.review_by.as_deref()?.parse().ok()?;
        let next = day.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?;
        Some(next.timestamp())
    }

    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        let name = &self.name;
        let account = self.kind == IdentityKind::ServiceAccount;
        if account && self.namespace.is_none() {
            return Err(format!(
                "allowed service account {name:?} has no namespace: write the namespace that it is in"
            ));
        }
        if !account && self.namespace.is_some() {
            return Err(format!(
                "allowed subject {name:?} is in no namespace: remove the namespace, or write kind \
                 ServiceAccount"
            ));
        }
        if let (IdentityKind::User, Some((namespace, account))) = (self.kind, rbac::account(name)) {
            return Err(format!(
                "allowed user {name:?} is a service account: write kind ServiceAccount, namespace \
                 {namespace:?}, name {account:?}"
            ));
        }
        if let (Some(day), None) = (&self.review_by, self.overdue_at()) {
            return Err(format!(
                "reviewBy of allowed subject {name:?} is {day:?}: write a day such as 2026-12-31"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
pub(in crate::controls) mod tests {
    use super::*;

    /// An entry without anything optional.
    pub(in crate::controls) fn allowed(
        kind: IdentityKind,
        namespace: Option<&str>,
        name: &str,
    ) -> AllowedSubject {
        AllowedSubject {
            kind,
            name: name.to_owned(),
            namespace: namespace.map(str::to_owned),
            owner: None,
            reason: None,
            review_by: None,
        }
    }

    #[test]
    fn what_can_match_nothing_is_refused() {
        use IdentityKind::{Group, ServiceAccount, User};
        for (entry, fine) in [
            (allowed(User, None, "alice"), true),
            (allowed(ServiceAccount, Some("argocd"), "argo"), true),
            (allowed(ServiceAccount, None, "argo"), false),
            (allowed(Group, Some("shop"), "admins"), false),
            (allowed(User, None, "system:serviceaccount:a:b"), false),
        ] {
            assert_eq!(entry.check().is_ok(), fine, "{entry:?}");
        }
    }

    #[test]
    fn a_review_is_overdue_when_its_day_is_over() {
        let mut entry = allowed(IdentityKind::User, None, "alice");
        entry.review_by = Some("2026-12-31".to_owned());
        assert_eq!(entry.overdue_at(), "2027-01-01T00:00:00Z".parse().ok());
        entry.review_by = Some("2026-13-31".to_owned());
        assert!(entry.check().is_err());
    }
}
