//! Backup classes: claims and database clusters that are backed up alike, and are judged together.

use std::collections::{BTreeMap, BTreeSet};

use super::common::{needs_backup, protectables};
use crate::{
    analysis::backup::Protectable,
    controls::{Context, Subject, SubjectKind},
};

/// The members of each class in scope that are known to have something to lose.
pub(super) fn classes<'a>(context: &Context<'a>) -> BTreeMap<&'a str, Vec<Protectable<'a>>> {
    let mut classes: BTreeMap<&str, Vec<Protectable<'_>>> = BTreeMap::new();
    let mut subjects = Vec::new();
    protectables(context.inventory, None, &mut |subject| {
        subjects.push(subject);
    });
    for subject in subjects {
        if !context.covers(&subject.namespace) {
            continue;
        }
        if let Some(what) = Protectable::of(context.inventory, &subject)
            // What may not even be bound, as in a file, fails no class.
            && needs_backup(context, what) == Some(true)
        {
            classes.entry(what.backup_class()).or_default().push(what);
        }
    }
    classes
}

/// The members of one class.
pub(super) fn members<'a>(context: &Context<'a>, class: &str) -> Vec<Protectable<'a>> {
    classes(context).remove(class).unwrap_or_default()
}

/// Calls `found` with each class. They lie in no namespace.
pub(super) fn population(
    context: &Context<'_>,
    namespace: Option<&str>,
    found: &mut dyn FnMut(Subject),
) {
    if namespace.is_some_and(|namespace| !namespace.is_empty()) {
        return;
    }
    let names: BTreeSet<&str> = classes(context).into_keys().collect();
    for name in names {
        found(Subject::named(SubjectKind::BackupClass, name));
    }
}
