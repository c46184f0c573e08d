//! What a control says about a subject: outcome, strength and severity.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a control found. Only [`Outcome::Pass`] counts as satisfied.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Outcome {
    /// The rule holds.
    Pass,
    /// The rule does not hold: a deviation is open.
    Fail,
    /// The rule does not hold, and a valid exception says that this is accepted.
    Excepted,
    /// The rule has nothing to say about this subject.
    NotApplicable,
    /// Nobody can tell: not readable, not decodable, not reachable, or the control failed.
    Unknown,
}

impl Outcome {
    /// Every outcome, in the order in which reports list them.
    pub const ALL: [Self; 5] = [
        Self::Pass,
        Self::Fail,
        Self::Excepted,
        Self::NotApplicable,
        Self::Unknown,
    ];

    /// The name used in the API, metrics and entries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "Pass",
            Self::Fail => "Fail",
            Self::Excepted => "Excepted",
            Self::NotApplicable => "NotApplicable",
            Self::Unknown => "Unknown",
        }
    }

    /// Position in [`Outcome::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// How many subjects have each outcome. As JSON an object like `{"Fail": 1, "Pass": 12}`, without those that none has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; 5]);

impl Counts {
    /// So many subjects, all with `outcome`.
    pub fn all(outcome: Outcome, subjects: u64) -> Self {
        let mut counts = Self::default();
        counts.0[outcome.index()] = subjects;
        counts
    }

    /// Counts the subjects of `other` too.
    pub fn join(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum += more;
        }
    }

    /// The outcomes that there are, with how many subjects have each.
    pub fn present(&self) -> impl Iterator<Item = (Outcome, u64)> {
        let all = Outcome::ALL.into_iter().zip(self.0);
        all.filter(|(_, subjects)| *subjects > 0)
    }

    /// Subjects with `outcome`.
    pub const fn of(&self, outcome: Outcome) -> u64 {
        self.0[outcome.index()]
    }

    /// Subjects in all.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, more| sum.saturating_add(*more))
    }

    /// Counts one subject more.
    pub const fn add(&mut self, outcome: Outcome) {
        self.0[outcome.index()] += 1;
    }

    /// Counts one subject less.
    pub const fn remove(&mut self, outcome: Outcome) {
        self.0[outcome.index()] = self.0[outcome.index()].saturating_sub(1);
    }

    /// The outcome of a control: the first present of `Fail`, `Unknown`, `Excepted`, `Pass`,
    /// and `NotApplicable` for an empty population.
    pub fn combined(&self) -> Outcome {
        [
            Outcome::Fail,
            Outcome::Unknown,
            Outcome::Excepted,
            Outcome::Pass,
        ]
        .into_iter()
        .find(|outcome| self.of(*outcome) > 0)
        .unwrap_or(Outcome::NotApplicable)
    }
}

impl FromIterator<(Outcome, u64)> for Counts {
    fn from_iter<T: IntoIterator<Item = (Outcome, u64)>>(counted: T) -> Self {
        let mut counts = Self::default();
        for (outcome, subjects) in counted {
            counts.0[outcome.index()] = subjects;
        }
        counts
    }
}

impl<const N: usize> From<[(Outcome, u64); N]> for Counts {
    fn from(counted: [(Outcome, u64); N]) -> Self {
        counted.into_iter().collect()
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.present())
    }
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counted;

        impl<'de> Visitor<'de> for Counted {
            type Value = Counts;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("numbers of subjects by outcome")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut counted: A) -> Result<Counts, A::Error> {
                let mut counts = Counts::default();
                while let Some((outcome, subjects)) = counted.next_entry::<Outcome, u64>()? {
                    counts.0[outcome.index()] = subjects;
                }
                Ok(counts)
            }
        }

        deserializer.deserialize_map(Counted)
    }
}

/// What a verdict rests on, from the weakest to the strongest.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Strength {
    /// A person says so.
    Attested,
    /// A field says so.
    Declared,
    /// Computed from all objects that interact.
    Effective,
    /// Seen working: a probe, a counter, a restore.
    Operating,
}

impl Strength {
    /// The name used in the API, metrics and entries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attested => "Attested",
            Self::Declared => "Declared",
            Self::Effective => "Effective",
            Self::Operating => "Operating",
        }
    }
}

/// How bad a failure is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Severity {
    /// Worth knowing.
    Low,
    /// Worth planning.
    Medium,
    /// Worth a day's interruption.
    High,
    /// Worth waking someone.
    Critical,
}

impl Severity {
    /// The name used in the API, metrics and entries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
            Self::Critical => "Critical",
        }
    }
}

macro_rules! display {
    ($($name:ident)*) => {$(
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    )*};
}

display!(Outcome Strength Severity);

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(outcomes: &[Outcome]) -> Counts {
        let mut counts = Counts::default();
        for outcome in outcomes {
            counts.add(*outcome);
        }
        counts
    }

    #[test]
    fn one_failure_outweighs_everything() {
        assert_eq!(counts(&Outcome::ALL).combined(), Outcome::Fail);
    }

    #[test]
    fn unknown_is_never_hidden_by_passes() {
        use Outcome::{Pass, Unknown};
        assert_eq!(counts(&[Pass, Pass, Unknown]).combined(), Unknown);
    }

    #[test]
    fn an_empty_population_is_not_a_pass() {
        assert_eq!(counts(&[]).combined(), Outcome::NotApplicable);
    }

    #[test]
    fn removing_undoes_adding() {
        let mut counts = counts(&[Outcome::Fail, Outcome::Pass]);
        counts.remove(Outcome::Fail);
        assert_eq!((counts.combined(), counts.total()), (Outcome::Pass, 1));
    }
}
