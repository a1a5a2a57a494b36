//! Keys that go away and come back.

use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, Recipe, Seen, static_map, text, uint};
use crate::exposition::Number;

type Map = Vec<([u8; 4], u64)>;

fn ids() -> Bench {
    Recipe::counter().label("id", 4, vec![uint()]).bench()
}

fn map(keys: impl IntoIterator<Item = u32>, factor: u64) -> Map {
    keys.into_iter()
        .map(|key| (key.to_ne_bytes(), u64::from(key) * factor))
        .collect()
}

/// Whether a scrape gives exactly the map's keys with their numbers.
fn check(bench: &mut Bench, map: &Map) -> u64 {
    let scraped = bench.scrape(map);
    assert_eq!(scraped.series.len(), map.len());
    for (key, number) in map {
        let name = format!("unit_calls{{id=\"{}\"}}", u32::from_ne_bytes(*key));
        assert_eq!(
            scraped.series[&name],
            Seen::Number(Number::Unsigned(*number)),
            "{name}"
        );
    }
    scraped.scrape_stats.decoded
}

#[test]
fn a_key_that_is_gone_is_remembered_for_a_while_and_then_forgotten() {
    let mut bench = ids();
    check(&mut bench, &map(0..10, 1));
    // It may come back at once without a question.
    check(&mut bench, &map(5..10, 2));
    assert_eq!(check(&mut bench, &map(0..10, 3)), 0);
    assert_eq!(bench.metric.remembered(), 10);
    let mut evicted_at = None;
    for scrape in 1..=25 {
        assert_eq!(check(&mut bench, &map(5..10, scrape)), 0);
        if bench.metric.remembered() == 5 {
            evicted_at.get_or_insert(scrape);
        } else {
            assert_eq!(bench.metric.remembered(), 10, "all of them together");
        }
    }
    let evicted_at = evicted_at.unwrap();
    assert!(
        (10..=20).contains(&evicted_at),
        "unseen for ten scrapes, looked at every ten: {evicted_at}"
    );
    assert_eq!(bench.metric.known_series(), 5);
    // Then it is a new key.
    assert_eq!(check(&mut bench, &map(0..10, 7)), 5);
    assert_eq!(check(&mut bench, &map((0..10).rev(), 8)), 0);
}

#[test]
fn a_crowd_of_gone_keys_is_swept_at_once() {
    let mut bench = ids();
    check(&mut bench, &map(0..5000, 1));
    check(&mut bench, &map(0..3000, 2));
    assert_eq!(
        bench.metric.remembered(),
        5000,
        "the others are still the most"
    );
    check(&mut bench, &map((0..5000).step_by(7), 3));
    assert_eq!(bench.metric.remembered(), 715);
    assert_eq!(bench.metric.known_series(), 715);
    // Every remaining series has moved; none may have got another's number.
    assert_eq!(check(&mut bench, &map((0..5000).step_by(7), 4)), 0);
    assert_eq!(
        check(&mut bench, &map((0..5000).rev(), 5)),
        5000 - 715,
        "those that are back are asked for again"
    );
}

#[test]
fn an_empty_map_forgets_in_time() {
    let mut bench = ids();
    check(&mut bench, &map(0..3000, 1));
    let scraped = bench.scrape::<[u8; 4]>(&[]);
    assert!(scraped.series.is_empty());
    assert_eq!(scraped.scrape_stats.evicted, 3000);
    check(&mut bench, &map(0..10, 1));
    for _ in 0..20 {
        assert!(bench.scrape::<[u8; 4]>(&[]).series.is_empty());
    }
    assert_eq!(bench.metric.remembered(), 0);
    check(&mut bench, &map(5..15, 2));
}

#[test]
fn histograms_move_with_all_their_accumulators() {
    let mut bench = Recipe::shaped("linear", json!({ "bucket_min": 0, "bucket_max": 2 }))
        .label("disk", 4, vec![uint()])
        .label("bucket", 1, vec![uint()])
        .bench();
    let rows = |disks: &mut dyn Iterator<Item = u32>| -> Vec<([u8; 5], u64)> {
        let mut rows = Vec::new();
        for disk in disks {
            // Buckets 0 to 2, the sum at 3, and 9, which goes nowhere.
            for bucket in [0, 1, 2, 3, 9_u8] {
                let mut key = [0; 5];
                key[..4].copy_from_slice(&disk.to_ne_bytes());
                key[4] = bucket;
                rows.push((key, u64::from(disk) * 10 + u64::from(bucket)));
            }
        }
        rows
    };
    let mut check = |disks: Vec<u32>, later: u64, shown: usize| {
        bench.now += Duration::from_secs(later);
        let scraped = bench.scrape(&rows(&mut disks.iter().copied()));
        assert_eq!(scraped.series.len(), shown);
        for disk in disks {
            let base = u64::from(disk) * 10;
            assert_eq!(
                scraped.series[&format!("unit_calls{{disk=\"{disk}\"}}")],
                Seen::Histogram(
                    vec![base, base + 1, base + 2, 0],
                    Number::Unsigned(base + 3)
                )
            );
        }
        scraped.scrape_stats.decoded
    };
    let fifth = || (0..600).step_by(5).collect();
    check((0..600).collect(), 0, 600);
    // What the others had is shown for five minutes.
    check(fifth(), 0, 600);
    assert_eq!(check(fifth(), 299, 600), 0);
    assert_eq!(check(fifth(), 1, 120), 0);
    assert_eq!(check((0..600).collect(), 0, 600), 480 * 5);
}

#[test]
fn a_series_lives_as_long_as_one_of_its_keys() {
    let mut bench = Recipe::counter()
        .label(
            "name",
            1,
            vec![text(), static_map(json!({"a": "x", "b": "x", "c": "y"}))],
        )
        .bench();
    bench.scrape(&[(*b"a", 1), (*b"b", 2), (*b"c", 4)]);
    for _ in 0..25 {
        let scraped = bench.scrape(&[(*b"b", 2), (*b"c", 4)]);
        assert_eq!(
            scraped.text(),
            r#"name="x" 3, name="y" 4"#,
            "with what a had"
        );
    }
    assert_eq!(bench.metric.remembered(), 2);
    let scraped = bench.scrape(&[(*b"a", 1)]);
    assert_eq!(scraped.text(), r#"name="x" 4"#);
}

#[test]
fn dropped_and_failing_keys_are_forgotten_too() {
    let mut bench = Recipe::counter().label("size", 3, vec![uint()]).bench();
    let keys: Vec<([u8; 3], u64)> = (0..200).map(|key| ([key, 0, 0], 1)).collect();
    assert_eq!(bench.scrape(&keys).left_out(), [("uint", 200)]);
    assert_eq!(bench.metric.remembered(), 200);
    for _ in 0..25 {
        assert_eq!(bench.scrape(&keys[..3]).left_out(), [("uint", 3)]);
    }
    assert_eq!(bench.metric.remembered(), 3);
}
