//! The key table: raw key bytes -> what the key adds to, laid out in the order in which the keys were first met.
//!
//! A kernel map that didn't change is walked in the same order every time, so the entry after the one found last is nearly always the one
//! looked for: comparing its key costs a fraction of a hash look-up.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::hash::BuildHasher;

/// Index of an entry.
pub(super) type EntryId = u32;

/// Fixed-size keys and a value for each.
#[derive(Debug)]
pub(super) struct KeyTable<T> {
    key_size: usize,
    /// Keys end to end; entry i is at `i * key_size`.
    keys: Vec<u8>,
    entries: Vec<T>,
    index: HashTable<EntryId>,
    hasher: FixedState,
    /// Where the next look-up begins.
    next: usize,
}

impl<T> KeyTable<T> {
    pub(super) fn new(key_size: usize) -> Self {
        // The seed differs from process to process, so that nobody can fill one bucket from outside.
        let seed = foldhash::fast::RandomState::default().hash_one(key_size);
        Self {
            key_size,
            keys: Vec::new(),
            entries: Vec::new(),
            index: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            next: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Call before a walk: the first key is guessed to be the first entry.
    pub(super) fn rewind(&mut self) {
        self.next = 0;
    }

    /// The entry of a key of `key_size` bytes.
    #[inline]
    pub(super) fn find(&mut self, key: &[u8]) -> Option<EntryId> {
        let guess = self.next;
        let start = guess * self.key_size;
        if self.keys.get(start..start + self.key_size) == Some(key) && guess < self.entries.len() {
            self.next = guess + 1;
            return Some(guess as EntryId);
        }
        let found = self.look_up(key)?;
        self.next = found as usize + 1;
        Some(found)
    }

    fn look_up(&self, key: &[u8]) -> Option<EntryId> {
        self.index
            .find(self.hasher.hash_one(key), |&id| self.key(id) == key)
            .copied()
    }

    /// Sets the entry of a key, which need not be in the table yet. Nothing is done if the table is full (2^32 entries).
    pub(super) fn put(&mut self, key: &[u8], entry: T) {
        debug_assert_eq!(key.len(), self.key_size);
        let Ok(new) = EntryId::try_from(self.entries.len()) else {
            return;
        };
        let Self {
            key_size,
            keys,
            index,
            hasher,
            ..
        } = self;
        let key_of = |id: EntryId| {
            let start = id as usize * *key_size;
            &keys[start..start + *key_size]
        };
        let slot = index.entry(
            hasher.hash_one(key),
            |&id| key_of(id) == key,
            |&id| hasher.hash_one(key_of(id)),
        );
        match slot {
            Entry::Occupied(known) => self.entries[*known.get() as usize] = entry,
            Entry::Vacant(place) => {
                place.insert(new);
                keys.extend_from_slice(key);
                self.entries.push(entry);
            }
        }
    }

    /// Like `find`, for a look from aside.
    pub(super) fn peek(&self, key: &[u8]) -> Option<&T> {
        self.get(self.look_up(key)?)
    }

    pub(super) fn key(&self, id: EntryId) -> &[u8] {
        let start = id as usize * self.key_size;
        &self.keys[start..start + self.key_size]
    }

    pub(super) fn get(&self, id: EntryId) -> Option<&T> {
        self.entries.get(id as usize)
    }

    pub(super) fn get_mut(&mut self, id: EntryId) -> Option<&mut T> {
        self.entries.get_mut(id as usize)
    }

    /// Keeps the entries that `keep` says, in their order; entry ids change.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&mut T) -> bool) {
        let mut kept = Self::new(self.key_size);
        let entries = std::mem::take(&mut self.entries);
        for (id, mut entry) in entries.into_iter().enumerate() {
            if keep(&mut entry) {
                let start = id * self.key_size;
                kept.put(&self.keys[start..start + self.key_size], entry);
            }
        }
        *self = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: u32) -> KeyTable<u32> {
        let mut table = KeyTable::new(4);
        for number in 0..count {
            table.put(&number.to_le_bytes(), number * 10);
        }
        table
    }

    #[test]
    fn keys_are_found_in_any_order() {
        let mut table = filled(1000);
        for number in (0..1000_u32).rev().chain(0..1000) {
            let id = table.find(&number.to_le_bytes()).unwrap();
            assert_eq!(table.get(id), Some(&(number * 10)));
        }
        assert_eq!(table.find(&5000_u32.to_le_bytes()), None);
    }

    #[test]
    fn removing_keeps_order_and_keys() {
        let mut table = filled(100);
        table.retain(|entry| *entry % 20 == 0);
        assert_eq!(table.len(), 50);
        assert_eq!(table.find(&1_u32.to_le_bytes()), None);
        let id = table.find(&98_u32.to_le_bytes()).unwrap();
        assert_eq!((id, table.get(id)), (49, Some(&980)));
    }

    #[test]
    fn keys_without_bytes_have_one_entry() {
        let mut table = KeyTable::new(0);
        assert_eq!(table.find(&[]), None);
        table.put(&[], 'x');
        assert_eq!(table.find(&[]), Some(0));
        table.rewind();
        assert_eq!(table.find(&[]), Some(0));
        assert_eq!(table.find(&[]), Some(0), "past the end it is still found");
    }
}
