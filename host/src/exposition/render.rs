//! Label blocks of many rows at once: what is the same for all rows is prepared, and a row is a few
//! moves.
//!
//! A copy of unknown length is a call; nearly all parts of a block are short. So a part is copied
//! with whole chunks, past its end: what lies there is written over by the next part. For that
//! everything that is copied from has a chunk of zeros behind it.

use std::borrow::Cow;
use std::ops::Range;

use super::escape::{LabelTemplate, is_plain_ascii, label_value};

/// Bytes that are moved together.
const CHUNK: usize = 16;

/// The fixed text of a family's label blocks and where its values come from.
#[derive(Debug)]
pub(crate) struct BlockTemplate {
    /// What comes before a value, and its column.
    parts: Vec<(Padded, usize)>,
    /// What comes after the last value.
    tail: Padded,
}

/// A label's values in some rows.
pub(crate) struct LabelValues<'a> {
    /// Each as it stands in a block: UTF-8, escaped.
    text: Padded,
    /// Where each ends.
    ends: Cow<'a, [u32]>,
    /// Which of them a row has. None: row i has value i.
    which: Option<&'a [u32]>,
}

/// The blocks of some rows, one after the other.
#[derive(Debug, Default)]
pub(crate) struct BlockRenderer {
    /// Blocks, and what is left of chunks behind them.
    buffer: Vec<u8>,
    /// Where the blocks end.
    at: usize,
    /// Where each of them ends.
    ends: Vec<usize>,
}

/// UTF-8, and a chunk of zeros behind it.
#[derive(Debug)]
struct Padded {
    bytes: Vec<u8>,
    length: usize,
}

impl Padded {
    fn new(text: &[u8]) -> Self {
        let length = text.len();
        let mut bytes = Vec::with_capacity(length + CHUNK);
        bytes.extend_from_slice(text);
        bytes.extend_from_slice(&[0; CHUNK]);
        Self { bytes, length }
    }
}

impl BlockTemplate {
    /// `columns`: for each of the template's names, which of the columns has its values.
    pub(crate) fn new(template: &LabelTemplate, columns: &[usize]) -> Self {
        let parts = template.parts().filter_map(|(text, name)| {
            let column = columns.get(name)?;
            Some((Padded::new(text.as_bytes()), *column))
        });
        Self {
            parts: parts.collect(),
            tail: Padded::new(template.tail().as_bytes()),
        }
    }
}

impl<'a> LabelValues<'a> {
    /// Of byte strings end to end. What is no UTF-8 is repaired: its bytes become U+FFFD.
    pub(crate) fn new(bytes: &[u8], ends: &'a [u32], which: Option<&'a [u32]>) -> Self {
        if is_plain_ascii(bytes) {
            return Self {
                text: Padded::new(bytes),
                ends: Cow::Borrowed(ends),
                which,
            };
        }
        let mut text = String::with_capacity(bytes.len() + bytes.len() / 4);
        let mut start = 0;
        let written = ends.iter().map(|&end| {
            let cell = bytes.get(start..end as usize).unwrap_or_default();
            start = end as usize;
            label_value(&mut text, &String::from_utf8_lossy(cell));
            // Values that take more than 4 GiB end there.
            u32::try_from(text.len()).unwrap_or(u32::MAX)
        });
        let ends = Cow::Owned(written.collect());
        Self {
            text: Padded::new(text.as_bytes()),
            ends,
            which,
        }
    }

    /// Where the value of a row lies.
    #[inline]
    fn range(&self, row: usize) -> Range<usize> {
        let value = match self.which {
            Some(which) => which.get(row).map_or(usize::MAX, |&value| value as usize),
            None => row,
        };
        let end = self.ends.get(value).copied().unwrap_or(0);
        let start = match value.checked_sub(1) {
            Some(before) => self.ends.get(before).copied().unwrap_or(0),
            None => 0,
        };
        start as usize..end as usize
    }
}

impl BlockRenderer {
    /// Takes all blocks away.
    pub(crate) fn clear(&mut self) {
        self.at = 0;
        self.ends.clear();
    }

    /// Appends the block of a row.
    #[inline]
    pub(crate) fn render(
        &mut self,
        template: &BlockTemplate,
        columns: &[LabelValues<'_>],
        row: usize,
    ) {
        for (text, column) in &template.parts {
            self.copy(text, 0..text.length);
            if let Some(column) = columns.get(*column) {
                self.copy(&column.text, column.range(row));
            }
        }
        self.copy(&template.tail, 0..template.tail.length);
        self.ends.push(self.at);
    }

    /// Appends a part.
    #[inline]
    fn copy(&mut self, from: &Padded, part: Range<usize>) {
        let (mut source, mut target) = (part.start, self.at);
        self.at += part.len();
        while target < self.at {
            let chunk = from.bytes.get(source..).and_then(<[u8]>::first_chunk);
            let room = self.buffer.get_mut(target..);
            match (chunk, room.and_then(<[u8]>::first_chunk_mut::<CHUNK>)) {
                (Some(chunk), Some(room)) => *room = *chunk,
                (Some(_), None) => {
                    self.grow();
                    continue;
                }
                // Not inside of the text: there is nothing to copy.
                (None, _) => {
                    self.at = target;
                    return;
                }
            }
            source += CHUNK;
            target += CHUNK;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let size = (2 * self.buffer.len()).max(self.at) + CHUNK;
        self.buffer.resize(size, 0);
    }

    /// The blocks in the order in which they were rendered.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = &str> {
        // All parts are UTF-8, so all of it is.
        let text = self.buffer.get(..self.at).map(std::str::from_utf8);
        let text = text.and_then(Result::ok).unwrap_or_default();
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let block = text.get(start..end).unwrap_or_default();
            start = end;
            block
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Column<'a> = (&'a [&'a [u8]], Option<&'a [u32]>);

    /// The blocks of so many rows with the labels `b`, `a`, and `c` with the value `!`.
    fn rendered(columns: [Column<'_>; 2], rows: usize) -> Vec<String> {
        let constants = [("c".to_owned(), "!".to_owned())];
        let template = LabelTemplate::with_constants(&["b", "a"], &constants);
        let template = BlockTemplate::new(&template, &[0, 1]);
        let flat = columns.map(|(cells, which)| {
            let lengths = cells.iter().map(|cell| cell.len() as u32);
            let ends: Vec<u32> = lengths
                .scan(0, |end, length| {
                    *end += length;
                    Some(*end)
                })
                .collect();
            (cells.concat(), ends, which)
        });
        let values: Vec<LabelValues<'_>> = flat
            .iter()
            .map(|(bytes, ends, which)| LabelValues::new(bytes, ends, *which))
            .collect();
        let mut renderer = BlockRenderer::default();
        renderer.render(&template, &values, 0);
        renderer.clear();
        for row in 0..rows {
            renderer.render(&template, &values, row);
        }
        renderer.blocks().map(str::to_owned).collect()
    }

    #[test]
    fn values_of_any_length_stand_between_the_names() {
        let long: Vec<u8> = (0..100).map(|index| b'a' + index % 26).collect();
        let cells: Vec<&[u8]> = (0..=long.len()).map(|length| &long[..length]).collect();
        let blocks = rendered([(&cells, None), (&[b"x", b""], Some(&[1; 101]))], 101);
        for (block, cell) in blocks.iter().zip(cells) {
            let value = std::str::from_utf8(cell).unwrap();
            assert_eq!(*block, format!("a=\"\",b=\"{value}\",c=\"!\""));
        }
    }

    #[test]
    fn rows_share_values() {
        let blocks = rendered(
            [
                (&[b"p", b"q"], Some(&[1, 0, 1])),
                (&[b"0", b"1", b"2"], None),
            ],
            3,
        );
        let block = |a, b| format!("a=\"{a}\",b=\"{b}\",c=\"!\"");
        assert_eq!(blocks, [block("0", "q"), block("1", "p"), block("2", "q")]);
    }

    #[test]
    fn values_are_escaped_and_repaired() {
        // The bytes of a character in two cells are text only together.
        let odd: [&[u8]; 4] = [b"a\"\\\n", b"\xc3", b"\xa9", "é".as_bytes()];
        let blocks = rendered([(&odd, None), (&[b""], Some(&[0; 4]))], 4);
        let block = |b| format!("a=\"\",b=\"{b}\",c=\"!\"");
        let wanted = ["a\\\"\\\\\\n", "\u{fffd}", "\u{fffd}", "é"].map(block);
        assert_eq!(blocks, wanted);
    }

    #[test]
    fn any_bytes_are_what_they_are_one_by_one() {
        let mut state = 1_u64;
        let mut below = |bound: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        // Only ASCII, what has to be escaped, parts of characters.
        for alphabet in [&b"ab0 "[..], b"a\"\\\n", b"a\xc3\xa9\xff\xf0\x9f"] {
            let cells: Vec<Vec<u8>> = (0..200)
                .map(|_| {
                    let length = below(40);
                    let byte = |_| alphabet[below(alphabet.len() as u64) as usize];
                    (0..length).map(byte).collect()
                })
                .collect();
            let cells: Vec<&[u8]> = cells.iter().map(Vec::as_slice).collect();
            let which: Vec<u32> = (0..500).map(|_| below(200) as u32).collect();
            let blocks = rendered([(&cells, Some(&which)), (&cells, None)], 200);
            for (row, block) in blocks.iter().enumerate() {
                let value = |cell: usize| {
                    let mut value = String::new();
                    label_value(&mut value, &String::from_utf8_lossy(cells[cell]));
                    value
                };
                let (a, b) = (value(row), value(which[row] as usize));
                assert_eq!(*block, format!("a=\"{a}\",b=\"{b}\",c=\"!\""));
            }
        }
    }

    #[test]
    fn a_row_without_a_value_has_an_empty_one() {
        let blocks = rendered([(&[b"x"], None), (&[b"y"], Some(&[0, 7]))], 3);
        assert_eq!(blocks[1..], ["a=\"\",b=\"\",c=\"!\""; 2]);
    }
}
