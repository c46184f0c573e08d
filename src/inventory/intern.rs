//! Sharing of equal values: namespaces, label sets and pod templates repeat thousands of times.
//!
//! A shared value is an `Arc`, so that reading it needs no table and dropping the last user frees
//! it: pod churn over months must not grow the interner. What nobody uses any more is swept when
//! the set has doubled since the last sweep, which makes the sweep's cost constant per insertion.

use std::{borrow::Borrow, collections::BTreeSet, sync::Arc};

use super::{meta::Labels, meta::Owners, template::Template, velero::BackupSpec};

/// A shared string.
pub type Sym = Arc<str>;

/// A set of shared values of one type.
#[derive(Debug)]
struct Pool<T: ?Sized> {
    values: BTreeSet<Arc<T>>,
    sweep_at: usize,
}

/// Below this many values a sweep isn't worth its time.
const SWEEP_FLOOR: usize = 1024;

impl<T: ?Sized + Ord> Default for Pool<T> {
    fn default() -> Self {
        Self {
            values: BTreeSet::new(),
            sweep_at: SWEEP_FLOOR,
        }
    }
}

impl<T: ?Sized + Ord> Pool<T> {
    fn share<Q>(&mut self, value: Q) -> Arc<T>
    where
        Q: Borrow<T> + Into<Arc<T>>,
    {
        if let Some(shared) = self.values.get(value.borrow()) {
            return Arc::clone(shared);
        }
        if self.values.len() >= self.sweep_at {
            self.values.retain(|value| Arc::strong_count(value) > 1);
            self.sweep_at = (self.values.len() * 2).max(SWEEP_FLOOR);
        }
        let shared: Arc<T> = value.into();
        self.values.insert(Arc::clone(&shared));
        shared
    }
}

/// A borrowed string that can become a shared one.
struct Text<'a>(&'a str);

impl Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        self.0
    }
}

impl From<Text<'_>> for Arc<str> {
    fn from(text: Text<'_>) -> Self {
        Self::from(text.0)
    }
}

/// All pools of an inventory.
#[derive(Debug, Default)]
pub struct Interner {
    strings: Pool<str>,
    labels: Pool<Labels>,
    owners: Pool<Owners>,
    templates: Pool<Template>,
    backup_specs: Pool<BackupSpec>,
}

impl Interner {
    /// The shared form of a string.
    pub fn string(&mut self, text: &str) -> Sym {
        self.strings.share(Text(text))
    }

    /// The shared form of a label set.
    pub fn labels(&mut self, labels: Labels) -> Arc<Labels> {
        self.labels.share(labels)
    }

    /// The shared form of ownership marks.
    pub fn owners(&mut self, owners: Owners) -> Arc<Owners> {
        self.owners.share(owners)
    }

    /// The shared form of a pod template.
    pub fn template(&mut self, template: Template) -> Arc<Template> {
        self.templates.share(template)
    }

    /// The shared form of what a backup holds: all backups of a schedule hold the same.
    pub fn backup_spec(&mut self, spec: BackupSpec) -> Arc<BackupSpec> {
        self.backup_specs.share(spec)
    }

    /// How many distinct values are held, for metrics and tests.
    pub fn len(&self) -> usize {
        self.strings.values.len()
            + self.labels.values.len()
            + self.owners.values.len()
            + self.templates.values.len()
            + self.backup_specs.values.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_share_memory() {
        let mut interner = Interner::default();
        let (a, b) = (interner.string("shop"), interner.string("shop"));
        assert!(Arc::ptr_eq(&a, &b));
    }

    #[test]
    fn values_that_nobody_uses_are_swept() {
        let mut interner = Interner::default();
        for i in 0..10 * SWEEP_FLOOR {
            interner.string(&format!("pod-{i}"));
        }
        assert!(interner.len() <= SWEEP_FLOOR + 1, "{}", interner.len());
    }
}
