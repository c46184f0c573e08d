//! Remedies: the change that would make a subject pass, as data.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::inventory::{Change, Effect, Kind, Sym, Uid, meta::Owners};

/// An object to write.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty where cluster-scoped.
    pub namespace: Sym,
    /// Its name.
    pub name: Sym,
}

impl Target {
    /// A change of it.
    pub fn change(&self) -> Change {
        Change {
            kind: self.kind,
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            effect: Effect::Modified,
            manager: None,
        }
    }
}

/// What would make a subject pass. Shown as a proposal in every mode, carried out in `Enforce`.
#[derive(Debug, Clone, PartialEq)]
pub enum Remedy {
    /// Create an object that we then manage.
    Create {
        /// Where.
        target: Target,
        /// The whole object.
        manifest: Value,
        /// Why it may be created although nothing was there before.
        consent: Consent,
        /// Who looked after the object that this one replaces, if it replaces one.
        owners: Option<std::sync::Arc<Owners>>,
    },
    /// Create an object by which a tool starts work now. The subject passes once that work is done,
    /// so whether it would help is asked of what the tool would make of it:
    /// [`Control::foresee`](super::Control::foresee).
    Start {
        /// The object that starts it.
        target: Target,
        /// The whole object.
        manifest: Value,
        /// What it is a run of: of that, one at a time is started.
        of: Target,
        /// So long after one was started no other is, whatever became of it.
        rest: Duration,
    },
    /// Put fields back to what they were at the last `Pass` of that very object.
    PutBack {
        /// Which object.
        target: Target,
        /// Merge patch (RFC 7396).
        patch: Value,
        /// Which of the kind's [`OWNED_PATHS`](crate::inventory::Projection::OWNED_PATHS).
        path: usize,
    },
    /// Delete a binding; it is archived first.
    Delete {
        /// Which object.
        target: Target,
    },
    /// Set a constant from a closed list.
    Set {
        /// Which object.
        target: Target,
        /// Merge patch (RFC 7396).
        patch: Value,
        /// Which of the kind's [`OWNED_PATHS`](crate::inventory::Projection::OWNED_PATHS).
        path: usize,
    },
}

/// Why an object may be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Somebody who may decide it said so, or nothing can be hurt by it.
    Given,
    /// Only if the subject passed before: then it is a put-back.
    IfPassedBefore,
}

impl Remedy {
    /// The object that it writes.
    pub const fn target(&self) -> &Target {
        match self {
            Self::Create { target, .. }
            | Self::Start { target, .. }
            | Self::PutBack { target, .. }
            | Self::Delete { target }
            | Self::Set { target, .. } => target,
        }
    }

    /// The kind of remedy, as entries and metrics call it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Create { .. } | Self::Start { .. } => "Create",
            Self::PutBack { .. } => "PutBack",
            Self::Delete { .. } => "Delete",
            Self::Set { .. } => "Set",
        }
    }

    /// Whether somebody who undoes it fights it. To delete what was created is no fight.
    pub const fn may_be_fought(&self) -> bool {
        !matches!(self, Self::Create { .. } | Self::Start { .. })
    }

    /// The index of the field that it writes, where it writes one.
    pub const fn path(&self) -> Option<usize> {
        match self {
            Self::PutBack { path, .. } | Self::Set { path, .. } => Some(*path),
            Self::Create { .. } | Self::Start { .. } | Self::Delete { .. } => None,
        }
    }

    /// What is sent to the server; `Null` for a deletion.
    pub const fn content(&self) -> &Value {
        match self {
            Self::Create { manifest, .. } | Self::Start { manifest, .. } => manifest,
            Self::PutBack { patch, .. } | Self::Set { patch, .. } => patch,
            Self::Delete { .. } => &Value::Null,
        }
    }
}

/// What was recorded at the last `Pass` of a subject, so that it can be put back: never guessed.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Uid of the object that held the value.
    pub uid: Uid,
    /// The value.
    pub value: Value,
    /// Who looked after the object: it may be gone when that matters.
    pub owners: std::sync::Arc<Owners>,
}

/// The merge patch (RFC 7396) that makes `wanted` out of `current`: what is not in `wanted` is
/// removed, however deep it lies. Neither holds a `null`.
pub fn merge_patch(current: &Value, wanted: &Value) -> Value {
    let (Value::Object(current), Value::Object(wanted)) = (current, wanted) else {
        return wanted.clone();
    };
    let gone = current.keys().filter(|key| !wanted.contains_key(*key));
    let mut patch: Map<String, Value> = gone.map(|key| (key.clone(), Value::Null)).collect();
    for (key, wanted) in wanted {
        let now = current.get(key).unwrap_or(&Value::Null);
        if now != wanted {
            patch.insert(key.clone(), merge_patch(now, wanted));
        }
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-c]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_merge_patch_leads_to_what_is_wanted(current in json(), wanted in json()) {
            let patch = merge_patch(&current, &wanted);
            let mut result = current;
            crate::controls::testing::merge(&mut result, &patch);
            prop_assert_eq!(result, wanted);
        }
    }
}
