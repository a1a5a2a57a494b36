//! A label's cells in a batch of keys. Few labels have as many values as there are keys, so what
//! rows have in common is decoded and escaped once.

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::ops::Range;

use foldhash::fast::FixedState;

use crate::exposition::LabelValues;
use crate::plugin::Cells;

/// Cells of the rows that go on.
#[derive(Debug)]
pub(super) struct Column {
    /// Those that differ; now and then one twice.
    cells: Cells,
    /// Which of them a row of the batch has. None: row i has cell i.
    which: Option<Vec<u32>>,
}

/// Finds cells that have been there before: nearly always, if there are few of them.
struct Seen {
    /// By the last bits of a cell's hash, the last cell that had them.
    last: [Option<u32>; BUCKETS],
    hasher: FixedState,
    looked: usize,
    found: usize,
}

const BUCKETS: usize = 256;
/// After so many looks it has to have found one in so many: a look costs some 5 ns, a cell that
/// needs no decoding saves some 20.
const TRIED: usize = 128;
const WORTH: usize = 4;

impl Column {
    /// The bytes `field` of the keys of these rows. `keys` have `key_size` bytes each.
    pub(super) fn of(keys: &Cells, key_size: usize, field: Range<usize>, rows: &[u32]) -> Self {
        let total = keys.len();
        let mut cells = Cells::with_capacity(rows.len(), rows.len() * field.len());
        let mut which = vec![0; total];
        let mut seen = Seen::default();
        for &row in rows {
            let key = row as usize * key_size;
            let cell = key + field.start..key + field.end;
            let cell = keys.bytes().get(cell).unwrap_or_default();
            let known = if seen.is_worth_it() {
                seen.find(&cells, cell)
            } else {
                None
            };
            let known = known.unwrap_or_else(|| {
                cells.push_short(cell);
                cells.len() as u32 - 1
            });
            if let Some(which) = which.get_mut(row as usize) {
                *which = known;
            }
        }
        let each_its_own = cells.len() == total;
        Self {
            cells,
            which: (!each_its_own).then_some(which),
        }
    }

    /// What is to be decoded.
    pub(super) fn cells(&self) -> &Cells {
        &self.cells
    }

    /// Which of the cells a row has.
    pub(super) fn cell_of(&self, row: u32) -> usize {
        match &self.which {
            Some(which) => which
                .get(row as usize)
                .map_or(usize::MAX, |&cell| cell as usize),
            None => row as usize,
        }
    }

    /// Takes what the cells were decoded to, one for one.
    pub(super) fn replace(&mut self, cells: Cells) {
        self.cells = cells;
    }

    /// Leaves out the cells that no row has any more. `total`: rows of the batch; `rows`: those
    /// that go on.
    pub(super) fn narrow(&mut self, total: usize, rows: &[u32]) {
        let mut kept = Cells::default();
        let mut indexes = vec![None; self.cells.len()];
        let mut which = vec![0; total];
        for &row in rows {
            let cell = self.cell_of(row);
            let (Some(index), Some(which)) = (indexes.get_mut(cell), which.get_mut(row as usize))
            else {
                continue;
            };
            *which = *index.get_or_insert_with(|| {
                kept.push(self.cells.get(cell));
                kept.len() as u32 - 1
            });
        }
        self.cells = kept;
        self.which = Some(which);
    }

    /// A cell for each of these rows.
    pub(super) fn spread(&self, rows: &[u32]) -> Cow<'_, Cells> {
        if self.which.is_none() && rows.len() == self.cells.len() {
            return Cow::Borrowed(&self.cells);
        }
        let cells = rows.iter().map(|&row| self.cells.get(self.cell_of(row)));
        Cow::Owned(cells.collect())
    }

    /// As label values of the batch's rows.
    pub(super) fn values(&self) -> LabelValues<'_> {
        LabelValues::new(self.cells.bytes(), self.cells.ends(), self.which.as_deref())
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            last: [None; BUCKETS],
            hasher: FixedState::default(),
            looked: 0,
            found: 0,
        }
    }
}

impl Seen {
    fn is_worth_it(&self) -> bool {
        self.looked < TRIED || self.found * WORTH >= self.looked
    }

    /// The number of a cell that is the same. If there is none, this one is taken to be the next.
    #[inline]
    fn find(&mut self, cells: &Cells, cell: &[u8]) -> Option<u32> {
        self.looked += 1;
        let bucket = self.hasher.hash_one(cell) as usize % BUCKETS;
        let last = &mut self.last[bucket];
        match *last {
            Some(known) if cells.get(known as usize) == cell => {
                self.found += 1;
                Some(known)
            }
            _ => {
                *last = Some(cells.len() as u32);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: usize = 8;

    /// Keys of eight bytes: a number in the first four, another in the last.
    fn keys(numbers: impl Iterator<Item = (u32, u32)>) -> Cells {
        let keys: Vec<_> = numbers
            .map(|(a, b)| [a.to_ne_bytes(), b.to_ne_bytes()].concat())
            .collect();
        keys.iter().map(Vec::as_slice).collect()
    }

    fn number(cells: &Cells, cell: usize) -> u32 {
        u32::from_ne_bytes(cells.get(cell).try_into().unwrap())
    }

    #[test]
    fn few_cells_stand_for_many_rows_and_many_for_themselves() {
        let keys = keys((0..1000).map(|row| (row, row % 5)));
        let rows: Vec<u32> = (0..1000).collect();
        let many = Column::of(&keys, KEY, 0..4, &rows);
        assert_eq!(many.cells().len(), 1000);
        assert!(many.which.is_none());
        let few = Column::of(&keys, KEY, 4..8, &rows);
        assert!(few.cells().len() <= 10, "{}", few.cells().len());
        for row in rows.iter().copied() {
            assert_eq!(number(many.cells(), many.cell_of(row)), row);
            assert_eq!(number(few.cells(), few.cell_of(row)), row % 5);
        }
        let spread = few.spread(&rows);
        assert_eq!(spread.len(), 1000);
        assert_eq!(number(&spread, 7), 2);
    }

    #[test]
    fn only_rows_that_go_on_are_asked_about() {
        let keys = keys((0..6).map(|row| (row, row / 3)));
        let mut column = Column::of(&keys, KEY, 4..8, &[1, 2, 5]);
        assert_eq!(column.cells().len(), 2);
        column.narrow(6, &[1, 2]);
        assert_eq!(column.cells().len(), 1);
        assert_eq!((column.cell_of(1), column.cell_of(2)), (0, 0));
        assert_eq!(column.spread(&[1, 2]).len(), 2);
        column.narrow(6, &[]);
        assert_eq!(column.cells().len(), 0);
    }

    #[test]
    fn fields_may_be_empty() {
        let keys: Cells = [&b""[..]; 3].into_iter().collect();
        let column = Column::of(&keys, 0, 0..0, &[0, 1, 2]);
        assert_eq!(column.cells().len(), 1);
        assert_eq!(column.cell_of(2), 0);
    }
}
