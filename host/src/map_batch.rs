//! The form in which entries of a map come: `bpf` makes it and `rows` reads it. It lies beside
//! both, since neither knows the other.

/// A run of entries: keys one after the other, and their values in the same order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MapBatch<'a> {
    /// `key_size` bytes each.
    pub(crate) keys: &'a [u8],
    pub(crate) key_size: usize,
    /// `value_stride` bytes each: one value or, in per-CPU maps, one per CPU.
    pub(crate) values: &'a [u8],
    /// Bytes from one entry's (first) value to the next entry's.
    pub(crate) value_stride: usize,
    /// Bytes from one CPU's value to the next one's within an entry.
    pub(crate) cpu_stride: usize,
    /// Bytes of one value that mean something.
    pub(crate) value_size: usize,
}

impl<'a> MapBatch<'a> {
    /// Each entry's key and value; the value has `value_stride` bytes (see [`Self::per_cpu`]).
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        // Sizes are above 0: a reader of a map without keys or values cannot be made.
        self.keys
            .chunks_exact(self.key_size.max(1))
            .zip(self.values.chunks_exact(self.value_stride.max(1)))
    }

    /// An entry's values, one for each CPU, `value_size` bytes each.
    pub(crate) fn per_cpu(&self, value: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let size = self.value_size;
        value
            .chunks_exact(self.cpu_stride.max(1))
            .filter_map(move |one| one.get(..size))
    }
}
