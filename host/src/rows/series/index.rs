//! Where the series of given labels is.
//!
//! Most maps are filled once with keys of which no two give the same labels. So the index watches
//! the first series of a map whose keys are all new, and where they are all different it gives up:
//! the few that are not are found when the series are sorted. It is made again when series are
//! added to others.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// So many series are watched.
const WATCHED: usize = 4096;
/// One in so many may be there already.
const RARE: usize = 16;

/// Family and labels.
type Labels<'a> = (u32, &'a str);

#[derive(Debug, Default)]
pub(super) struct Index {
    table: Option<HashTable<Indexed>>,
    hasher: RandomState,
    /// In a scrape that has begun without any series.
    filling: bool,
    /// How many of the watched ones were there already.
    known: usize,
}

/// A series and half of the hash of its labels: the table grows without a look at the labels, and
/// compares few of them.
#[derive(Debug, Clone, Copy)]
struct Indexed {
    hash: u32,
    index: u32,
}

impl Indexed {
    fn new(hasher: &RandomState, labels: Labels<'_>, index: u32) -> Self {
        let hash = (hasher.hash_one(labels) >> 32) as u32;
        Self { hash, index }
    }

    /// The same for the same half of a hash; as the table wants it, both ends vary.
    fn spread(self) -> u64 {
        u64::from(self.hash) << 32 | u64::from(self.hash)
    }
}

impl Index {
    /// Begins a scrape. `filling`: there are no series yet, and it does no harm if some are added
    /// twice.
    pub(super) fn begin(&mut self, filling: bool) {
        self.filling = filling;
        self.known = 0;
    }

    pub(super) fn is_filling(&self) -> bool {
        self.filling
    }

    /// The index of the series with these labels; None, and it is added with the index `fresh`, if
    /// it is not known. `labels`: of each series before `fresh`.
    #[inline]
    pub(super) fn find_or_add<'a>(
        &mut self,
        wanted: Labels<'a>,
        fresh: u32,
        labels: impl Fn(u32) -> Labels<'a>,
    ) -> Option<u32> {
        if self.filling && fresh as usize == WATCHED && self.known < WATCHED / RARE {
            self.table = None;
        }
        let gave_up = self.table.is_none() && fresh as usize >= WATCHED;
        if self.filling && gave_up {
            return None;
        }
        let (table, hasher) = (&mut self.table, &self.hasher);
        let table = table.get_or_insert_with(|| index_of(hasher, fresh, &labels));
        let fresh = Indexed::new(&self.hasher, wanted, fresh);
        let same = |known: &Indexed| known.hash == fresh.hash && labels(known.index) == wanted;
        match table.entry(fresh.spread(), same, |known| known.spread()) {
            Entry::Occupied(known) => {
                self.known += usize::from(self.filling);
                Some(known.get().index)
            }
            Entry::Vacant(vacant) => {
                vacant.insert(fresh);
                None
            }
        }
    }

    /// The index of the series with these labels among the `total` that there are.
    pub(super) fn find<'a>(
        &mut self,
        wanted: Labels<'a>,
        total: u32,
        labels: impl Fn(u32) -> Labels<'a>,
    ) -> Option<u32> {
        let (table, hasher) = (&mut self.table, &self.hasher);
        let table = table.get_or_insert_with(|| index_of(hasher, total, &labels));
        let looked_for = Indexed::new(hasher, wanted, total);
        let same = |known: &Indexed| known.hash == looked_for.hash && labels(known.index) == wanted;
        let found = table.find(looked_for.spread(), same);
        found.map(|known| known.index)
    }

    /// Follows series that have moved: the one that was at `indexes[i]` is at `i`. There were
    /// `total`; those left out are not in the index.
    pub(super) fn move_to(&mut self, indexes: &[u32], total: usize) {
        let Some(table) = &mut self.table else {
            return;
        };
        let mut moved = vec![0; total];
        for (new, old) in (0..).zip(indexes) {
            moved[*old as usize] = new;
        }
        for known in table.iter_mut() {
            known.index = moved[known.index as usize];
        }
    }
}

/// Of the first `total` series.
fn index_of<'a>(
    hasher: &RandomState,
    total: u32,
    labels: impl Fn(u32) -> Labels<'a>,
) -> HashTable<Indexed> {
    let mut table = HashTable::with_capacity(total as usize);
    for index in 0..total {
        let known = Indexed::new(hasher, labels(index), index);
        table.insert_unique(known.spread(), known, |known| known.spread());
    }
    table
}
