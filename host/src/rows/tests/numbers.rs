//! From values to samples.

use serde_json::json;

use super::bench::{Recipe, Seen, regexp, static_map, text, uint};
use crate::exposition::Number;
use crate::rows::BucketKeys;

#[test]
fn integers_are_exact_and_wrap() {
    let mut bench = Recipe::counter().label("id", 1, vec![uint()]).bench();
    let odd = (1 << 53) + 1;
    let scraped = bench.scrape(&[([0], odd), ([1], u64::MAX)]);
    assert_eq!(
        scraped.text(),
        format!("id=\"0\" {odd}, id=\"1\" {}", u64::MAX)
    );
    let mut merged = Recipe::counter().padded("id", 1, 1, vec![uint()]).bench();
    let scraped = merged.scrape(&[([0, 0], u64::MAX), ([0, 1], 3)]);
    assert_eq!(scraped.text(), "id=\"0\" 2", "as the kernel's own counters");
    let mut merged = Recipe::counter().padded("id", 1, 1, vec![uint()]).bench();
    let scraped = merged.scrape(&[([0, 0], odd), ([0, 1], odd)]);
    assert_eq!(scraped.text(), format!("id=\"0\" {}", 2 * odd));
}

#[test]
fn cpus_are_summed() {
    let mut bench = Recipe::counter()
        .label("id", 1, vec![uint()])
        .per_cpu(3)
        .bench();
    let scraped = bench.scrape_cpus(&[([0], [1, 2, 4]), ([1], [u64::MAX, 1, 5])]);
    assert_eq!(scraped.text(), "id=\"0\" 7, id=\"1\" 5");
    assert_eq!(scraped.counts(), (2, 0, 2));
}

#[test]
fn cpus_are_split_where_they_are_a_label() {
    let mut bench = Recipe::counter()
        .label("cpu", 2, vec![uint()])
        .label("id", 1, vec![uint()])
        .key_size(1)
        .per_cpu(2)
        .bench();
    for decoded in [4, 0] {
        let scraped = bench.scrape_cpus(&[([5], [1, 2]), ([6], [4, 0])]);
        assert_eq!(
            scraped.text(),
            r#"cpu="0",id="5" 1, cpu="0",id="6" 4, cpu="1",id="5" 2, cpu="1",id="6" 0"#
        );
        assert_eq!(scraped.counts(), (4, 4 - decoded, decoded));
    }
    let scraped = bench.scrape_cpus(&[([6], [8, 9])]);
    assert_eq!(scraped.text(), r#"cpu="0",id="6" 8, cpu="1",id="6" 9"#);
}

#[test]
fn cpus_have_their_numbers_where_the_mask_has_holes() {
    let mut bench = Recipe::counter()
        .label("cpu", 2, vec![uint()])
        .label("id", 1, vec![uint()])
        .key_size(1)
        .per_cpu(3)
        .cpu_numbers(&[2, 3, 10])
        .bench();
    let scraped = bench.scrape_cpus(&[([5], [1, 2, 4])]);
    assert_eq!(
        scraped.text(),
        r#"cpu="10",id="5" 4, cpu="2",id="5" 1, cpu="3",id="5" 2"#
    );
    let shown = bench.metric.descriptions().of(&[5]);
    assert_eq!(shown.as_deref(), Some(r#"cpu="2",id="5""#));
}

#[test]
fn what_is_said_of_a_key_holds_for_all_its_cpus() {
    let mut bench = Recipe::counter()
        .label("name", 2, vec![text(), regexp("^[a-z]+$")])
        .label("cpu", 2, vec![uint()])
        .label("kind", 1, vec![uint(), regexp("^[0-6]$")])
        .key_size(3)
        .per_cpu(3)
        .bench();
    let entries = [
        (*b"a\0\x05", [1, 2, 3]),
        (*b"A\0\x05", [4, 5, 6]),
        (*b"a\0\x07", [7, 8, 9]),
        (*b"b\0\x05", [10, 11, 12]),
    ];
    for decoded in [12, 0] {
        let scraped = bench.scrape_cpus(&entries);
        assert_eq!(
            scraped.text(),
            r#"cpu="0",kind="5",name="a" 1, cpu="0",kind="5",name="b" 10, cpu="1",kind="5",name="a" 2, cpu="1",kind="5",name="b" 11, cpu="2",kind="5",name="a" 3, cpu="2",kind="5",name="b" 12"#
        );
        assert_eq!(scraped.counts().2, decoded);
    }
}

/// Thousands of keys whose labels are all different, and then as many with the same labels.
#[test]
fn keys_of_the_same_labels_are_one_series_however_late_they_come() {
    const SERIES: u32 = 6000;
    let second = static_map(json!({ "0": "x", "1": "x", "2": "x" }));
    let mut bench = Recipe::counter()
        .label("id", 4, vec![uint()])
        .label("kind", 1, vec![uint(), second])
        .bench();
    let key = |id: u32, kind: u8| {
        let mut key = id.to_ne_bytes().to_vec();
        key.push(kind);
        key
    };
    let mut entries: Vec<(Vec<u8>, u64)> = (0..SERIES).map(|id| (key(id, 0), 1)).collect();
    entries.extend((0..SERIES).map(|id| (key(id, 1), u64::from(id))));
    let expected = |id: u32, more: u64| Some(Number::Unsigned(1 + u64::from(id) + more));
    for scrape in 0..3 {
        if scrape == 2 {
            // Among known ones: one of each kind.
            entries.extend([(key(7, 2), 100), (key(SERIES, 2), 5)]);
        }
        let scraped = bench.scrape(&entries);
        let number = |id: u32| match scraped
            .series
            .get(&format!("unit_calls{{id=\"{id}\",kind=\"x\"}}"))
        {
            Some(Seen::Number(number)) => Some(*number),
            _ => None,
        };
        for id in (0..SERIES).filter(|id| *id != 7) {
            assert_eq!(number(id), expected(id, 0), "scrape {scrape}, series {id}");
        }
        let (more, new) = if scrape == 2 {
            (100, Some(Number::Unsigned(5)))
        } else {
            (0, None)
        };
        assert_eq!((number(7), number(SERIES)), (expected(7, more), new));
        assert_eq!(
            scraped.series.len(),
            SERIES as usize + usize::from(scrape == 2)
        );
    }
}

#[test]
fn an_array_of_one_has_no_labels() {
    let mut bench = Recipe::counter().key_size(4).bench();
    for hits in [0, 1] {
        let scraped = bench.scrape(&[([0, 0, 0, 0], 42), ([1, 0, 0, 0], 1), ([2, 0, 0, 0], 1)]);
        assert_eq!(scraped.text(), " 42");
        assert_eq!(scraped.left_out(), [("zero key", 2)]);
        assert_eq!(scraped.counts(), (3, hits, 1 - hits));
    }
    assert_eq!(bench.metric.remembered(), 1);
}

#[test]
fn an_array_of_one_per_cpu() {
    let mut bench = Recipe::counter()
        .label("cpu", 2, vec![uint()])
        .key_size(4)
        .per_cpu(2)
        .bench();
    let scraped = bench.scrape_cpus(&[([0, 0, 0, 0], [3, 4]), ([1, 0, 0, 0], [9, 9])]);
    assert_eq!(scraped.text(), r#"cpu="0" 3, cpu="1" 4"#);
    assert_eq!(scraped.left_out(), [("zero key", 1)]);
}

fn exp2() -> Recipe {
    Recipe::shaped(
        "exp2",
        json!({ "bucket_min": 0, "bucket_max": 3, "bucket_multiplier": 0.5 }),
    )
    .label("disk", 1, vec![text()])
    .label("bucket", 1, vec![uint()])
}

fn histogram(counts: &[u64], sum: Number) -> Seen {
    Seen::Histogram(counts.to_vec(), sum)
}

#[test]
fn histograms_have_buckets_and_a_sum() {
    let mut bench = exp2().bench();
    for _ in 0..2 {
        let scraped = bench.scrape(&[
            (*b"a\x00", 1),
            (*b"a\x03", 5),
            (*b"a\x04", 30),
            (*b"b\x01", 7),
        ]);
        assert_eq!(scraped.series.len(), 2);
        assert_eq!(
            scraped.series[r#"unit_calls{disk="a"}"#],
            histogram(&[1, 0, 0, 5, 0], Number::Float(15.0))
        );
        assert_eq!(
            scraped.series[r#"unit_calls{disk="b"}"#],
            histogram(&[0, 7, 0, 0, 0], Number::Unsigned(0))
        );
    }
}

#[test]
fn a_key_out_of_range_keeps_its_series() {
    let mut bench = exp2().bench();
    for _ in 0..2 {
        let scraped = bench.scrape(&[(*b"a\x09", 1), (*b"b\x01", 7)]);
        assert_eq!(
            scraped.series[r#"unit_calls{disk="a"}"#],
            histogram(&[0, 0, 0, 0, 0], Number::Unsigned(0))
        );
        assert_eq!(scraped.left_out(), []);
    }
    let scraped = bench.scrape(&[(*b"b\x01", 7)]);
    assert_eq!(scraped.series.len(), 1);
}

#[test]
fn a_bad_bucket_label_leaves_the_others_alone() {
    let mut bench = Recipe::shaped("linear", json!({ "bucket_min": 0, "bucket_max": 1 }))
        .label("disk", 1, vec![text()])
        .label("bucket", 1, vec![text()])
        .bench();
    for _ in 0..3 {
        let scraped = bench.scrape(&[(*b"a0", 1), (*b"ax", 2), (*b"a1", 4), (*b"bx", 8)]);
        assert_eq!(scraped.text(), "disk=\"a\" [1, 4, 0] Unsigned(0)");
        assert_eq!(scraped.left_out(), [("linear", 2)]);
    }
}

#[test]
fn sums_are_scaled_once_and_exactly() {
    let mut bench = Recipe::shaped("counter", json!({ "scale": 1e-9 }))
        .padded("id", 1, 1, vec![uint()])
        .bench();
    let quintillion = 1_000_000_000_000_000_000;
    for _ in 0..2 {
        let scraped = bench.scrape(&[([1, 0], quintillion), ([1, 1], 1), ([2, 0], 0)]);
        let shifted = Number::Shifted {
            negative: false,
            digits: quintillion + 1,
            power: -9,
        };
        assert_eq!(
            scraped.series[r#"unit_calls{id="1"}"#],
            Seen::Number(shifted)
        );
        assert_eq!(
            scraped.series[r#"unit_calls{id="2"}"#],
            Seen::Number(Number::Unsigned(0))
        );
    }
    let mut bench = Recipe::shaped("counter", json!({ "scale": 4096 }))
        .label("id", 1, vec![uint()])
        .bench();
    let odd = (1 << 50) + 1;
    assert_eq!(
        bench.scrape(&[([1], odd)]).text(),
        format!("id=\"1\" {}", odd * 4096)
    );
}

#[test]
fn histograms_that_do_not_fit_are_said_once() {
    let fits = |map: &[([u8; 2], u64)], max: u8| {
        let mut bench = Recipe::shaped("exp2", json!({ "bucket_min": 0, "bucket_max": max }))
            .label("disk", 1, vec![text()])
            .label("bucket", 1, vec![uint()])
            .bucket_keys(BucketKeys::Range {
                min: 0,
                max: max.into(),
            })
            .bench();
        let mut misfits = Vec::new();
        let mut out_of_range = 0;
        for _ in 0..20 {
            let scraped = bench.scrape(map);
            out_of_range += scraped.scrape_stats.out_of_range;
            misfits.extend(scraped.scrape_stats.misfits);
        }
        (out_of_range, misfits)
    };
    let map = [
        (*b"a\x02", 3),
        (*b"a\x03", 2),
        (*b"a\x04", 40),
        (*b"b\x03", 5),
    ];
    assert_eq!(fits(&map, 3), (0, Vec::new()));
    let (count, misfits) = fits(&map, 2);
    assert_eq!(count, 1, "a's 4; 3 is taken for the sum");
    let [range, sum] = misfits.as_slice() else {
        panic!("{misfits:?}")
    };
    assert!(
        range.contains("the bucket 4") && range.contains("`bucket_max` 2"),
        "{range}"
    );
    // Three of more than 2.
    assert!(
        sum.contains("{disk=\"a\"} is 2") && sum.contains("more than 6"),
        "{sum}"
    );
}
