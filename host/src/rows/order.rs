//! The order of the output: by family and labels. New series are sorted once, and merged with the others.

use std::ops::Range;

use crate::exposition::LabelBlocks;

/// Series in the order of the output.
pub(super) struct Order {
    pub(super) places: Vec<u32>,
    /// New series that are left out of it, and before each the one that has the same labels.
    pub(super) twins: Vec<(u32, u32)>,
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
        let whole = |place: u32| (family(place), text(place));
        let new = sorted as u32..total as u32;
        let SortKeys {
            mut numbers,
            place_bits,
        } = SortKeys::of(blocks, &family, new);
        // Numbers are compared without a branch, and without a look at the texts.
        numbers.sort_unstable();
        let mut places: Vec<u32> = Vec::with_capacity(total);
        let mut twins = Vec::new();
        places.extend(0..sorted as u32);
        for alike in numbers.chunk_by_mut(|a, b| a >> place_bits == b >> place_bits) {
            let place = |number: &u64| sorted as u32 + (number & ((1 << place_bits) - 1)) as u32;
            if let [one] = alike {
                places.push(place(one));
                continue;
            }
            alike.sort_unstable_by(|a, b| {
                let texts = whole(place(a)).cmp(&whole(place(b)));
                texts.then(a.cmp(b))
            });
            for same in alike.chunk_by(|a, b| whole(place(a)) == whole(place(b))) {
                let kept = place(&same[0]);
                places.push(kept);
                twins.extend(same[1..].iter().map(|twin| (kept, place(twin))));
            }
        }
        if sorted > 0 {
            // Two sorted runs, which a stable sort joins in one go.
            places.sort_by(|&a, &b| whole(a).cmp(&whole(b)));
        }
        Self { places, twins }
    }
}

/// A number for each of some series, which sorts as its family and labels do: the bits in which the beginnings of the labels differ, behind what all of
/// them begin with, as far as there is room. Below that its place, less the first one. So series that differ only further behind are alike.
struct SortKeys {
    numbers: Vec<u64>,
    place_bits: u32,
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
    fn of(blocks: &LabelBlocks, family: impl Fn(u32) -> u32, places: Range<u32>) -> Self {
        let place_bits = bits(places.len() as u32);
        let families = places.clone().map(&family);
        let differ = families.fold((u32::MAX, 0), |(least, most), family| {
            (least.min(family), most.max(family))
        });
        let (first_family, last_family) = differ;
        let family_bits = bits(last_family.saturating_sub(first_family));
        let skip = common_prefix(blocks, places.clone());
        let window = |place: u32| window(blocks.get(place).as_bytes(), skip);
        let first = window(places.start);
        let differ = places
            .clone()
            .fold(0, |differ, place| differ | (window(place) ^ first));
        let spans = spans(differ, 64 - place_bits - family_bits);
        let number = |place: u32| {
            let window = window(place).to_be_bytes();
            let start = u64::from(family(place) - first_family);
            // Shifts are less than the width: they need not be checked for that each time.
            let key = spans.iter().fold(start, |key, span| {
                let bits = window[span.byte % WINDOW].wrapping_shr(span.shift) & span.mask;
                key.wrapping_shl(span.bits) | u64::from(bits)
            });
            key << place_bits | u64::from(place - places.start)
        };
        Self {
            numbers: places.clone().map(number).collect(),
            place_bits,
        }
    }
}

/// How many bits it takes to say numbers up to this one.
fn bits(most: u32) -> u32 {
    u32::BITS - most.leading_zeros()
}

/// How many bytes all of these texts begin with.
fn common_prefix(blocks: &LabelBlocks, places: Range<u32>) -> usize {
    let text = |place: u32| blocks.get(place).as_bytes();
    let mut common = text(places.start);
    for place in places {
        let text = text(place);
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
        let family = |place: u32| series[place as usize].0;
        let Order { places, twins } = Order::of(&blocks, family, sorted, series.len());
        let mut wanted: Vec<u32> = (0..series.len() as u32).collect();
        wanted.sort_by_key(|&place| &series[place as usize]);
        wanted.dedup_by_key(|place| &series[*place as usize]);
        assert_eq!(places, wanted);
        assert_eq!(places.len() + twins.len(), series.len());
        for (kept, twin) in twins {
            assert!(kept < twin && series[kept as usize] == series[twin as usize]);
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
