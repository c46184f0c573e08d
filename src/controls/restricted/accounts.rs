//! Service accounts behind identities: what they run, and how many they are.

use crate::{analysis::rbac::accounts_of, controls::prelude::*, inventory::template::Template};

/// Whether an account is that of a Deployment, `StatefulSet` or `DaemonSet` whose pods `wanted`
/// takes.
pub(in crate::controls) fn is_account_of(
    inventory: &Inventory,
    subject: &Subject,
    wanted: impl Fn(&Template) -> bool,
) -> bool {
    if subject.object_kind() != Some(Kind::ServiceAccount) {
        return false;
    }
    let namespace = &*subject.namespace;
    let tables = &inventory.tables;
    let mut workloads = tables
        .deployments
        .in_namespace(namespace)
        .chain(tables.stateful_sets.in_namespace(namespace))
        .chain(tables.daemon_sets.in_namespace(namespace));
    workloads.any(|workload| {
        let template = &*workload.spec.template;
        template.account() == &*subject.name && wanted(template)
    })
}

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
