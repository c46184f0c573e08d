//! Service accounts behind identities.

use crate::{analysis::rbac::accounts_of, controls::prelude::*};

/// How many accounts get what a group of service accounts has.
pub(in crate::controls) fn members(inventory: &Inventory, subject: &Subject) -> String {
    let accounts = &inventory.tables.service_accounts;
    if let Some(namespace) = accounts_of(subject) {
        let count = accounts.in_namespace(namespace).count();
        return format!("; {count} service accounts of {namespace} get it");
    }
    if subject.kind == SubjectKind::Group && *subject.name == *"system:serviceaccounts" {
        return format!("; all {} service accounts get it", accounts.len());
    }
    String::new()
}
