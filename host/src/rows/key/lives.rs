//! Numbers that a walk found to be less than they were: the key was removed and is back, which is a
//! new life of it.

use super::table::EntryId;

/// Of the running walk.
#[derive(Debug, Default)]
pub(in crate::rows) struct Lives {
    /// False where no series only grows.
    noted: bool,
    begun: Vec<Life>,
}

/// What a contribution had before it began anew.
#[derive(Debug, Clone, Copy)]
pub(in crate::rows) struct Life {
    pub(in crate::rows) entry: EntryId,
    /// Its place among the entry's.
    pub(in crate::rows) contribution: u32,
    /// See `Counted`.
    pub(in crate::rows) last: u64,
    pub(in crate::rows) base: u64,
}

impl Lives {
    /// `noted`: there are series that only grow.
    pub(in crate::rows) fn new(noted: bool) -> Self {
        Self {
            noted,
            begun: Vec::new(),
        }
    }

    #[cold]
    pub(super) fn note(&mut self, entry: EntryId, contribution: u32, last: u64, base: u64) {
        if self.noted {
            self.begun.push(Life {
                entry,
                contribution,
                last,
                base,
            });
        }
    }

    /// In the order in which they were noted.
    pub(in crate::rows) fn take(&mut self) -> Vec<Life> {
        std::mem::take(&mut self.begun)
    }
}
