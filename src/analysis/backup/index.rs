//! Which objects say something about what, in both directions.

use std::collections::{BTreeMap, BTreeSet};

use crate::inventory::{Kind, Sym};

/// An object by kind, namespace and name.
pub type Named = (Kind, Sym, Sym);

/// Objects by key, and the keys of each object.
#[derive(Debug)]
pub(super) struct Index<K> {
    objects: BTreeMap<K, BTreeSet<Named>>,
    keys: BTreeMap<Named, Box<[K]>>,
}

impl<K> Default for Index<K> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            keys: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Clone> Index<K> {
    /// Files an object under `keys` and nowhere else; returns those that it was filed under.
    pub(super) fn put(&mut self, object: Named, keys: Vec<K>) -> Vec<K> {
        let old = self.keys.remove(&object).unwrap_or_default();
        for key in old.iter().filter(|key| !keys.contains(key)) {
            if let Some(objects) = self.objects.get_mut(key) {
                objects.remove(&object);
                if objects.is_empty() {
                    self.objects.remove(key);
                }
            }
        }
        for key in &keys {
            let objects = self.objects.entry(key.clone()).or_default();
            objects.insert(object.clone());
        }
        if !keys.is_empty() {
            self.keys.insert(object, keys.into());
        }
        old.into()
    }

    /// The objects that are filed under a key, in order.
    pub(super) fn objects<'a>(&'a self, key: &K) -> impl Iterator<Item = &'a Named> + use<'a, K> {
        self.objects.get(key).into_iter().flatten()
    }

    /// The keys that an object is filed under.
    pub(super) fn keys_of(&self, object: &Named) -> &[K] {
        self.keys.get(object).map_or(&[], |keys| keys)
    }
}

#[cfg(test)]
impl<K: Ord> PartialEq for Index<K> {
    fn eq(&self, other: &Self) -> bool {
        self.objects == other.objects && self.keys == other.keys
    }
}
