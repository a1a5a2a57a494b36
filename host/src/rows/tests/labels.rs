//! From keys to label texts.

use serde_json::json;

use super::bench::{Bench, Recipe, regexp, static_map, text, uint};
use crate::plugin::Registry;
use crate::plugin::tests::component::{ENGINE, FACTS};

/// Four bytes that are a number, four of padding, and one byte that is a kind.
fn mixed() -> Recipe {
    Recipe::counter()
        .padded("id", 4, 4, vec![uint(), regexp("^[0-9]{1,3}$")])
        .label(
            "kind",
            1,
            vec![
                uint(),
                static_map(json!({"0": "read", "1": "write", "2": "write"})),
            ],
        )
}

fn key(id: u32, padding: u32, kind: u8) -> Vec<u8> {
    let mut key = id.to_ne_bytes().to_vec();
    key.extend(padding.to_ne_bytes());
    key.push(kind);
    key
}

#[test]
fn a_batch_goes_through_all_decoders() {
    let mut bench = mixed().bench();
    let scraped = bench.scrape(&[(key(7, 0, 0), 1), (key(8, 0, 1), 2), (key(9, 0, 9), 3)]);
    assert_eq!(
        scraped.text(),
        r#"id="7",kind="read" 1, id="8",kind="write" 2, id="9",kind="unknown:9" 3"#
    );
    assert_eq!(scraped.counts(), (3, 0, 3));
}

#[test]
fn known_keys_cost_no_call() {
    let registry = Registry::new(&ENGINE, &FACTS).unwrap();
    let mut bench = mixed().bench_of(&registry);
    let map = [(key(7, 0, 0), 1), (key(1000, 0, 1), 2), (key(9, 0, 9), 3)];
    let first = bench.scrape(&map);
    let calls = registry.stats();
    let second = bench.scrape(&map);
    assert_eq!(registry.stats(), calls);
    assert_eq!(second.series, first.series);
    assert_eq!((first.counts(), second.counts()), ((3, 0, 3), (3, 3, 0)));
    let more = bench.scrape(&[(key(7, 0, 0), 10), (key(9, 0, 9), 30)]);
    assert_eq!(
        more.text(),
        r#"id="7",kind="read" 10, id="9",kind="unknown:9" 30"#
    );
    assert_eq!(registry.stats(), calls);
}

#[test]
fn rows_with_equal_labels_are_one_series() {
    let mut bench = mixed().bench();
    let map = [
        (key(7, 0, 1), 1),
        (key(7, 0, 2), 10),
        (key(7, 99, 1), 100),
        (key(7, 0, 0), 1000),
    ];
    for _ in 0..2 {
        assert_eq!(
            bench.scrape(&map).text(),
            r#"id="7",kind="read" 1000, id="7",kind="write" 111"#
        );
    }
}

#[test]
fn what_a_filter_rejects_is_left_out_for_good() {
    let mut bench = mixed().bench();
    let map = [
        (key(7, 0, 0), 1),
        (key(1000, 0, 0), 2),
        (key(2000, 0, 0), 4),
    ];
    for decoded in [3, 0] {
        let scraped = bench.scrape(&map);
        assert_eq!(scraped.text(), r#"id="7",kind="read" 1"#);
        assert_eq!(scraped.counts(), (3, 3 - decoded, decoded));
        assert_eq!(scraped.left_out(), [], "a filter is no error");
    }
}

#[test]
fn rows_that_fail_are_counted_at_every_scrape() {
    // Three bytes are no number.
    let mut bench = Recipe::counter()
        .label("size", 3, vec![uint()])
        .label("name", 1, vec![text()])
        .bench();
    let map = [(b"\x01\0\0a", 1), (b"\x02\0\0b", 2)];
    for decoded in [2, 0, 0] {
        let scraped = bench.scrape(&map);
        assert_eq!(scraped.text(), "");
        assert_eq!(scraped.left_out(), [("uint", 2)]);
        assert_eq!(scraped.counts(), (2, 2 - decoded, decoded));
        assert_eq!(
            scraped.scrape_stats.rejected.len(),
            usize::from(decoded > 0),
            "the message comes once: {:?}",
            scraped.scrape_stats.rejected
        );
    }
}

#[test]
fn some_rows_of_a_batch_fail_or_are_dropped() {
    let mut bench = Recipe::shaped("linear", json!({ "bucket_min": 0, "bucket_max": 1 }))
        .label("name", 2, vec![text(), regexp("^[a-z]+$")])
        .label("bucket", 1, vec![text()])
        .bench();
    let map = [
        (*b"aa0", 1),
        (*b"A_0", 2),
        (*b"bbx", 4),
        (*b"B_x", 8),
        (*b"aa1", 16),
        (*b"cc1", 32),
    ];
    for _ in 0..3 {
        let scraped = bench.scrape(&map);
        assert_eq!(
            scraped.text(),
            r#"name="aa" [1, 16, 0] Unsigned(0), name="cc" [0, 32, 0] Unsigned(0)"#
        );
        assert_eq!(scraped.left_out(), [("linear", 1)]);
    }
}

#[test]
fn texts_that_are_no_utf8_are_repaired() {
    let mut bench = Recipe::counter().label("name", 4, vec![text()]).bench();
    let scraped = bench.scrape(&[
        (*b"a\xff\xfeb", 1),
        (*b"a\"\\\n", 2),
        (*b"\xe2\x82\xac\0", 4),
    ]);
    assert_eq!(
        scraped.text(),
        "name=\"a\\\"\\\\\\n\" 2, name=\"a\u{fffd}\u{fffd}b\" 1, name=\"\u{20ac}\" 4"
    );
    // Different bytes, one text: one series.
    let scraped = bench.scrape(&[(*b"a\xff\xfeb", 1), (*b"a\xfe\xffb", 2)]);
    assert_eq!(scraped.text(), "name=\"a\u{fffd}\u{fffd}b\" 3");
}

/// Keys 0..count in an order that looks random.
fn shuffled(count: u32) -> Vec<([u8; 4], u64)> {
    // A multiplication by an odd number is a permutation of u32; so is what is left of it after
    // sorting.
    let mut keys: Vec<u32> = (0..count).collect();
    keys.sort_by_key(|key| key.wrapping_mul(0x9e37_79b1));
    keys.into_iter()
        .map(|key| (key.to_ne_bytes(), u64::from(key)))
        .collect()
}

fn ids() -> Bench {
    Recipe::counter().label("id", 4, vec![uint()]).bench()
}

#[test]
fn more_keys_than_one_call_takes() {
    let mut bench = ids();
    let map: Vec<_> = (0..2500_u32)
        .map(|key| (key.to_ne_bytes(), u64::from(key)))
        .collect();
    let scraped = bench.scrape(&map);
    assert_eq!(scraped.series.len(), 2500);
    assert_eq!(scraped.counts(), (2500, 0, 2500));
    let text = scraped.text();
    for number in [0, 1023, 1024, 1025, 2047, 2048, 2499] {
        assert!(text.contains(&format!("id=\"{number}\" {number}")));
    }
}

#[test]
fn a_hundred_thousand_keys_in_another_order() {
    let mut bench = ids();
    bench.batch = 3000;
    let ordered: Vec<_> = (0..100_000_u32)
        .map(|key| (key.to_ne_bytes(), u64::from(key)))
        .collect();
    let first = bench.scrape(&ordered);
    let second = bench.scrape(&shuffled(100_000));
    assert_eq!(first.series.len(), 100_000);
    assert!(second.series == first.series);
    assert_eq!(second.counts(), (100_000, 100_000, 0));
    assert_eq!(bench.metric.remembered(), 100_000);
}
