//! The samples of a family: a list, or columns where only the numbers change from scrape to scrape.

use std::ops::Range;
use std::sync::Arc;

use super::value::{Histogram, Number, Sample, StartTime, Summary, Value};

/// A family's samples, sorted by their labels, no two alike.
#[derive(Debug, Clone)]
pub(crate) enum Samples {
    List(Vec<Sample>),
    /// Several scrapes may share them.
    Columns(Arc<Columns>),
}

/// Label blocks one after the other: as much memory as their text and four bytes each.
#[derive(Debug, Clone, Default)]
pub(crate) struct LabelBlocks {
    text: String,
    ends: Vec<u32>,
}

/// Samples whose labels are shared by all scrapes.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    pub(crate) blocks: Arc<LabelBlocks>,
    /// When each block's series was 0.
    pub(crate) starts: Arc<Vec<StartTime>>,
    pub(crate) indexes: BlockIndexes,
    pub(crate) values: ColumnValues,
}

/// Which of the blocks have a sample.
#[derive(Debug, Clone)]
pub(crate) enum BlockIndexes {
    /// All of these, as is usual.
    Range(Range<u32>),
    /// These, in this order.
    List(Vec<u32>),
}

#[derive(Debug, Clone)]
pub(crate) enum ColumnValues {
    Numbers(Vec<Number>),
    /// `counts` has one more than `bounds` for each sample; see `Histogram`.
    Histograms {
        bounds: Arc<[f64]>,
        counts: Vec<u64>,
        sums: Vec<Number>,
    },
}

/// One sample, wherever it lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SampleRef<'a> {
    pub(crate) labels: &'a str,
    pub(crate) value: ValueRef<'a>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum ValueRef<'a> {
    Number(Number),
    Histogram(HistogramRef<'a>),
    Summary(&'a Summary),
}

/// See `Histogram`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HistogramRef<'a> {
    pub(crate) bounds: &'a Arc<[f64]>,
    pub(crate) counts: &'a [u64],
    pub(crate) sum: Number,
}

// === impl Samples ===

impl Samples {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Columns(columns) => columns.len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<SampleRef<'_>> {
        match self {
            Self::List(list) => list.get(index).map(Sample::as_ref),
            Self::Columns(columns) => columns.get(index),
        }
    }

    /// When the series of a sample was 0.
    pub(crate) fn start(&self, index: usize) -> StartTime {
        match self {
            Self::List(list) => list
                .get(index)
                .map_or_else(StartTime::default, |one| one.start),
            Self::Columns(columns) => columns.start(index),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = SampleRef<'_>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// All values, without a look at the labels.
    pub(crate) fn values(&self) -> impl Iterator<Item = ValueRef<'_>> {
        (0..self.len()).filter_map(|index| match self {
            Self::List(list) => list.get(index).map(|sample| sample.as_ref().value),
            Self::Columns(columns) => columns.values.get(index),
        })
    }

    /// As a list of samples that own what they are made of.
    pub(crate) fn into_list(self) -> Vec<Sample> {
        match self {
            Self::List(list) => list,
            Self::Columns(_) => {
                let samples = self.iter().enumerate();
                samples
                    .map(|(index, sample)| sample.to_sample(self.start(index)))
                    .collect()
            }
        }
    }
}

impl From<Vec<Sample>> for Samples {
    fn from(list: Vec<Sample>) -> Self {
        Self::List(list)
    }
}

impl From<Columns> for Samples {
    fn from(columns: Columns) -> Self {
        Self::Columns(Arc::new(columns))
    }
}

impl FromIterator<Sample> for Samples {
    fn from_iter<I: IntoIterator<Item = Sample>>(samples: I) -> Self {
        Self::List(samples.into_iter().collect())
    }
}

impl Sample {
    fn as_ref(&self) -> SampleRef<'_> {
        let value = match &self.value {
            Value::Number(number) => ValueRef::Number(*number),
            Value::Histogram(histogram) => ValueRef::Histogram(HistogramRef {
                bounds: &histogram.bounds,
                counts: &histogram.counts,
                sum: histogram.sum,
            }),
            Value::Summary(summary) => ValueRef::Summary(summary),
        };
        SampleRef {
            labels: &self.labels,
            value,
        }
    }
}

impl SampleRef<'_> {
    fn to_sample(self, start: StartTime) -> Sample {
        let value = match self.value {
            ValueRef::Number(number) => Value::Number(number),
            ValueRef::Histogram(histogram) => Value::Histogram(Box::new(Histogram {
                bounds: Arc::clone(histogram.bounds),
                counts: histogram.counts.to_vec(),
                sum: histogram.sum,
            })),
            ValueRef::Summary(summary) => Value::Summary(Box::new(summary.clone())),
        };
        Sample {
            labels: self.labels.into(),
            value,
            start,
        }
    }
}

// === impl Columns ===

impl Columns {
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        match &self.indexes {
            BlockIndexes::Range(range) => range.len(),
            BlockIndexes::List(list) => list.len(),
        }
    }

    /// About how many bytes there would be less without it, if nobody shares its labels.
    pub(crate) fn held_bytes(&self) -> usize {
        let indexes = match &self.indexes {
            BlockIndexes::Range(_) => 0,
            BlockIndexes::List(list) => size_of_val(list.as_slice()),
        };
        let values = match &self.values {
            ColumnValues::Numbers(numbers) => size_of_val(numbers.as_slice()),
            ColumnValues::Histograms { counts, sums, .. } => {
                size_of_val(counts.as_slice()) + size_of_val(sums.as_slice())
            }
        };
        let LabelBlocks { text, ends } = &*self.blocks;
        let starts = size_of_val(self.starts.as_slice());
        text.len() + size_of_val(ends.as_slice()) + starts + indexes + values
    }

    #[inline]
    fn get(&self, index: usize) -> Option<SampleRef<'_>> {
        Some(SampleRef {
            labels: self.blocks.get(self.block(index)?),
            value: self.values.get(index)?,
        })
    }

    #[inline]
    fn block(&self, index: usize) -> Option<u32> {
        match &self.indexes {
            BlockIndexes::Range(range) => Some(range.start + u32::try_from(index).ok()?),
            BlockIndexes::List(list) => list.get(index).copied(),
        }
    }

    fn start(&self, index: usize) -> StartTime {
        let block = self.block(index);
        let start = block.and_then(|block| self.starts.get(block as usize));
        start.copied().unwrap_or_default()
    }
}

impl ColumnValues {
    #[inline]
    fn get(&self, index: usize) -> Option<ValueRef<'_>> {
        Some(match self {
            Self::Numbers(numbers) => ValueRef::Number(*numbers.get(index)?),
            Self::Histograms {
                bounds,
                counts,
                sums,
            } => {
                let width = bounds.len() + 1;
                ValueRef::Histogram(HistogramRef {
                    bounds,
                    counts: counts.get(index * width..(index + 1) * width)?,
                    sum: *sums.get(index)?,
                })
            }
        })
    }
}

// === impl LabelBlocks ===

impl LabelBlocks {
    pub(crate) fn with_capacity(blocks: usize, text: usize) -> Self {
        Self {
            text: String::with_capacity(text),
            ends: Vec::with_capacity(blocks),
        }
    }

    /// The blocks at these indexes, in this order. A tight loop: the next blocks come from memory
    /// while one is copied.
    pub(crate) fn in_order(&self, indexes: &[u32]) -> Self {
        let mut ordered = Self::with_capacity(indexes.len(), self.text.len());
        for &index in indexes {
            // No longer than all of the text, unless an index is named twice.
            ordered.push(self.get(index));
        }
        ordered
    }

    /// Adds a block at the end. Gives its index; `None` if there is no more room: 4 GiB of text.
    #[inline]
    pub(crate) fn push(&mut self, block: &str) -> Option<u32> {
        let index = u32::try_from(self.ends.len()).ok()?;
        let end = u32::try_from(self.text.len() + block.len()).ok()?;
        if self.text.capacity() - self.text.len() < block.len() {
            // In smaller steps than text grows by itself: few blocks come to many.
            self.text.reserve_exact(block.len() + self.text.len() / 4);
        }
        self.text.push_str(block);
        self.ends.push(end);
        Some(index)
    }

    /// Makes room for `blocks` of them in all, once it is known how much text they take on average.
    pub(crate) fn reserve(&mut self, blocks: usize) {
        let known = self.ends.len();
        if known == 0 || known >= blocks {
            return;
        }
        let more = blocks - known;
        // Where there is none to reserve, it grows step by step.
        let _ = self.ends.try_reserve_exact(more);
        // Numbers in labels get longer.
        let average = self.text.len() / known + 4;
        if self.text.capacity() - self.text.len() < average {
            let _ = self.text.try_reserve_exact(average.saturating_mul(more));
        }
    }

    /// Takes the last block away.
    pub(crate) fn pop(&mut self) {
        self.ends.pop();
        let end = self.ends.last().copied().unwrap_or(0);
        self.text.truncate(end as usize);
    }

    /// The block at this index; empty if there is none.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> &str {
        let index = index as usize;
        let start = match index.checked_sub(1) {
            Some(before) => self.ends.get(before).copied().unwrap_or(0),
            None => 0,
        };
        let end = self.ends.get(index).copied().unwrap_or(start);
        self.text
            .get(start as usize..end as usize)
            .unwrap_or_default()
    }
}
