//! The order of the output: by family and labels. New series are sorted once, and merged with the others.

use std::ops::Range;

use crate::exposition::LabelBlocks;

/// Series in the order of the output.
pub(super) struct Order {
    pub(super) places: Vec<u32>,
    /// New series that are left out of it, and before each the one that has the same labels.
    pub(super) twins: Vec<(u32, u32)>,
}

/// What a new series is sorted by: the beginning of its labels, less what all of them begin with, decides nearly always.
#[derive(Clone, Copy)]
struct SortKey {
    /// Eight bytes and eight more.
    start: [u64; 2],
    family: u32,
    place: u32,
}

impl SortKey {
    /// As one number: compared without a branch.
    fn number(&self) -> u128 {
        u128::from(self.start[0]) << 64 | u128::from(self.start[1])
    }

    fn is_like(&self, other: &Self) -> bool {
        (self.family, self.start) == (other.family, other.start)
    }
}

impl Order {
    /// Of `total` series. The first `sorted` of them are in order, and none of them has the labels of another.
    pub(super) fn of(
        blocks: &LabelBlocks,
        family: impl Fn(u32) -> u32,
        sorted: usize,
        total: usize,
    ) -> Self {
        let text = |place: u32| blocks.get(place).as_bytes();
        let mut keys = keys(blocks, &family, sorted as u32..total as u32);
        if keys.windows(2).all(|pair| pair[0].family == pair[1].family) {
            keys.sort_unstable_by_key(SortKey::number);
        } else {
            keys.sort_unstable_by_key(|key| (key.family, key.number()));
        }
        let mut places: Vec<u32> = Vec::with_capacity(total);
        let mut twins = Vec::new();
        places.extend(0..sorted as u32);
        for alike in keys.chunk_by_mut(SortKey::is_like) {
            if let [one] = alike {
                places.push(one.place);
                continue;
            }
            alike.sort_unstable_by(|a, b| {
                let texts = text(a.place).cmp(text(b.place));
                texts.then(a.place.cmp(&b.place))
            });
            for same in alike.chunk_by(|a, b| text(a.place) == text(b.place)) {
                let kept = same[0].place;
                places.push(kept);
                twins.extend(same[1..].iter().map(|twin| (kept, twin.place)));
            }
        }
        if sorted > 0 {
            // Two sorted runs, which a stable sort joins in one go.
            places.sort_by(|&a, &b| (family(a), text(a)).cmp(&(family(b), text(b))));
        }
        Self { places, twins }
    }
}

fn keys(blocks: &LabelBlocks, family: impl Fn(u32) -> u32, places: Range<u32>) -> Vec<SortKey> {
    let text = |place: u32| blocks.get(place).as_bytes();
    let mut common = text(places.start);
    for place in places.clone() {
        let text = text(place);
        if !text.starts_with(common) {
            let pairs = common.iter().zip(text);
            common = &common[..pairs.take_while(|(a, b)| a == b).count()];
        }
    }
    let skip = common.len();
    let key = |place: u32| {
        let rest = text(place).get(skip..).unwrap_or_default();
        let mut start = [0; 16];
        match rest.first_chunk() {
            Some(chunk) => start = *chunk,
            None => start[..rest.len()].copy_from_slice(rest),
        }
        let [first, second] =
            [0, 8].map(|at| start[at..].first_chunk().copied().unwrap_or_default());
        let start = [u64::from_be_bytes(first), u64::from_be_bytes(second)];
        SortKey {
            start,
            family: family(place),
            place,
        }
    };
    places.map(key).collect()
}
