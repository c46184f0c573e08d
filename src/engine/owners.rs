//! Who else looks after an object: a reason to propose rather than to write.

use crate::{
    controls::Remedy,
    inventory::{
        Meta,
        meta::{MANAGER, Manager, Owners},
    },
};

/// Field managers that are people at a keyboard.
const PEOPLE: [&str; 5] = ["kubectl*", "k9s", "Lens", "Headlamp", "oc"];

/// Whether a field manager is a person. A trailing `*` of a pattern matches any rest.
fn is_person(manager: &str, people: &[String]) -> bool {
    let more = people.iter().map(String::as_str);
    PEOPLE
        .into_iter()
        .chain(more)
        .any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => manager.starts_with(prefix),
            None => manager == pattern,
        })
}

/// Who owns what the remedy would write, if not we or a person.
///
/// `kept` are the owners at the last `Pass`: a person who removed a field has taken it from
/// whoever owned it then, and a deleted object has no owners of its own any more.
pub(super) fn of(
    remedy: &Remedy,
    meta: Option<&Meta>,
    kept: Option<&Owners>,
    people: &[String],
) -> Option<String> {
    let replaced = match remedy {
        Remedy::Create { owners, .. } => owners.as_deref(),
        _ => meta.map(|meta| &*meta.owners),
    };
    let before = if matches!(remedy, Remedy::PutBack { .. }) {
        kept
    } else {
        None
    };
    let owners = || replaced.into_iter().chain(before);
    if let Some(tool) = owners().find_map(|owners| owners.tool) {
        return Some(tool.to_owned());
    }
    if let Some(controller) = owners().find_map(|owners| owners.controller.as_ref()) {
        return Some(controller.to_string());
    }
    let foreign = |manager: &&Manager| {
        owns(remedy, manager) && &*manager.name != MANAGER && !is_person(&manager.name, people)
    };
    owners()
        .flat_map(|owners| owners.managers.iter())
        .find(foreign)
        .map(|manager| format!("field manager {}", manager.name))
}

/// Whether the manager owns the field that the remedy writes; any field for a whole object.
fn owns(remedy: &Remedy, manager: &Manager) -> bool {
    match remedy.path() {
        Some(path) => manager.paths & (1 << path) != 0,
        None => manager.paths != 0,
    }
}

/// The field manager, not ours, that last changed what the remedy writes.
pub(super) fn rival(remedy: &Remedy, meta: Option<&Meta>) -> String {
    let managers = meta.map(|meta| &meta.owners.managers);
    let others = || {
        let all = managers
            .into_iter()
            .flat_map(|managers| managers.iter().rev());
        all.filter(|manager| &*manager.name != MANAGER)
    };
    others()
        .find(|manager| owns(remedy, manager))
        .or_else(|| others().next())
        .map_or_else(|| "unknown".to_owned(), |manager| manager.name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_from_machines() {
        let more = ["ops-*".to_owned()];
        for (manager, person) in [
            ("kubectl-edit", true),
            ("kubectl-client-side-apply", true),
            ("k9s", true),
            ("k9s-bot", false),
            ("argocd-controller", false),
            ("ops-console", true),
        ] {
            assert_eq!(is_person(manager, &more), person, "{manager}");
        }
    }
}
