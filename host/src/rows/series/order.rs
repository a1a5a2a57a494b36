//! The order of the output: by family and labels. New series are sorted once, and merged with the
//! others.

use std::ops::Range;

use crate::exposition::LabelBlocks;

/// Series in the order of the output.
pub(super) struct Order {
    pub(super) indexes: Vec<u32>,
    /// New series that are left out of it, and before each the one that has the same labels.
    pub(super) duplicates: Vec<(u32, u32)>,
}

impl Order {
    /// Of `total` series. The first `sorted` of them are in order, and none of them has the labels
    /// of another.
    pub(super) fn of(
        blocks: &LabelBlocks,
        family: impl Fn(u32) -> u32,
        sorted: usize,
        total: usize,
    ) -> Self {
        let text = |index: u32| blocks.get(index).as_bytes();
        let whole = |index: u32| (family(index), text(index));
        let new = sorted as u32..total as u32;
        let SortKeys {
            mut numbers,
            index_bits,
        } = SortKeys::of(blocks, &family, new);
        // Numbers are compared without a branch, and without a look at the texts.
        numbers.sort_unstable();
        let mut indexes: Vec<u32> = Vec::with_capacity(total);
        let mut duplicates = Vec::new();
        indexes.extend(0..sorted as u32);
        for alike in numbers.chunk_by_mut(|a, b| a >> index_bits == b >> index_bits) {
            let index = |number: &u64| sorted as u32 + (number & ((1 << index_bits) - 1)) as u32;
            if let [one] = alike {
                indexes.push(index(one));
                continue;
            }
            alike.sort_unstable_by(|a, b| {
                let texts = whole(index(a)).cmp(&whole(index(b)));
                texts.then(a.cmp(b))
            });
            for same in alike.chunk_by(|a, b| whole(index(a)) == whole(index(b))) {
                let kept = index(&same[0]);
                indexes.push(kept);
                duplicates.extend(same[1..].iter().map(|duplicate| (kept, index(duplicate))));
            }
        }
        if sorted > 0 {
            // Two sorted runs, which a stable sort joins in one go.
            indexes.sort_by(|&a, &b| whole(a).cmp(&whole(b)));
        }
        Self {
            indexes,
            duplicates,
        }
    }
}

/// A number for each of some series, which sorts as its family and labels do: the bits in which the
/// beginnings of the labels differ, behind what all of them begin with, as far as there is room.
/// Below that its index, less the first one. So series that differ only further behind are alike.
struct SortKeys {
    numbers: Vec<u64>,
    index_bits: u32,
}

/// So much of the labels is looked at.
const WINDOW: usize = 16;

/// Bits of the number that are bits of one byte of the window.
#[derive(Clone, Copy)]
struct Span {
    byte: usize,
    /// Of the lowest bit that differs somewhere, in the byte.
    shift: u32,
    /// From there to the highest one.
    bits: u32,
    mask: u8,
}

impl SortKeys {
    fn of(blocks: &LabelBlocks, family: impl Fn(u32) -> u32, indexes: Range<u32>) -> Self {
        let index_bits = bits(indexes.len() as u32);
        let families = indexes.clone().map(&family);
        let differ = families.fold((u32::MAX, 0), |(min, max), family| {
            (min.min(family), max.max(family))
        });
        let (first_family, last_family) = differ;
        let family_bits = bits(last_family.saturating_sub(first_family));
        let skip = common_prefix(blocks, indexes.clone());
        let window = |index: u32| window(blocks.get(index).as_bytes(), skip);
        let first = window(indexes.start);
        let differ = indexes
            .clone()
            .fold(0, |differ, index| differ | (window(index) ^ first));
        let spans = spans(differ, 64 - index_bits - family_bits);
        let number = |index: u32| {
            let window = window(index).to_be_bytes();
            let start = u64::from(family(index) - first_family);
            // Shifts are less than the width: they need not be checked for that each time.
            let key = spans.iter().fold(start, |key, span| {
                let bits = window[span.byte % WINDOW].wrapping_shr(span.shift) & span.mask;
                key.wrapping_shl(span.bits) | u64::from(bits)
            });
            key << index_bits | u64::from(index - indexes.start)
        };
        Self {
            numbers: indexes.clone().map(number).collect(),
            index_bits,
        }
    }
}

/// How many bits it takes to say numbers up to this one.
fn bits(max: u32) -> u32 {
    u32::BITS - max.leading_zeros()
}

/// How many bytes all of these texts begin with.
fn common_prefix(blocks: &LabelBlocks, indexes: Range<u32>) -> usize {
    let text = |index: u32| blocks.get(index).as_bytes();
    let mut common = text(indexes.start);
    for index in indexes {
        let text = text(index);
        if !text.starts_with(common) {
            let pairs = common.iter().zip(text);
            common = &common[..pairs.take_while(|(a, b)| a == b).count()];
        }
    }
    common.len()
}

/// The bytes from `skip` on as a number that sorts as they do, with zeros behind their end.
#[inline]
fn window(text: &[u8], skip: usize) -> u128 {
    let rest = text.get(skip..).unwrap_or_default();
    match rest.first_chunk::<WINDOW>() {
        Some(chunk) => u128::from_be_bytes(*chunk),
        None => {
            let mut chunk = [0; WINDOW];
            chunk[..rest.len()].copy_from_slice(rest);
            u128::from_be_bytes(chunk)
        }
    }
}

/// The bits that differ, byte by byte from the first on, until `room` is used up.
fn spans(differ: u128, mut room: u32) -> Vec<Span> {
    let mut spans = Vec::new();
    for (byte, differ) in differ.to_be_bytes().into_iter().enumerate() {
        if differ == 0 {
            continue;
        }
        let top = u8::BITS - differ.leading_zeros();
        let bits = (top - differ.trailing_zeros()).min(room);
        if bits == 0 {
            break;
        }
        // Of the last one the upper bits, if there is no room for all.
        spans.push(Span {
            byte,
            shift: top - bits,
            bits,
            mask: u8::MAX >> (u8::BITS - bits),
        });
        room -= bits;
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In order, as plain comparisons have it: what `Order` has to say.
    fn check(series: &[(u32, String)], sorted: usize) {
        let mut blocks = LabelBlocks::default();
        for (_, text) in series {
            blocks.push(text).unwrap();
        }
        let family = |index: u32| series[index as usize].0;
        let Order {
            indexes,
            duplicates,
        } = Order::of(&blocks, family, sorted, series.len());
        let mut wanted: Vec<u32> = (0..series.len() as u32).collect();
        wanted.sort_by_key(|&index| &series[index as usize]);
        wanted.dedup_by_key(|index| &series[*index as usize]);
        assert_eq!(indexes, wanted);
        assert_eq!(indexes.len() + duplicates.len(), series.len());
        for (kept, duplicate) in duplicates {
            assert!(kept < duplicate && series[kept as usize] == series[duplicate as usize]);
        }
    }

    fn series(texts: impl IntoIterator<Item = String>) -> Vec<(u32, String)> {
        texts.into_iter().map(|text| (0, text)).collect()
    }

    #[test]
    fn labels_are_sorted_by_their_bytes() {
        check(
            &series(["b", "a", "", "a\0", "a\0b", "é", "ab"].map(Into::into)),
            0,
        );
        check(&series([]), 0);
        check(&series(["only".into()]), 0);
        // Numbers of any length, which differ before, at and behind the window.
        let number = |index: u32| index.wrapping_mul(2_654_435_761) >> (index % 30);
        let texts = |prefix: &str| {
            let text = |index| format!("{prefix}{}\",b=\"{}\"", number(index), index % 3);
            series((0..3000).map(text))
        };
        check(&texts("a=\""), 0);
        check(&texts("a=\"\u{fffd}"), 0);
        let far = |index| format!("a=\"{}{:030}\"", index % 7, number(index));
        check(&series((0..3000).map(far)), 0);
    }

    #[test]
    fn families_come_one_after_the_other() {
        let mixed = |families: &[u32]| -> Vec<(u32, String)> {
            let of = |index: u32| {
                let family = families[index as usize % families.len()];
                (
                    family,
                    format!("a=\"{}\"", index.wrapping_mul(40_503) % 900),
                )
            };
            (0..2000).map(of).collect()
        };
        check(&mixed(&[1, 0]), 0);
        check(&mixed(&[5, 6, 63]), 0);
        check(&mixed(&[0, u32::MAX, 7]), 0);
    }

    #[test]
    fn new_ones_are_merged_with_those_in_order() {
        let mut all: Vec<(u32, String)> = (0..500).map(|n| (n / 250, format!("{n:04}"))).collect();
        all.extend((0..700_u32).map(|n| (n % 2, format!("x{}", n.wrapping_mul(40_503) % 300))));
        check(&all, 500);
    }
}
