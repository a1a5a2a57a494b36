//! A metric that goes on where the same metric of the unit's version before ends.
//!
//! At first none of its keys is known, and the one before walks along: it is shown until all rows
//! have their meaning. Then what each key was counted in is compared with what it is counted in
//! now.

use super::Metric;
use crate::rows::key::{CachedKey, Known};
use crate::rows::series::{Adopted, REMOVED};

impl Metric {
    /// Goes on where `before` is, which reads the same source. It begins anew if the numbers or the
    /// keys are others.
    pub(crate) fn follow(&mut self, mut before: Self) {
        // One that was not shown yet is not gone on with.
        let waiting_since = before.walks.waiting_since;
        let before = match before.predecessor.take() {
            Some(shown) => {
                self.walks.waiting_since = waiting_since;
                *shown
            }
            None => before,
        };
        let (own, other) = (self.pipeline.layout(), before.pipeline.layout());
        let same_rows = own.row_key_size == other.row_key_size
            && own.split_cpus == other.split_cpus
            && own.zero_key == other.zero_key;
        let same_numbers =
            self.measure == before.measure && self.pipeline.numbers() == before.pipeline.numbers();
        if !same_rows || !same_numbers || before.walks.last == 0 {
            self.walks.resumed |= before.walks.resumed;
            self.walks.from_zero |= before.walks.from_zero;
            return;
        }
        // Where it does, this goes on as it is.
        self.walks.from_zero = before.walks.from_zero;
        self.walks.resumed = before.walks.resumed;
        self.series.born_since(before.series.born());
        self.series.scale_as(&before.series);
        self.predecessor = Some(Box::new(before));
    }

    /// Takes over from the one before, after the same complete walk.
    pub(super) fn succeed(&mut self, before: &mut Self) {
        let adopted = self.series.adopt(&before.series, before.scrape);
        before.table.rewind();
        for id in 0..self.table.len() as u32 {
            let Some(entry) = self.table.get(id).filter(|entry| entry.seen == self.scrape) else {
                continue;
            };
            let was = before.table.find(self.table.key(id));
            let was = was.and_then(|id| before.table.get(id));
            let Some(was) = was.filter(|was| was.seen == before.scrape) else {
                continue;
            };
            let (entry, was) = (entry.clone(), was.clone());
            let entry = self.take_key(&adopted, before, entry, &was);
            if let Some(own) = self.table.get_mut(id) {
                *own = entry;
            }
        }
        self.take_moved(&adopted, before);
        // Of the walk that was.
        let last = std::mem::replace(&mut self.walks.last, self.scrape);
        self.add_last();
        self.walks.last = last;
    }

    /// A key of both.
    fn take_key(
        &mut self,
        adopted: &Adopted,
        before: &Self,
        mut entry: CachedKey,
        was: &CachedKey,
    ) -> CachedKey {
        let mut contributions = Vec::new();
        entry.for_each(|counted| contributions.push((0, counted.contribution)));
        for (_, contribution) in &contributions {
            let own = contribution.accumulator;
            if adopted.is_anew(&self.series, own) {
                was.for_each(|counted| {
                    let theirs = counted.contribution.accumulator;
                    self.series.begin_with(adopted, own, &before.series, theirs);
                });
            }
        }
        let known = self.known_of(adopted, was);
        self.leave(&known, &contributions);
        let series = &self.series;
        entry.go_on(&known, |own| {
            series.may_keep(own) && !adopted.is_anew(series, own)
        });
        entry
    }

    /// Keys that still wait leave what they have in their series, and will go on from there.
    fn take_moved(&mut self, adopted: &Adopted, before: &mut Self) {
        self.moved = std::mem::take(&mut before.moved);
        if self.missing == 0 {
            return;
        }
        self.table.make_index();
        for id in 0..before.table.len() as u32 {
            let key = before.table.key(id);
            let was = before.table.get(id);
            let is_there = |was: &&CachedKey| was.seen == before.scrape;
            let Some(was) = was
                .filter(is_there)
                .filter(|_| self.table.peek(key).is_none())
            else {
                continue;
            };
            let known = self.known_of(adopted, was);
            self.leave(&known, &[]);
            self.moved.insert(key.into(), known.numbers().collect());
        }
    }

    /// What a key of the one before has had, as far as its series are here.
    fn known_of(&self, adopted: &Adopted, was: &CachedKey) -> Known {
        let mut known = was.known();
        known.counted.retain_mut(|counted| {
            let accumulator = &mut counted.contribution.accumulator;
            let to = adopted.accumulators.get(*accumulator as usize);
            *accumulator = to.copied().unwrap_or(REMOVED);
            *accumulator != REMOVED && self.series.may_keep(*accumulator)
        });
        known
    }
}
