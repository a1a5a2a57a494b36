//! Sums of metrics whose numbers are multiplied: what keys that are gone have left is raw, as all
//! numbers are until they are shown.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::bench::{Bench, Recipe, Scraped, Seen, static_map, uint};
use crate::config::SeriesBounds;
use crate::exposition::Number;

fn recipe(options: Json, table: Json) -> Recipe {
    Recipe::shaped("counter", options).label("g", 1, vec![uint(), static_map(table)])
}

fn nanoseconds() -> Json {
    json!({ "scale": 1e-9 })
}

fn both() -> Json {
    json!({ "1": "a", "2": "a" })
}

/// Nanoseconds of each series.
fn shown(scraped: &Scraped) -> Vec<u64> {
    let numbers = scraped.series.values().map(|seen| match seen {
        Seen::Number(Number::Unsigned(0)) => 0,
        Seen::Number(Number::Shifted {
            negative: false,
            digits,
            power: -9,
        }) => *digits,
        other => panic!("{other:?}"),
    });
    numbers.collect()
}

fn scrape(bench: &mut Bench, entries: &[(u8, u64)]) -> Vec<u64> {
    let entries = entries.iter().map(|&(key, value)| ([key], value));
    shown(&bench.scrape(&entries.collect::<Vec<_>>()))
}

const ODD: u64 = (1 << 60) + 1;

#[test]
fn removed_keys_reshapes_and_deaths() {
    let mut bench = recipe(nanoseconds(), both()).bench();
    assert_eq!(scrape(&mut bench, &[(1, ODD), (2, 50)]), [ODD + 50]);
    assert_eq!(scrape(&mut bench, &[(1, ODD)]), [ODD + 50]);
    // Key 2 has another name.
    let table = json!({ "1": "a", "2": "b" });
    let mut after = recipe(nanoseconds(), table).bench();
    after.metric.follow(bench.metric);
    (after.now, after.walks) = (bench.now, bench.walks);
    let mut bench = after;
    assert_eq!(scrape(&mut bench, &[(1, ODD + 1), (2, 7)]), [ODD + 58, 0]);
    bench.metric.show_from_zero();
    assert_eq!(scrape(&mut bench, &[(1, ODD + 2), (2, 9)]), [0, 0]);
    assert_eq!(scrape(&mut bench, &[(1, ODD + 5), (2, 9)]), [3, 0]);
    assert_eq!(
        scrape(&mut bench, &[(2, 10)]),
        [3, 1],
        "`a` has had two keys"
    );
}

#[test]
fn series_that_stand_still() {
    let bounds = SeriesBounds {
        expire: Some(Duration::from_secs(10)),
        ..SeriesBounds::default()
    };
    let mut bench = recipe(nanoseconds(), both()).bounds(bounds).bench();
    assert_eq!(scrape(&mut bench, &[(1, ODD), (2, 50)]), [ODD + 50]);
    bench.now += Duration::from_secs(10);
    assert!(scrape(&mut bench, &[(1, ODD)]).is_empty());
    // A double would not tell the difference.
    assert_eq!(scrape(&mut bench, &[(1, ODD + 1)]), [ODD + 51]);
}

#[test]
fn sums_of_histograms() {
    let options = json!({ "bucket_min": 0, "bucket_max": 1, "bucket_multiplier": 1e-9 });
    let recipe = || Recipe::shaped("linear", options.clone()).label("bucket", 1, vec![uint()]);
    let mut bench = recipe().bench();
    let seen = |bench: &mut Bench, entries: &[(u8, u64)]| {
        let entries = entries.iter().map(|&(key, value)| ([key], value));
        let scraped = bench.scrape(&entries.collect::<Vec<_>>());
        match scraped.series.into_values().next() {
            Some(Seen::Histogram(counts, sum)) => (counts, sum.to_f64()),
            other => panic!("{other:?}"),
        }
    };
    let first = seen(&mut bench, &[(0, 3), (1, 4), (2, 5_000_000_001)]);
    assert_eq!(first, (vec![3, 4, 0], 5.000_000_001));
    let mut after = recipe().bench();
    after.metric.follow(bench.metric);
    (after.now, after.walks) = (bench.now, bench.walks);
    let kept = seen(&mut after, &[(0, 3)]);
    assert_eq!(kept, (vec![3, 4, 0], 5.000_000_001));
    let again = seen(&mut after, &[(0, 2), (2, 1_000_000_000)]);
    assert_eq!(again, (vec![5, 4, 0], 6.000_000_001));
}
