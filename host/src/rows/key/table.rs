//! The key table: raw key bytes -> what the key adds to, laid out in the order in which the keys
//! were first met.
//!
//! A kernel map that didn't change is walked in the same order every time, so the entry after the
//! one found last is nearly always the one looked for: comparing its key costs a fraction of a hash
//! look-up. The hash index is made when that guess fails for the first time, and never for a map
//! that stays as it is.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::hash::BuildHasher;

/// Index of an entry.
pub(in crate::rows) type EntryId = u32;

/// Fixed-size keys and a value for each.
#[derive(Debug)]
pub(in crate::rows) struct KeyTable<T> {
    key_size: usize,
    /// Keys end to end; entry i is at `i * key_size`.
    keys: Vec<u8>,
    entries: Vec<T>,
    /// Of every entry, once it was needed.
    index: Option<HashTable<Indexed>>,
    hasher: FixedState,
    /// Where the next look-up begins.
    next: usize,
    /// The table was empty when the walk began: no key of it is known, so there is nothing to look
    /// for.
    filling: bool,
}

/// An entry and half of its key's hash: the index grows without a look at the keys, and compares
/// few of them.
#[derive(Debug, Clone, Copy)]
struct Indexed {
    hash: u32,
    id: EntryId,
}

impl Indexed {
    fn new(hash: u64, id: EntryId) -> Self {
        Self {
            hash: (hash >> 32) as u32,
            id,
        }
    }

    /// The same for the same half of a hash; as the table wants it, both ends vary.
    fn spread(self) -> u64 {
        u64::from(self.hash) << 32 | u64::from(self.hash)
    }
}

impl<T> KeyTable<T> {
    pub(in crate::rows) fn new(key_size: usize) -> Self {
        // The seed differs from process to process, so that nobody can fill one bucket from
        // outside.
        let seed = foldhash::fast::RandomState::default().hash_one(key_size);
        Self {
            key_size,
            keys: Vec::new(),
            entries: Vec::new(),
            index: None,
            hasher: FixedState::with_seed(seed),
            next: 0,
            filling: true,
        }
    }

    pub(in crate::rows) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it was empty when the walk began.
    pub(in crate::rows) fn is_filling(&self) -> bool {
        self.filling
    }

    /// Call before a walk: the first key is guessed to be the first entry.
    pub(in crate::rows) fn rewind(&mut self) {
        self.next = 0;
        self.filling = self.entries.is_empty();
    }

    /// Makes room for so many entries: memory that isn't written to costs nothing, moving what has
    /// grown does.
    pub(in crate::rows) fn reserve(&mut self, entries: usize) {
        // Where there is none to reserve, they grow step by step.
        let bytes = entries.saturating_mul(self.key_size);
        let _ = self.keys.try_reserve_exact(bytes);
        let _ = self.entries.try_reserve_exact(entries);
    }

    /// Gives back what was reserved and is not needed.
    pub(in crate::rows) fn shrink(&mut self) {
        self.keys.shrink_to_fit();
        self.entries.shrink_to_fit();
    }

    /// The entry of a key of `key_size` bytes.
    #[inline]
    pub(in crate::rows) fn find(&mut self, key: &[u8]) -> Option<EntryId> {
        if self.filling {
            return None;
        }
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

    fn look_up(&mut self, key: &[u8]) -> Option<EntryId> {
        self.make_index();
        self.indexed(key)
    }

    fn indexed(&self, key: &[u8]) -> Option<EntryId> {
        let wanted = Indexed::new(self.hasher.hash_one(key), 0);
        let found = self.index.as_ref()?.find(wanted.spread(), |known| {
            known.hash == wanted.hash && self.key(known.id) == key
        });
        found.map(|known| known.id)
    }

    /// From now on keys are found in any order.
    pub(in crate::rows) fn make_index(&mut self) {
        if self.index.is_some() {
            return;
        }
        let mut index = HashTable::with_capacity(self.entries.len());
        for id in 0..self.entries.len() as EntryId {
            let known = Indexed::new(self.hasher.hash_one(self.key(id)), id);
            index.insert_unique(known.spread(), known, |known| known.spread());
        }
        self.index = Some(index);
    }

    /// Sets the entry of a key, which `find` did not find. None: the table is full (2^32 entries).
    pub(in crate::rows) fn put(&mut self, key: &[u8], entry: T) -> Option<EntryId> {
        debug_assert_eq!(key.len(), self.key_size);
        let id = EntryId::try_from(self.entries.len()).ok()?;
        let Self {
            key_size,
            keys,
            index,
            ..
        } = self;
        if let Some(index) = index {
            let fresh = Indexed::new(self.hasher.hash_one(key), id);
            let same = |known: &Indexed| {
                let start = known.id as usize * *key_size;
                known.hash == fresh.hash && &keys[start..start + *key_size] == key
            };
            // The same key may have come twice since it was not found.
            match index.entry(fresh.spread(), same, |known| known.spread()) {
                Entry::Occupied(known) => {
                    let id = known.get().id;
                    self.entries[id as usize] = entry;
                    return Some(id);
                }
                Entry::Vacant(vacant) => vacant.insert(fresh),
            };
        }
        keys.extend_from_slice(key);
        self.entries.push(entry);
        Some(id)
    }

    /// All entries, in the order of their ids.
    pub(in crate::rows) fn entries(&self) -> &[T] {
        &self.entries
    }

    pub(in crate::rows) fn entries_mut(&mut self) -> &mut [T] {
        &mut self.entries
    }

    /// Like `find`, for a look from aside. Call `make_index` first.
    pub(in crate::rows) fn peek(&self, key: &[u8]) -> Option<&T> {
        self.get(self.indexed(key)?)
    }

    pub(in crate::rows) fn key(&self, id: EntryId) -> &[u8] {
        let start = id as usize * self.key_size;
        &self.keys[start..start + self.key_size]
    }

    pub(in crate::rows) fn get(&self, id: EntryId) -> Option<&T> {
        self.entries.get(id as usize)
    }

    pub(in crate::rows) fn get_mut(&mut self, id: EntryId) -> Option<&mut T> {
        self.entries.get_mut(id as usize)
    }

    /// Keeps the entries that `keep` says, in their order; entry ids change.
    pub(in crate::rows) fn retain(&mut self, mut keep: impl FnMut(&mut T) -> bool) {
        let size = self.key_size;
        let (mut from, mut to) = (0, 0);
        let keys = &mut self.keys;
        self.entries.retain_mut(|entry| {
            let kept = keep(entry);
            if kept {
                keys.copy_within(from..from + size, to);
                to += size;
            }
            from += size;
            kept
        });
        keys.truncate(to);
        self.index = None;
        self.next = 0;
        // What stays behind of a map that was larger is given back.
        if self.entries.capacity() > 4 * self.entries.len() {
            self.shrink();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: u32) -> KeyTable<u32> {
        let mut table = KeyTable::new(4);
        for number in 0..count {
            assert_eq!(table.put(&number.to_le_bytes(), number * 10), Some(number));
        }
        table.rewind();
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
    fn an_index_is_made_when_the_order_is_another() {
        let mut table = filled(3);
        for number in 0..3_u32 {
            assert_eq!(table.find(&number.to_le_bytes()), Some(number));
        }
        assert!(table.index.is_none());
        assert_eq!(table.find(&7_u32.to_le_bytes()), None);
        assert!(table.index.is_some());
        assert_eq!(table.put(&7_u32.to_le_bytes(), 70), Some(3));
        assert_eq!(table.put(&7_u32.to_le_bytes(), 71), Some(3));
        assert_eq!(table.len(), 4);
        let id = table.find(&7_u32.to_le_bytes()).unwrap();
        assert_eq!(table.get(id), Some(&71));
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
        table.rewind();
        assert_eq!(table.find(&[]), Some(0));
        table.rewind();
        assert_eq!(table.find(&[]), Some(0));
        assert_eq!(table.find(&[]), Some(0), "past the end it is still found");
    }
}
