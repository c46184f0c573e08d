//! Values with a key and a small dense number, which others refer to them by.

use std::collections::{BTreeMap, btree_map::Entry};

/// Values by key and by number. Numbers of what was removed are given out again.
#[derive(Debug)]
pub(in crate::analysis) struct Keyed<K, V> {
    numbers: BTreeMap<K, u32>,
    slots: Vec<Option<(K, V)>>,
    free: Vec<u32>,
}

impl<K, V> Default for Keyed<K, V> {
    fn default() -> Self {
        Self {
            numbers: BTreeMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<K: Ord + Clone, V> Keyed<K, V> {
    /// The number of a key that is held.
    pub(in crate::analysis) fn number(&self, key: &K) -> Option<u32> {
        self.numbers.get(key).copied()
    }

    /// The number of a key; what is not held yet is made.
    pub(in crate::analysis) fn enter(&mut self, key: &K, make: impl FnOnce() -> V) -> u32 {
        let vacant = match self.numbers.entry(key.clone()) {
            Entry::Occupied(known) => return *known.get(),
            Entry::Vacant(vacant) => vacant,
        };
        let slot = Some((key.clone(), make()));
        let number = if let Some(number) = self.free.pop() {
            self.slots[number as usize] = slot;
            number
        } else {
            if self.slots.len() == self.slots.capacity() {
                // Not twice as many: most of the memory would be held for nothing.
                self.slots.reserve_exact(16 + self.slots.len() / 8);
            }
            self.slots.push(slot);
            // Four thousand million objects don't fit into etcd.
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        };
        *vacant.insert(number)
    }

    /// Key and value of a number.
    pub(in crate::analysis) fn at(&self, number: u32) -> Option<(&K, &V)> {
        let slot = self.slots.get(number as usize)?.as_ref();
        slot.map(|(key, value)| (key, value))
    }

    /// The value of a number.
    pub(in crate::analysis) fn at_mut(&mut self, number: u32) -> Option<&mut V> {
        let slot = self.slots.get_mut(number as usize)?.as_mut();
        slot.map(|(_, value)| value)
    }

    /// The value of a key.
    pub(in crate::analysis) fn get(&self, key: &K) -> Option<&V> {
        Some(self.at(self.number(key)?)?.1)
    }

    /// Takes a key out.
    pub(in crate::analysis) fn remove(&mut self, key: &K) -> Option<V> {
        let number = self.numbers.remove(key)?;
        let (_, value) = self.slots[number as usize].take()?;
        self.free.push(number);
        Some(value)
    }

    /// All of them, by key.
    pub(in crate::analysis) fn iter(&self) -> impl Iterator<Item = (u32, &K, &V)> {
        self.numbers
            .iter()
            .filter_map(|(key, number)| Some((*number, key, self.at(*number)?.1)))
    }

    /// Numbers are below this.
    pub(in crate::analysis) const fn bound(&self) -> usize {
        self.slots.len()
    }
}
