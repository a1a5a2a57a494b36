//! What the readers find in a buffer, and how they copy it out.
//!
//! All reading goes the same way: where the kernel has written to is taken once
//! ([`SampleReader::written`]); until there each record is copied out, then given back to the
//! kernel, then handed on. So a record that brings down whoever is handed it is met once, even if
//! the next to look at the buffer is another process; and a stream that comes faster than it is
//! read does not keep a reader in one buffer for ever.
//!
//! What is in a buffer is not trusted: not for the kernel's sake, but since the reader before may
//! have written there.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// One record, or what was found in the place of one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A sample: as many bytes as are wanted, or all there are.
    Sample(&'a [u8]),
    /// The kernel says that it had no room for so many samples.
    Lost(u64),
    /// No record: all that was there has been given up, so that what comes next can be read.
    Damaged,
}

/// Why reading has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// Everything that had been written has been read.
    Nothing,
    /// There is more: as many records as were asked for have been read.
    More,
    /// The next record is there, but not complete. The kernel will say when it is.
    Unfinished,
}

/// The reading end of one buffer. There is one at a time.
pub(super) trait SampleReader {
    /// Up to where the kernel has written, for `read`. Whatever it writes after this call, it tells
    /// to those who wait.
    fn written(&self) -> u64;

    /// Takes records, at most so `many`, up to the position `until`. `on` gets each after it has
    /// been given back to the kernel.
    fn read(&mut self, until: u64, many: usize, on: impl FnMut(Found<'_>)) -> Left;
}

/// Bytes copied out of a buffer.
#[derive(Debug)]
pub(super) struct Copied {
    words: Vec<[u8; 8]>,
    /// What is copied of each sample at most: its key.
    wanted: usize,
}

impl Copied {
    pub(super) fn new(wanted: usize) -> Self {
        Self {
            words: vec![[0; 8]; wanted.div_ceil(8)],
            wanted,
        }
    }

    /// Copies the beginning of a sample of `length` bytes that is at the byte `from` of `data`,
    /// whose length is a power of two; what crosses the end goes on at the beginning.
    ///
    /// The copy is made of whole words from its beginning on, though those of a perf buffer begin
    /// in the middle of one: who reads a word that two stores have just made waits for both (27
    /// instead of 20 ns a counted sample were measured).
    #[inline]
    pub(super) fn copy(&mut self, data: &[AtomicU64], from: u64, length: usize) -> &[u8] {
        let length = length.min(self.wanted);
        let skipped = (from % 8) as u32 * 8;
        let load = |number| word(data, number).map_or(0, |word| word.load(Ordering::Relaxed));
        let mut number = from / 8;
        for copy in self.words.iter_mut().take(length.div_ceil(8)) {
            let first = load(number);
            number = number.wrapping_add(1);
            let whole = if skipped == 0 {
                first
            } else {
                join(first, load(number), skipped)
            };
            *copy = whole.to_ne_bytes();
        }
        self.words.as_flattened().get(..length).unwrap_or_default()
    }
}

/// The 8 bytes that begin after so many bits, of 1 to 63, of the first of two words.
fn join(first: u64, second: u64, skipped: u32) -> u64 {
    let rest = u64::BITS - skipped;
    if cfg!(target_endian = "little") {
        first >> skipped | second << rest
    } else {
        first << skipped | second >> rest
    }
}

/// The word of that number, counted around the ring.
#[inline]
pub(super) fn word(data: &[AtomicU64], number: u64) -> Option<&AtomicU64> {
    data.get(number as usize & data.len().wrapping_sub(1))
}
