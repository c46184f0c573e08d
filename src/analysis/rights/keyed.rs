//! Values with a key and a small dense number, which others refer to them by.

use std::{
    borrow::Borrow,
    cell::OnceCell,
    hash::{BuildHasher, Hash},
};

use foldhash::fast::FixedState;
use hashbrown::{HashTable, hash_table::Entry};

/// Values by key and by number. Numbers of what was removed are given out again.
///
/// Each key is held once, beside its value. It is looked up by its hash, which never decides in
/// which order anything happens: the order of the keys is made when it is first asked for.
#[derive(Debug)]
pub(in crate::analysis) struct Keyed<K, V> {
    slots: Vec<Option<(K, V)>>,
    index: HashTable<u32>,
    order: OnceCell<Vec<u32>>,
    free: Vec<u32>,
}

impl<K, V> Default for Keyed<K, V> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            index: HashTable::new(),
            order: OnceCell::new(),
            free: Vec::new(),
        }
    }
}

fn hash<Q: Hash + ?Sized>(key: &Q) -> u64 {
    // The same in every process: equal inputs are to take equal steps.
    FixedState::default().hash_one(key)
}

/// The key of a number that is given out.
fn key<K, V>(slots: &[Option<(K, V)>], number: u32) -> Option<&K> {
    let slot = slots.get(number as usize)?.as_ref();
    slot.map(|(key, _)| key)
}

impl<K: Ord + Hash + Clone, V> Keyed<K, V> {
    /// The number of a key that is held.
    pub(in crate::analysis) fn number<Q>(&self, wanted: &Q) -> Option<u32>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let is = |number: &u32| {
            let key = key(&self.slots, *number);
            key.is_some_and(|key| key.borrow() == wanted)
        };
        self.index.find(hash(wanted), is).copied()
    }

    /// The number of a key; what is not held yet is made.
    pub(in crate::analysis) fn enter(&mut self, wanted: &K, make: impl FnOnce() -> V) -> u32 {
        let slots = &self.slots;
        let is = |number: &u32| key(slots, *number) == Some(wanted);
        let rehash = |number: &u32| key(slots, *number).map_or(0, hash);
        let vacant = match self.index.entry(hash(wanted), is, rehash) {
            Entry::Occupied(known) => return *known.get(),
            Entry::Vacant(vacant) => vacant,
        };
        // Four thousand million objects don't fit into etcd.
        let next = || u32::try_from(slots.len()).unwrap_or(u32::MAX);
        let number = self.free.pop().unwrap_or_else(next);
        vacant.insert(number);
        self.line_up(number, wanted);
        let slot = Some((wanted.clone(), make()));
        if let Some(free) = self.slots.get_mut(number as usize) {
            *free = slot;
            return number;
        }
        if self.slots.len() == self.slots.capacity() {
            // Not twice as many: most of the memory would be held for nothing.
            self.slots.reserve_exact(16 + self.slots.len() / 4);
        }
        self.slots.push(slot);
        number
    }

    /// The value of a key; what is not held yet is made.
    pub(in crate::analysis) fn entered(&mut self, wanted: &K) -> &mut V
    where
        V: Default,
    {
        let number = self.enter(wanted, V::default);
        let slot = &mut self.slots[number as usize];
        &mut slot.get_or_insert_with(|| (wanted.clone(), V::default())).1
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
    pub(in crate::analysis) fn get<Q>(&self, wanted: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        Some(self.at(self.number(wanted)?)?.1)
    }

    /// Takes a key out.
    pub(in crate::analysis) fn remove(&mut self, wanted: &K) -> Option<V> {
        let slots = &self.slots;
        let is = |number: &u32| key(slots, *number) == Some(wanted);
        let known = self.index.find_entry(hash(wanted), is).ok()?;
        let (number, _) = known.remove();
        let place = self.place(wanted);
        if let (Some(order), Some(Ok(place))) = (self.order.get_mut(), place) {
            order.remove(place);
        }
        let (_, value) = self.slots[number as usize].take()?;
        self.free.push(number);
        Some(value)
    }

    /// All of them, by key.
    pub(in crate::analysis) fn iter(&self) -> impl Iterator<Item = (u32, &K, &V)> {
        let numbers = self.order.get_or_init(|| {
            let mut numbers: Vec<u32> = self.index.iter().copied().collect();
            // Nearly all of them came in order.
            numbers.sort_unstable();
            numbers.sort_by_key(|number| key(&self.slots, *number));
            numbers
        });
        let numbers = numbers.iter().copied();
        numbers.filter_map(|number| self.at(number).map(|(key, value)| (number, key, value)))
    }

    /// All of them, by number: in no order that means anything, which takes no sorting.
    pub(in crate::analysis) fn unordered(&self) -> impl Iterator<Item = (u32, &K, &V)> {
        let slots = (0..).zip(&self.slots);
        slots.filter_map(|(number, slot)| slot.as_ref().map(|(key, value)| (number, key, value)))
    }

    /// Numbers are below this.
    pub(in crate::analysis) const fn bound(&self) -> usize {
        self.slots.len()
    }

    /// Where a key is in the order, or would be; `None` where nobody has asked for the order yet.
    fn place(&self, wanted: &K) -> Option<Result<usize, usize>> {
        let order = self.order.get()?;
        Some(order.binary_search_by(|number| key(&self.slots, *number).cmp(&Some(wanted))))
    }

    /// Puts a number that is not given out yet where its key belongs.
    fn line_up(&mut self, number: u32, wanted: &K) {
        if let Some(Err(place)) = self.place(wanted)
            && let Some(order) = self.order.get_mut()
        {
            order.insert(place, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn it_is_an_ordered_map_whenever_somebody_looks(
            steps in vec((0..40_u8, any::<bool>(), any::<bool>()), 0..200),
        ) {
            let (mut keyed, mut map) = (Keyed::default(), BTreeMap::new());
            for (key, enter, look) in steps {
                if enter {
                    let number = keyed.enter(&key, || u16::from(key));
                    prop_assert_eq!(keyed.at(number), Some((&key, &u16::from(key))));
                    map.insert(key, u16::from(key));
                } else {
                    prop_assert_eq!(keyed.remove(&key), map.remove(&key));
                }
                prop_assert_eq!(keyed.get(&key), map.get(&key));
                prop_assert!(keyed.bound() <= 40);
                if look {
                    let all: Vec<_> = keyed.iter().map(|(_, key, value)| (key, value)).collect();
                    prop_assert!(all.into_iter().eq(&map));
                }
            }
        }
    }
}
