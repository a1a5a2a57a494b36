//! A table of names by number: one string arena and one sorted list, instead of a hundred thousand
//! small strings.
//!
//! Of several names with one number the one added first wins.

/// Names by number, sorted, immutable.
#[derive(Debug, Default)]
pub(super) struct Names<K> {
    text: Box<str>,
    entries: Box<[Entry<K>]>,
}

/// Collects names in the order of their source.
#[derive(Debug, Default)]
pub(super) struct NamesBuilder<K> {
    text: String,
    entries: Vec<Entry<K>>,
}

#[derive(Debug, Clone, Copy)]
struct Entry<K> {
    number: K,
    start: u32,
    len: u32,
}

// === impl NamesBuilder ===

impl<K: Copy + Ord> NamesBuilder<K> {
    /// A name beyond 4 GiB of text is left out: no source comes near that.
    pub(super) fn add(&mut self, number: K, name: &str) {
        let (Ok(start), Ok(len)) = (u32::try_from(self.text.len()), u32::try_from(name.len()))
        else {
            return;
        };
        self.text.push_str(name);
        self.entries.push(Entry { number, start, len });
    }

    pub(super) fn finish(mut self) -> Names<K> {
        // Stable, so that `dedup` keeps the one added first.
        self.entries.sort_by_key(|entry| entry.number);
        self.entries.dedup_by_key(|entry| entry.number);
        Names {
            text: self.text.into_boxed_str(),
            entries: self.entries.into_boxed_slice(),
        }
    }
}

// === impl Names ===

impl<K: Copy + Ord> Names<K> {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, number: K) -> Option<&str> {
        self.at_or_below(number)
            .filter(|(found, _)| *found == number)
            .map(|(_, name)| name)
    }

    /// The entry with the greatest number that is not above the one asked for.
    pub(super) fn at_or_below(&self, number: K) -> Option<(K, &str)> {
        let above = self.entries.partition_point(|entry| entry.number <= number);
        self.entry(above.checked_sub(1)?)
    }

    /// The entry with the smallest number above the one asked for.
    pub(super) fn above(&self, number: K) -> Option<(K, &str)> {
        self.entry(self.entries.partition_point(|entry| entry.number <= number))
    }

    fn entry(&self, index: usize) -> Option<(K, &str)> {
        let entry = self.entries.get(index)?;
        let start = usize::try_from(entry.start).ok()?;
        let end = start.checked_add(usize::try_from(entry.len).ok()?)?;
        Some((entry.number, self.text.get(start..end)?))
    }
}

#[cfg(test)]
mod tests {
    use super::{Names, NamesBuilder};

    fn table(entries: &[(u64, &str)]) -> Names<u64> {
        let mut builder = NamesBuilder::default();
        for (number, name) in entries {
            builder.add(*number, name);
        }
        builder.finish()
    }

    #[test]
    fn finds_neighbours_in_unsorted_input() {
        let names = table(&[(30, "c"), (10, "a"), (20, "bb")]);
        assert_eq!(names.at_or_below(9), None);
        assert_eq!(names.at_or_below(10), Some((10, "a")));
        assert_eq!(names.at_or_below(29), Some((20, "bb")));
        assert_eq!(names.at_or_below(u64::MAX), Some((30, "c")));
        assert_eq!(names.above(9), Some((10, "a")));
        assert_eq!(names.above(20), Some((30, "c")));
        assert_eq!(names.above(30), None);
        assert_eq!(names.get(20), Some("bb"));
        assert_eq!(names.get(21), None);
    }

    #[test]
    fn first_of_equal_numbers_wins() {
        let names = table(&[(2, "x"), (1, "memcpy"), (1, "__memcpy"), (1, "__pi_memcpy")]);
        assert_eq!(names.get(1), Some("memcpy"));
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn an_empty_table_knows_nothing() {
        let names = table(&[]);
        assert!(names.is_empty());
        assert_eq!(names.at_or_below(5), None);
        assert_eq!(names.above(5), None);
    }
}
