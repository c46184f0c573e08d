//! The words that a verdict is made of. Closed sets: they are labels of metrics, columns of exports and fields of evidence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a control says about a subject. Only `Pass` counts as satisfied.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Outcome {
    /// The control holds.
    Pass,
    /// The control does not hold.
    Fail,
    /// The control does not hold, or need not, and a valid exception covers the subject.
    Excepted,
    /// The control has nothing to say about this subject.
    NotApplicable,
    /// What was needed for a decision could not be read, decoded or reached.
    Unknown,
}

impl Outcome {
    /// All outcomes, in the order in which they are shown.
    pub const ALL: [Self; 5] = [
        Self::Pass,
        Self::Fail,
        Self::Excepted,
        Self::NotApplicable,
        Self::Unknown,
    ];

    /// The name, as it appears in the API, metrics and evidence.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "Pass",
            Self::Fail => "Fail",
            Self::Excepted => "Excepted",
            Self::NotApplicable => "NotApplicable",
            Self::Unknown => "Unknown",
        }
    }

    /// The outcome of a whole from those of its parts: the first present of `Fail`, `Unknown`, `Excepted`, `Pass`,
    /// `NotApplicable`. `None` when there are no parts: an empty population is for the caller to judge.
    pub fn combine(parts: impl IntoIterator<Item = Self>) -> Option<Self> {
        parts.into_iter().max_by_key(|outcome| outcome.weight())
    }

    const fn weight(self) -> u8 {
        match self {
            Self::NotApplicable => 0,
            Self::Pass => 1,
            Self::Excepted => 2,
            Self::Unknown => 3,
            Self::Fail => 4,
        }
    }
}

/// What a verdict rests on, weakest first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Strength {
    /// A field says so.
    Declared,
    /// Computed from all objects that interact.
    Effective,
    /// Seen working: a probe, a counter, a restore.
    Operating,
    /// A person says so.
    Attested,
}

impl Strength {
    /// All strengths.
    pub const ALL: [Self; 4] = [
        Self::Declared,
        Self::Effective,
        Self::Operating,
        Self::Attested,
    ];

    /// The name, as it appears in the API, metrics and evidence.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Declared => "Declared",
            Self::Effective => "Effective",
            Self::Operating => "Operating",
            Self::Attested => "Attested",
        }
    }
}

/// How much a failure matters, least first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Severity {
    /// Worth knowing.
    Low,
    /// Fix in the normal course of work.
    Medium,
    /// Fix soon.
    High,
    /// Fix now.
    Critical,
}

impl Severity {
    /// All severities, least first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The name, as it appears in the API, metrics and evidence.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
            Self::Critical => "Critical",
        }
    }
}

macro_rules! display_as_str {
    ($($name:ident),*) => {$(
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    )*};
}
display_as_str!(Outcome, Strength, Severity);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_serde_writes() {
        for outcome in Outcome::ALL {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
        }
        for strength in Strength::ALL {
            assert_eq!(serde_json::to_value(strength).unwrap(), strength.as_str());
        }
        for severity in Severity::ALL {
            assert_eq!(serde_json::to_value(severity).unwrap(), severity.as_str());
        }
    }

    #[test]
    fn combine_takes_the_first_present_in_the_decided_order() {
        use Outcome::{Excepted, Fail, NotApplicable, Pass, Unknown};
        let order = [Fail, Unknown, Excepted, Pass, NotApplicable];
        for (rank, &first) in order.iter().enumerate() {
            assert_eq!(
                Outcome::combine(order[rank..].iter().rev().copied()),
                Some(first)
            );
        }
        assert_eq!(Outcome::combine([]), None);
    }
}
