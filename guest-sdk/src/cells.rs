//! Columns of byte strings, laid end to end as they cross the boundary: two lists per column,
//! whatever the number of rows.

/// N byte strings in two allocations: cell i is `bytes[ends[i - 1]..ends[i]]`.
///
/// ```
/// use exporter_guest_sdk::Cells;
///
/// let cells: Cells = ["eth0", "", "lo"].into_iter().collect();
/// assert_eq!(cells.len(), 3);
/// assert_eq!(cells.get(2), Some(&b"lo"[..]));
/// assert_eq!(cells.iter().map(<[u8]>::len).sum::<usize>(), 6);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cells {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

/// A row of the input that got no answer, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// Index into the batch.
    pub row: u32,
    /// A sentence for the operator.
    pub message: String,
}

impl Cells {
    /// No cells.
    pub fn new() -> Self {
        Self::default()
    }

    /// No cells yet, but room for `cells` of them with `bytes` bytes in all.
    pub fn with_capacity(cells: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(cells),
        }
    }

    /// Takes the two lists as the host laid them out.
    #[doc(hidden)]
    pub fn from_parts(bytes: Vec<u8>, ends: Vec<u32>) -> Self {
        Self { bytes, ends }
    }

    /// The two lists: bytes, ends.
    #[doc(hidden)]
    pub fn into_parts(self) -> (Vec<u8>, Vec<u32>) {
        (self.bytes, self.ends)
    }

    /// The number of cells.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no cell.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes of all cells together.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Cell `index`, None past the last one.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.bytes.get(start as usize..end as usize)
    }

    /// The cells in order. Ends that don't ascend within the bytes give empty cells: a batch is
    /// never worth a trap.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let cell = self.bytes.get(start..end as usize).unwrap_or_default();
            start = end as usize;
            cell
        })
    }

    /// Adds one cell.
    #[inline]
    pub fn push(&mut self, cell: &[u8]) {
        extend(&mut self.bytes, cell);
        // A linear memory has 32 bits; saturating keeps the cast honest natively too.
        self.ends
            .push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
    }
}

/// As `extend_from_slice`. In Wasm a copy of unknown length is a call into the engine; nearly all
/// cells are short.
#[inline]
fn extend(bytes: &mut Vec<u8>, cell: &[u8]) {
    const SHORT: usize = 16;
    let mut short = [0; SHORT];
    let length = cell.len();
    // Two moves that may overlap.
    match (cell.first_chunk::<8>(), cell.first_chunk::<4>(), cell) {
        (Some(start), ..) if length <= SHORT => {
            short[..8].copy_from_slice(start);
            if let Some(end) = cell.last_chunk::<8>() {
                short[length - 8..length].copy_from_slice(end);
            }
        }
        (None, Some(start), _) => {
            short[..4].copy_from_slice(start);
            if let Some(end) = cell.last_chunk::<4>() {
                short[length - 4..length].copy_from_slice(end);
            }
        }
        (.., &[a]) => short[0] = a,
        (.., &[a, b]) => [short[0], short[1]] = [a, b],
        (.., &[a, b, c]) => [short[0], short[1], short[2]] = [a, b, c],
        (.., []) => return,
        _ => return bytes.extend_from_slice(cell),
    }
    let end = bytes.len() + length;
    bytes.extend_from_slice(&short);
    bytes.truncate(end);
}

impl<T: AsRef<[u8]>> FromIterator<T> for Cells {
    fn from_iter<I: IntoIterator<Item = T>>(cells: I) -> Self {
        let mut all = Self::new();
        for cell in cells {
            all.push(cell.as_ref());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_come_back_as_pushed() {
        let cells: Cells = [&b"ab"[..], b"", b"\xff"].into_iter().collect();
        assert_eq!(cells.iter().collect::<Vec<_>>(), [&b"ab"[..], b"", b"\xff"]);
        assert_eq!(cells.get(1), Some(&b""[..]));
        assert_eq!(cells.get(3), None);
        assert_eq!(cells.into_parts(), (b"ab\xff".to_vec(), vec![2, 2, 3]));
    }

    #[test]
    fn cells_of_any_length_come_back() {
        let text: Vec<u8> = (0..40).collect();
        let cells: Cells = (0..=text.len()).map(|length| &text[..length]).collect();
        for length in 0..=text.len() {
            assert_eq!(cells.get(length), Some(&text[..length]));
        }
        assert_eq!(cells.byte_len(), (0..=40).sum::<usize>());
    }

    #[test]
    fn ends_that_lie_give_empty_cells() {
        let cells = Cells::from_parts(b"abc".to_vec(), vec![2, 1, 9, 3]);
        assert_eq!(
            cells.iter().collect::<Vec<_>>(),
            [&b"ab"[..], b"", b"", b""]
        );
        assert_eq!(cells.get(1), None);
    }
}
