//! The class of claims that name none: there is one, and it encrypts.

use serde_json::json;

use super::PersistentVolumes;
use crate::{
    controls::prelude::*,
    inventory::storage::{DEFAULT_STORAGE_CLASS, StorageClass},
};

/// Whether a class is marked as the default.
pub(super) fn is_marked(class: &Object<StorageClass>) -> bool {
    let mut marks = DEFAULT_STORAGE_CLASS.iter();
    marks.any(|mark| class.meta.annotations.get(mark) == Some("true"))
}

/// The classes that are marked, and the cluster where there is any class at all.
pub(super) fn population(inventory: &Inventory, found: &mut dyn FnMut(Subject)) {
    let classes = &inventory.tables.storage_classes;
    if !classes.is_empty() {
        found(Subject::named(SubjectKind::Cluster, "cluster"));
    }
    for class in classes.iter().filter(|class| is_marked(class)) {
        found(Subject::of(Kind::StorageClass, &class.meta));
    }
}

/// Judges whether the cluster has one default class.
pub(super) fn judge(control: &PersistentVolumes, context: &Context<'_>) -> Option<Verdict> {
    let classes = &context.inventory.tables.storage_classes;
    if classes.is_empty() {
        return None;
    }
    let marked: Vec<_> = classes.iter().filter(|class| is_marked(class)).collect();
    Some(match marked[..] {
        [] => none(control, context),
        [only] if control.class(only).outcome == Outcome::Pass => {
            let name = &only.meta.name;
            let message = format!("the default class is {name}, which encrypts");
            Verdict::pass(Strength::Declared, "DefaultClassEncrypts", message).keeping(Kept {
                uid: only.meta.uid,
                value: json!({ "name": **name }),
                owners: std::sync::Arc::clone(&only.meta.owners),
            })
        }
        _ => Verdict::not_applicable(
            "DefaultClassJudged",
            "the classes that are marked as the default are judged by themselves",
        ),
    })
}

fn none(control: &PersistentVolumes, context: &Context<'_>) -> Verdict {
    let message = "no StorageClass is the default: what claims get that name none is not settled";
    let verdict = Verdict::fail(Strength::Declared, "NoDefaultClass", message);
    match remedy(control, context) {
        Some(remedy) => verdict.remedy(remedy),
        None => verdict.propose(format!(
            "Mark a class that encrypts: kubectl annotate storageclass NAME {}=true",
            DEFAULT_STORAGE_CLASS[0]
        )),
    }
}

/// Puts the marker of the class back that was the default, if it still is there and encrypts.
fn remedy(control: &PersistentVolumes, context: &Context<'_>) -> Option<Remedy> {
    let kept = context.kept?;
    let name = kept.value["name"].as_str()?;
    let class = context.inventory.tables.storage_classes.get("", name)?;
    let same = class.meta.uid == kept.uid && !class.meta.deleting;
    (same && control.class(class).outcome == Outcome::Pass).then(|| Remedy::PutBack {
        target: Target {
            kind: Kind::StorageClass,
            namespace: Sym::from(""),
            name: class.meta.name.clone(),
        },
        patch: json!({ "metadata": { "annotations": { DEFAULT_STORAGE_CLASS[0]: "true" } } }),
        path: 0,
    })
}
