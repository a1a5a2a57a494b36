//! A column of byte strings laid end to end, as it crosses the boundary to a component.

use std::ops::Range;

/// N byte strings: cell i is `bytes[ends[i-1]..ends[i]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cells {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

/// Why a pair of lists from a component is no column.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CellsError {
    #[error("expected {expected} cells, found {found}")]
    Count { expected: usize, found: usize },
    #[error("cell {cell} ends at byte {end}, outside of {from}..={to}")]
    End {
        cell: usize,
        end: u32,
        from: u32,
        to: usize,
    },
}

impl Cells {
    /// A column handed over by a component: as many cells as asked for, ends ascending and inside
    /// the bytes.
    pub(crate) fn checked(
        bytes: Vec<u8>,
        ends: Vec<u32>,
        expected: usize,
    ) -> Result<Self, CellsError> {
        if ends.len() != expected {
            return Err(CellsError::Count {
                expected,
                found: ends.len(),
            });
        }
        let mut from = 0;
        for (cell, &end) in ends.iter().enumerate() {
            if end < from || end as usize > bytes.len() {
                return Err(CellsError::End {
                    cell,
                    end,
                    from,
                    to: bytes.len(),
                });
            }
            from = end;
        }
        Ok(Self { bytes, ends })
    }

    /// No cells yet, but room for `cells` of them with `bytes` bytes in all.
    pub(crate) fn with_capacity(cells: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(cells),
        }
    }

    /// Appends a cell. Returns false, and appends nothing, if the column would pass 4 GiB.
    #[inline]
    pub(crate) fn push(&mut self, cell: &[u8]) -> bool {
        let Ok(end) = u32::try_from(self.bytes.len() + cell.len()) else {
            return false;
        };
        self.bytes.extend_from_slice(cell);
        self.ends.push(end);
        true
    }

    /// Cell `index`; empty if there is none.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> &[u8] {
        self.bytes.get(self.range(index)).unwrap_or_default()
    }

    /// Where in `bytes` cell `index` lies; empty if there is none.
    #[inline]
    pub(crate) fn range(&self, index: usize) -> Range<usize> {
        let end = self.ends.get(index).copied().unwrap_or(0);
        let start = match index.checked_sub(1) {
            Some(before) => self.ends.get(before).copied().unwrap_or(0),
            None => 0,
        };
        start as usize..end as usize
    }

    /// As `push`, of a cell that is short: of constant size where that is usual, a few moves in
    /// place of a call.
    #[inline]
    pub(crate) fn push_short(&mut self, cell: &[u8]) -> bool {
        match cell.len() {
            2 => self.push_sized::<2>(cell),
            4 => self.push_sized::<4>(cell),
            8 => self.push_sized::<8>(cell),
            16 => self.push_sized::<16>(cell),
            _ => self.push(cell),
        }
    }

    #[inline]
    fn push_sized<const SIZE: usize>(&mut self, cell: &[u8]) -> bool {
        match <&[u8; SIZE]>::try_from(cell) {
            Ok(cell) => self.push(cell),
            Err(_) => self.push(cell),
        }
    }

    /// These cells.
    pub(crate) fn slice(&self, cells: Range<usize>) -> Self {
        if cells.is_empty() {
            return Self::default();
        }
        let bytes = self.range(cells.start).start..self.range(cells.end.saturating_sub(1)).end;
        let start = bytes.start as u32;
        let ends = self.ends.get(cells).unwrap_or_default();
        Self {
            bytes: self.bytes.get(bytes).unwrap_or_default().to_vec(),
            ends: ends.iter().map(|end| end - start).collect(),
        }
    }

    /// Appends the cells of another column, empty ones where it would pass 4 GiB.
    pub(crate) fn append(&mut self, other: &Self) {
        for cell in 0..other.len() {
            if !self.push(other.get(cell)) {
                self.fill_up(self.len() + 1);
            }
        }
    }

    /// Appends empty cells until there are so many.
    pub(crate) fn fill_up(&mut self, cells: usize) {
        let end = self.ends.last().copied().unwrap_or(0);
        if self.ends.len() < cells {
            self.ends.resize(cells, end);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn ends(&self) -> &[u32] {
        &self.ends
    }
}

impl<'a> FromIterator<&'a [u8]> for Cells {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(cells: I) -> Self {
        let cells = cells.into_iter();
        let mut column = Self::default();
        column.ends.reserve(cells.size_hint().0);
        for cell in cells {
            column.push(cell);
        }
        column
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_come_back_as_pushed() {
        let column: Cells = [&b"ab"[..], b"", b"c"].into_iter().collect();
        assert_eq!(column.len(), 3);
        assert_eq!(
            (column.get(0), column.get(1), column.get(2), column.get(3)),
            (&b"ab"[..], &b""[..], &b"c"[..], &b""[..])
        );
    }

    #[test]
    fn columns_are_cut_and_joined() {
        let column: Cells = [&b"ab"[..], b"", b"c", b"de"].into_iter().collect();
        let mut joined = column.slice(1..3);
        assert_eq!(joined, [&b""[..], b"c"].into_iter().collect());
        assert_eq!(column.slice(2..2).len(), 0);
        joined.fill_up(3);
        joined.append(&column.slice(3..4));
        let expected: [&[u8]; 4] = [b"", b"c", b"", b"de"];
        assert_eq!(joined, expected.into_iter().collect());
        assert_eq!(column.slice(0..4), column);
    }

    #[test]
    fn what_a_component_hands_over_is_checked() {
        let checked = |ends: &[u32]| Cells::checked(b"abc".to_vec(), ends.to_vec(), 2);
        assert!(checked(&[1, 3]).is_ok());
        assert_eq!(
            checked(&[1]),
            Err(CellsError::Count {
                expected: 2,
                found: 1
            })
        );
        assert_eq!(
            checked(&[2, 1]),
            Err(CellsError::End {
                cell: 1,
                end: 1,
                from: 2,
                to: 3
            })
        );
        assert_eq!(
            checked(&[1, 4]),
            Err(CellsError::End {
                cell: 1,
                end: 4,
                from: 1,
                to: 3
            })
        );
    }
}
