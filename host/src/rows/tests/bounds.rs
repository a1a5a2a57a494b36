//! `max_series` and `expire`.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, Recipe, Scraped, Seen, uint};
use crate::config::SeriesBounds;
use crate::exposition::Number;

fn at_most(max: usize) -> SeriesBounds {
    SeriesBounds {
        max_series: NonZeroUsize::new(max),
        ..SeriesBounds::default()
    }
}

fn expire(seconds: u64) -> SeriesBounds {
    SeriesBounds {
        expire: Some(Duration::from_secs(seconds)),
        ..SeriesBounds::default()
    }
}

fn ids(bounds: SeriesBounds) -> Bench {
    let recipe = Recipe::counter().label("id", 4, vec![uint()]);
    recipe.bounds(bounds).bench()
}

fn map(entries: impl IntoIterator<Item = (u32, u64)>) -> Vec<([u8; 4], u64)> {
    let entries = entries.into_iter();
    entries
        .map(|(key, value)| (key.to_ne_bytes(), value))
        .collect()
}

/// `id value` of each series, in order.
fn shown(scraped: &Scraped) -> Vec<String> {
    let series = scraped.series.iter().map(|(name, seen)| {
        let id = name.strip_prefix("unit_calls{id=\"").unwrap();
        let Seen::Number(Number::Unsigned(value)) = seen else {
            panic!("a counter has a number")
        };
        format!("{} {value}", id.strip_suffix("\"}").unwrap())
    });
    series.collect()
}

#[test]
fn keys_over_the_limit_are_added_up_and_counted() {
    let mut bench = ids(at_most(3));
    let scraped = bench.scrape(&map([(1, 10), (2, 20)]));
    assert_eq!(
        (
            shown(&scraped).join(", ").as_str(),
            scraped.scrape_stats.over_limit
        ),
        ("1 10, 2 20", 0)
    );
    let scraped = bench.scrape(&map((1..=6).map(|id| (id, 10 * u64::from(id)))));
    assert_eq!(shown(&scraped), ["1 10", "2 20", "3 30", "other 150"]);
    assert_eq!(scraped.scrape_stats.over_limit, 3);
    // They are known now: nobody asks or counts them again, and sums stay right.
    let scraped = bench.scrape(&map((1..=6).map(|id| (id, 11 * u64::from(id)))));
    assert_eq!(shown(&scraped), ["1 11", "2 22", "3 33", "other 165"]);
    assert_eq!(
        (
            scraped.scrape_stats.over_limit,
            scraped.scrape_stats.decoded
        ),
        (0, 0)
    );
}

#[test]
fn many_keys_at_once_stay_within_the_limit() {
    let mut bench = ids(at_most(5000));
    for factor in 1..3 {
        let scraped = bench.scrape(&map((0..20_000).map(|id| (id, factor))));
        assert_eq!(scraped.series.len(), 5001);
        let other = &scraped.series["unit_calls{id=\"other\"}"];
        assert_eq!(*other, Seen::Number(Number::Unsigned(15_000 * factor)));
    }
    assert_eq!(bench.metric.known_series(), 5001);
}

#[test]
fn what_has_gone_makes_room_for_what_comes() {
    let mut bench = ids(at_most(2));
    bench.scrape(&map([(1, 1), (2, 1), (3, 1)]));
    let mut scraped = bench.scrape(&map([(2, 1)]));
    // Long enough for the others to be forgotten.
    for _ in 0..25 {
        scraped = bench.scrape(&map([(2, 1)]));
    }
    assert_eq!(shown(&scraped), ["2 1"]);
    let scraped = bench.scrape(&map([(2, 1), (4, 1), (5, 1)]));
    assert_eq!(shown(&scraped), ["2 1", "4 1", "other 1"]);
}

#[test]
fn the_series_of_others_counts_for_no_one() {
    let mut bench = ids(at_most(2));
    bench.scrape(&map([(1, 1), (2, 1), (3, 1)]));
    // `other` stays; one of the two goes.
    for _ in 0..25 {
        bench.scrape(&map([(2, 1), (3, 1)]));
    }
    let scraped = bench.scrape(&map([(2, 1), (3, 1), (4, 1), (5, 1)]));
    assert_eq!(shown(&scraped), ["2 1", "4 1", "other 2"]);
}

#[test]
fn a_histogram_is_limited_by_its_label_sets() {
    let options = json!({ "bucket_min": 0, "bucket_max": 2 });
    let recipe = Recipe::shaped("exp2", options).label("id", 4, vec![uint()]);
    let mut bench = recipe
        .label("bucket", 4, vec![uint()])
        .bounds(at_most(1))
        .bench();
    let key = |id: u32, bucket: u32| [id.to_ne_bytes(), bucket.to_ne_bytes()].concat();
    let entries: Vec<_> = (0..3)
        .flat_map(|id| (0..4).map(move |bucket| (key(id, bucket), 1)))
        .collect();
    let scraped = bench.scrape(&entries);
    let wanted = |counts: [u64; 4], sum| Seen::Histogram(counts.into(), Number::Unsigned(sum));
    assert_eq!(scraped.series.len(), 2);
    assert_eq!(
        scraped.series["unit_calls{id=\"0\"}"],
        wanted([1, 1, 1, 0], 1)
    );
    assert_eq!(
        scraped.series["unit_calls{id=\"other\"}"],
        wanted([2, 2, 2, 0], 2)
    );
}

#[test]
fn what_stands_still_is_left_out_until_it_moves() {
    let mut bench = ids(expire(60));
    let start = bench.now;
    let mut at = |seconds, entries: &[(u32, u64)]| {
        bench.now = start + Duration::from_secs(seconds);
        shown(&bench.scrape(&map(entries.iter().copied()))).join(", ")
    };
    assert_eq!(at(0, &[(1, 5), (2, 5)]), "1 5, 2 5");
    // A new one comes between them.
    assert_eq!(at(30, &[(1, 5), (10, 5), (2, 6)]), "1 5, 10 5, 2 6");
    assert_eq!(at(59, &[(1, 5), (10, 5), (2, 6)]), "1 5, 10 5, 2 6");
    assert_eq!(at(60, &[(1, 5), (10, 5), (2, 6)]), "10 5, 2 6");
    assert_eq!(at(90, &[(1, 5), (10, 5), (2, 7)]), "2 7");
    assert_eq!(at(100, &[(1, 9), (10, 5), (2, 7)]), "1 9, 2 7");
    assert_eq!(at(200, &[(1, 9), (10, 5), (2, 7)]), "", "no family is left");
}

#[test]
fn what_is_left_out_is_not_forgotten() {
    let mut bench = ids(expire(1));
    let start = bench.now;
    for turn in 0..40 {
        bench.now = start + Duration::from_secs(turn);
        let scraped = bench.scrape(&map([(1, 5), (2, turn)]));
        assert_eq!(scraped.series.len(), if turn == 0 { 2 } else { 1 });
        assert!(turn == 0 || scraped.scrape_stats.decoded == 0);
    }
    assert_eq!(bench.metric.known_series(), 2);
}
