//! The closed sets of words in entries.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use serde::{Deserialize, Serialize};

/// A closed set of words that are written as their names.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word, as it appears in evidence, metrics and exports.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words! {
    /// What happened to a policy.
    Change {
        /// It is new, or new to us.
        Created,
        /// Its spec changed.
        Updated,
        /// It is gone.
        Deleted,
        /// `spec.suspend` was set.
        Suspended,
        /// `spec.suspend` was unset.
        Resumed,
    }
}

words! {
    /// What happened to an object with which people take part.
    Step {
        /// It is new, or new to us.
        Created,
        /// Its spec changed.
        Changed,
        /// What it is about was put down, and stays as it is.
        Frozen,
        /// Somebody approved it.
        Approved,
        /// Somebody refused it.
        Rejected,
        /// A person decided something in it, such as rows of a review.
        Decided,
        /// What it asked for was seen done.
        Verified,
        /// It ended by itself.
        Expired,
        /// It is gone.
        Deleted,
    }
}

words! {
    /// Why an outcome changed. Only `Object` and `Time` are drift.
    Cause {
        /// An object changed.
        Object,
        /// Time passed.
        Time,
        /// A policy changed.
        Policy,
        /// An exception began, ended or changed.
        Exception,
        /// The rule changed: a new version of the program.
        Catalogue,
        /// What could be read changed.
        Visibility,
    }
}

words! {
    /// How a failure ended. Only `PutBack` and `FixedByOthers` are remediation.
    End {
        /// We put it back.
        PutBack,
        /// Someone else put it right.
        FixedByOthers,
        /// The rule or its parameters changed.
        DefinitionChanged,
        /// The subject is no longer in scope.
        ScopeChanged,
        /// The subject is gone.
        SubjectGone,
        /// An exception covers it.
        Excepted,
        /// The policy is suspended.
        PolicySuspended,
        /// The policy is gone.
        PolicyDeleted,
        /// It can no longer be observed.
        Unobservable,
    }
}

words! {
    /// How well a kind can be observed.
    Freshness {
        /// Complete and current.
        Synced,
        /// Its CRD never was there: an empty kind.
        Absent,
        /// Not complete yet.
        Syncing,
        /// Nothing was heard for too long.
        Stale,
        /// We may not read it.
        Forbidden,
        /// Its CRD is gone.
        Vanished,
    }
}

words! {
    /// Kind of a write.
    Action {
        /// Create an object that we then manage.
        Create,
        /// Put fields back to what they were at the last `Pass`.
        PutBack,
        /// Delete a binding.
        Delete,
        /// Set a constant from the closed list.
        Set,
    }
}

words! {
    /// What became of an intent.
    ActionResult {
        /// The server did it.
        Applied,
        /// The server refused it.
        Rejected,
        /// It didn't reach the server, or the server failed.
        Failed,
        /// The object had changed; nothing was written.
        Superseded,
        /// We stopped in between and can't tell.
        Unresolved,
    }
}

words! {
    /// State of a brake.
    BrakeState {
        /// Too much would change: no more writes for this control.
        Latched,
        /// A person released it.
        Released,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_serde_writes() {
        macro_rules! check {
            ($($name:ident),+) => {$(
                for word in $name::ALL {
                    assert_eq!(serde_json::to_value(word).unwrap(), word.as_str());
                }
            )+};
        }
        check!(
            Change,
            Step,
            Cause,
            End,
            Freshness,
            Action,
            ActionResult,
            BrakeState
        );
    }
}
