//! What keys that are gone leave in their series, and when series begin.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use serde_json::json;

use super::bench::{Bench, Recipe, Scraped, Seen, WHOLE, static_map, uint};
use crate::config::{Departed, SeriesBounds};
use crate::exposition::Number;
use crate::rows::WalkEnd;
use crate::rows::stats::LeftOut;

const BY_KEY: WalkEnd = WalkEnd::Complete { by_key: true };

/// Keys 1 and 2 are `a`, 3 is `b`.
fn recipe() -> Recipe {
    let table = json!({"1": "a", "2": "a", "3": "b"});
    Recipe::counter().label("g", 1, vec![uint(), static_map(table)])
}

fn ruled(departed: Departed) -> Bench {
    let bounds = SeriesBounds {
        departed: Some(departed),
        ..SeriesBounds::default()
    };
    recipe().bounds(bounds).bench()
}

fn text(bench: &mut Bench, entries: &[(u8, u64)]) -> String {
    scrape(bench, entries).text().replace("g=", "")
}

fn scrape(bench: &mut Bench, entries: &[(u8, u64)]) -> Scraped {
    let entries: Vec<_> = entries.iter().map(|&(key, value)| ([key], value)).collect();
    bench.scrape(&entries)
}

fn start(scraped: &Scraped, group: &str) -> Option<u64> {
    scraped.starts[&format!("unit_calls{{g=\"{group}\"}}")]
}

#[test]
fn a_sum_keeps_what_a_removed_key_had() {
    let mut bench = recipe().bench();
    assert_eq!(
        text(&mut bench, &[(1, 100), (2, 50), (3, 7)]),
        "\"a\" 150, \"b\" 7"
    );
    assert_eq!(
        text(&mut bench, &[(1, 101)]),
        "\"a\" 151",
        "one key is one series"
    );
    assert!(bench.metric.holds());
    // Back, whatever it has: a life of its own.
    assert_eq!(text(&mut bench, &[(1, 101), (2, 60)]), "\"a\" 211");
    assert_eq!(
        text(&mut bench, &[(1, 101), (2, 20)]),
        "\"a\" 231",
        "and another one"
    );
    // All of its keys are gone: five minutes.
    assert_eq!(text(&mut bench, &[]), "\"a\" 231");
    bench.now += Duration::from_secs(299);
    assert_eq!(text(&mut bench, &[]), "\"a\" 231");
    bench.now += Duration::from_secs(1);
    assert_eq!(text(&mut bench, &[]), "");
    assert_eq!(text(&mut bench, &[(1, 5)]), "\"a\" 5", "it is forgotten");
}

#[test]
fn the_rule_may_be_given() {
    let mut keeps = ruled(Departed::Keep);
    text(&mut keeps, &[(3, 7)]);
    assert_eq!(text(&mut keeps, &[(3, 2)]), "\"b\" 9");
    assert_eq!(text(&mut keeps, &[]), "\"b\" 9");
    let mut drops = ruled(Departed::Drop);
    text(&mut drops, &[(1, 100), (2, 50)]);
    let scraped = scrape(&mut drops, &[(1, 100)]);
    assert_eq!(scraped.text(), "g=\"a\" 100");
    assert_eq!(start(&scraped, "a"), Some(2000), "a fall is a new start");
    assert!(!drops.metric.holds());
}

#[test]
fn starts_are_when_the_series_was_zero() {
    let mut bench = recipe().bench();
    let scraped = scrape(&mut bench, &[(1, 1)]);
    assert_eq!(start(&scraped, "a"), Some(1), "the map's creation");
    let scraped = scrape(&mut bench, &[(1, 2), (3, 1)]);
    assert_eq!(start(&scraped, "a"), Some(1));
    assert_eq!(
        start(&scraped, "b"),
        Some(1000),
        "it was not in the walk before"
    );
    let scraped = scrape(&mut bench, &[(1, 2)]);
    assert_eq!(start(&scraped, "a"), Some(1));
    let scraped = scrape(&mut bench, &[(1, 2), (3, 4)]);
    assert_eq!(start(&scraped, "b"), Some(3000), "nor in this one");
    let scraped = scrape(&mut bench, &[(1, 2), (3, 3)]);
    assert_eq!(start(&scraped, "b"), Some(5000), "it has fallen");
    // The second key of `a`: from now on nothing that happens moves its start.
    for entries in [&[(1, 2), (2, 1)][..], &[(2, 1)], &[(2, 0)], &[], &[(1, 1)]] {
        let scraped = scrape(&mut bench, entries);
        assert_eq!(start(&scraped, "a"), Some(1), "{entries:?}");
    }
}

#[test]
fn an_incomplete_walk_changes_nothing() {
    let mut bench = recipe().bench();
    text(&mut bench, &[(1, 100), (2, 50), (3, 7)]);
    bench.end = WalkEnd::GivenUp;
    // What it has seen is newer; the rest is as it was.
    assert_eq!(text(&mut bench, &[(1, 103)]), "\"a\" 153, \"b\" 7");
    assert_eq!(
        text(&mut bench, &[(1, 5)]),
        "\"a\" 153, \"b\" 7",
        "no life begins"
    );
    bench.end = WalkEnd::Failed;
    let scraped = scrape(&mut bench, &[(1, 104)]);
    assert_eq!(scraped.text(), "");
    assert_eq!(scraped.scrape_stats.unshown, Some(LeftOut::ReadError));
    for _ in 0..30 {
        scrape(&mut bench, &[(1, 104)]);
    }
    assert_eq!(bench.metric.remembered(), 3, "it sweeps nothing");
    bench.end = WHOLE;
    let scraped = scrape(&mut bench, &[(1, 105), (3, 8)]);
    assert_eq!(scraped.text(), "g=\"a\" 155, g=\"b\" 8");
    assert_eq!(scraped.scrape_stats.decoded, 0);
    assert_eq!(start(&scraped, "b"), Some(1), "it was there all the time");
}

#[test]
fn what_a_walk_has_found_is_shown_for_a_minute() {
    let mut bench = recipe().bench();
    bench.end = WalkEnd::GivenUp;
    assert_eq!(text(&mut bench, &[(1, 1)]), "", "half a map is nothing");
    bench.end = WHOLE;
    text(&mut bench, &[(1, 1), (3, 1)]);
    bench.end = WalkEnd::GivenUp;
    bench.now += Duration::from_secs(59);
    assert_eq!(text(&mut bench, &[(1, 2)]), "\"a\" 2, \"b\" 1");
    bench.now += Duration::from_secs(1);
    let scraped = scrape(&mut bench, &[(1, 2)]);
    assert_eq!(scraped.scrape_stats.unshown, Some(LeftOut::IncompleteWalk));
}

#[test]
fn incomplete_walks_do_not_pile_keys_up() {
    let mut bench = Recipe::counter().label("id", 4, vec![uint()]).bench();
    bench.max_entries = Some(1000);
    bench.scrape(&[([0; 4], 1)]);
    bench.end = WalkEnd::GivenUp;
    for round in 0..100_u32 {
        let keys = round * 1000..(round + 1) * 1000;
        let entries: Vec<_> = keys.map(|key| (key.to_ne_bytes(), 1)).collect();
        bench.scrape(&entries);
        assert!(
            bench.metric.remembered() <= 4000,
            "{}",
            bench.metric.remembered()
        );
    }
    bench.end = WHOLE;
    let scraped = bench.scrape(&[([9; 4], 5)]);
    assert_eq!(
        scraped.series.into_values().collect::<Vec<_>>(),
        [Seen::Number(Number::Unsigned(0))]
    );
}

#[test]
fn a_walk_by_keys_may_miss_one() {
    let mut bench = recipe().bench();
    bench.end = BY_KEY;
    text(&mut bench, &[(1, 100), (2, 50)]);
    assert_eq!(text(&mut bench, &[(1, 100)]), "\"a\" 150");
    assert_eq!(text(&mut bench, &[(1, 100)]), "\"a\" 150");
    assert_eq!(
        text(&mut bench, &[(1, 100), (2, 53)]),
        "\"a\" 153",
        "it had only been missed"
    );
    assert_eq!(text(&mut bench, &[(1, 100)]), "\"a\" 153");
    assert_eq!(text(&mut bench, &[(1, 100)]), "\"a\" 153");
    assert_eq!(
        text(&mut bench, &[(1, 100), (2, 2)]),
        "\"a\" 155",
        "another life"
    );
}

#[test]
fn slots_of_a_histogram_leave_one_by_one() {
    let recipe = Recipe::shaped("linear", json!({ "bucket_min": 0, "bucket_max": 1 }));
    let mut bench = recipe.label("bucket", 1, vec![uint()]).bench();
    let wanted = |counts: [u64; 3], sum| Seen::Histogram(counts.into(), Number::Unsigned(sum));
    let mut seen = |entries: &[(u8, u64)]| scrape(&mut bench, entries).series.into_values().next();
    assert_eq!(
        seen(&[(0, 3), (1, 4), (2, 50)]),
        Some(wanted([3, 4, 0], 50))
    );
    assert_eq!(seen(&[(0, 3)]), Some(wanted([3, 4, 0], 50)));
    assert_eq!(seen(&[(0, 2), (2, 1)]), Some(wanted([5, 4, 0], 51)));
}

#[test]
fn gauges_keep_nothing() {
    let table = json!({"1": "a", "2": "a"});
    let recipe = Recipe::shaped("gauge", json!({}));
    let mut bench = recipe
        .label("g", 1, vec![uint(), static_map(table)])
        .bench();
    text(&mut bench, &[(1, 100), (2, 50)]);
    assert_eq!(text(&mut bench, &[(1, 30)]), "\"a\" 30");
    assert!(!bench.metric.holds());
}

#[test]
fn floats_do_not_fall_by_rounding() {
    let value = json!({"scale": 1.1});
    let table = json!({"1": "a", "2": "a", "3": "a", "4": "a"});
    let recipe = Recipe::shaped("counter", value);
    let mut bench = recipe
        .label("g", 1, vec![uint(), static_map(table)])
        .bench();
    let mut before = 0.0;
    let mut keys = vec![(1, 3_u64), (2, 7), (3, 11), (4, 1_000_003)];
    for step in 0..200_usize {
        keys.rotate_left(step % 3);
        for (key, value) in &mut keys {
            if step % 5 == usize::from(*key) {
                *value += 1;
            }
        }
        let left_out = step % 7;
        let entries: Vec<_> = keys
            .iter()
            .copied()
            .skip(usize::from(left_out == 6))
            .collect();
        let scraped = scrape(&mut bench, &entries);
        let Some(Seen::Number(Number::Float(now))) = scraped.series.into_values().next() else {
            panic!("a scaled number");
        };
        assert!(now >= before, "{now} after {before}");
        before = now;
    }
}

/// The version after: its keys are decoded by another table, and it has another bound.
fn next(before: Bench, table: serde_json::Value, max_series: Option<usize>) -> Bench {
    let bounds = SeriesBounds {
        max_series: max_series.and_then(NonZeroUsize::new),
        ..SeriesBounds::default()
    };
    let recipe = Recipe::counter().bounds(bounds);
    let recipe = recipe.label("g", 1, vec![uint(), static_map(table)]);
    let mut bench = recipe.bench();
    bench.metric.follow(before.metric);
    (bench.now, bench.walks) = (before.now, before.walks);
    bench
}

#[test]
fn a_key_that_changes_its_series_leaves_what_it_had() {
    let mut bench = recipe().bench();
    text(&mut bench, &[(1, 100), (2, 50), (3, 7)]);
    let mut bench = next(bench, json!({"1": "a", "2": "b", "3": "c"}), None);
    let scraped = scrape(&mut bench, &[(1, 101), (2, 52), (3, 8)]);
    assert_eq!(scraped.text(), "g=\"a\" 153, g=\"b\" 8, g=\"c\" 0");
    let starts = ["a", "b", "c"].map(|group| start(&scraped, group));
    assert_eq!(starts, [Some(1), Some(1), Some(1000)]);
    assert!(bench.metric.holds());
    assert_eq!(
        text(&mut bench, &[(1, 102), (2, 53), (3, 10)]),
        "\"a\" 154, \"b\" 9, \"c\" 2"
    );
    // And back again, less what each has counted.
    let mut bench = next(bench, json!({"1": "a", "2": "a", "3": "b"}), None);
    text(&mut bench, &[(1, 102), (2, 53), (3, 10)]);
    assert_eq!(
        text(&mut bench, &[(1, 102), (2, 54), (3, 20)]),
        "\"a\" 155, \"b\" 19, \"c\" 2"
    );
    // A smaller value is a new life, which has been counted nowhere.
    assert_eq!(
        text(&mut bench, &[(1, 102), (2, 54), (3, 4)]),
        "\"a\" 155, \"b\" 23, \"c\" 2"
    );
}

#[test]
fn other_never_falls() {
    let all: Vec<(u8, u64)> = (0..20).map(|key| (key, 1000)).collect();
    let table = || {
        (0..20)
            .map(|key| (key.to_string(), json!(format!("k{key:02}"))))
            .collect()
    };
    let mut bench = next(recipe().bench(), table(), Some(5));
    let other = |scraped: &Scraped| scraped.series["unit_calls{g=\"other\"}"].clone();
    let wanted = |number| Seen::Number(Number::Unsigned(number));
    assert_eq!(other(&scrape(&mut bench, &all)), wanted(15_000));
    assert_eq!(other(&scrape(&mut bench, &all[..17])), wanted(15_000));
    // Dealt out anew: keys come out of `other` without what they had there.
    let mut turned = all[..17].to_vec();
    turned.reverse();
    let mut bench = next(bench, table(), Some(7));
    let scraped = scrape(&mut bench, &turned);
    assert!(matches!(other(&scraped), Seen::Number(Number::Unsigned(sum)) if sum >= 15_000));
    let sum = |scraped: &Scraped| {
        let series = scraped.series.values().map(|seen| match seen {
            Seen::Number(Number::Unsigned(number)) => *number,
            other => panic!("{other:?}"),
        });
        series.sum::<u64>()
    };
    assert_eq!(sum(&scraped), 20_000);
    turned[0].1 += 1;
    assert_eq!(sum(&scrape(&mut bench, &turned)), 20_001);
}

#[test]
fn a_new_version_is_shown_once_all_is_known() {
    let mut bench = recipe().bench();
    text(&mut bench, &[(1, 100), (2, 50), (3, 7)]);
    let mut bench = next(bench, json!({"1": "a", "2": "a", "3": "b"}), None);
    // Nobody is asked: the rows of the version before.
    bench.plugins.ask_until(Instant::now());
    assert_eq!(
        text(&mut bench, &[(1, 101), (2, 50), (3, 8)]),
        "\"a\" 151, \"b\" 8"
    );
    assert!(bench.metric.waits());
    assert_eq!(text(&mut bench, &[(1, 102), (3, 8)]), "\"a\" 152, \"b\" 8");
    bench
        .plugins
        .ask_until(Instant::now() + Duration::from_secs(3600));
    assert_eq!(text(&mut bench, &[(1, 103), (3, 9)]), "\"a\" 153, \"b\" 9");
    assert!(!bench.metric.waits());
    assert_eq!(text(&mut bench, &[(1, 104), (3, 9)]), "\"a\" 154, \"b\" 9");
}

#[test]
fn rows_wait_for_a_minute_at_most() {
    let mut bench = recipe().bench();
    text(&mut bench, &[(1, 100), (2, 50), (3, 7)]);
    let mut bench = next(bench, json!({"1": "a", "2": "b", "3": "b"}), None);
    bench.plugins.ask_until(Instant::now());
    text(&mut bench, &[(1, 101), (2, 50), (3, 7)]);
    bench.now += Duration::from_secs(60);
    // What waits was counted as far as it is known, and goes on from there.
    assert_eq!(
        text(&mut bench, &[(1, 102), (2, 51), (3, 7)]),
        "\"a\" 153, \"b\" 7"
    );
    assert!(!bench.metric.waits());
    bench
        .plugins
        .ask_until(Instant::now() + Duration::from_secs(3600));
    assert_eq!(
        text(&mut bench, &[(1, 104), (2, 54), (3, 8)]),
        "\"a\" 155, \"b\" 11"
    );
}

#[test]
fn other_labels_begin_where_their_oldest_key_did() {
    let mut bench = recipe().bench();
    scrape(&mut bench, &[(1, 1)]);
    scrape(&mut bench, &[(1, 1), (3, 1)]);
    let mut after = Recipe::counter().label("id", 1, vec![uint()]).bench();
    after.metric.follow(bench.metric);
    after.walks = bench.walks;
    let scraped = scrape(&mut after, &[(1, 2), (3, 2), (2, 9)]);
    assert_eq!(scraped.text(), "id=\"1\" 2, id=\"2\" 9, id=\"3\" 2");
    let starts: Vec<_> = scraped.starts.into_values().collect();
    assert_eq!(starts, [Some(1), Some(2000), Some(1000)]);
}

#[test]
fn numbers_that_were_shown_by_a_server_before_are_shown_whole() {
    let mut bench = recipe().bench();
    bench.metric.resume();
    bench.plugins.ask_until(Instant::now());
    let scraped = scrape(&mut bench, &[(1, 100), (2, 50)]);
    assert_eq!(scraped.scrape_stats.unshown, Some(LeftOut::Waiting));
    bench
        .plugins
        .ask_until(Instant::now() + Duration::from_secs(3600));
    assert_eq!(text(&mut bench, &[(1, 100), (2, 50)]), "\"a\" 150");
}

#[test]
fn numbers_that_cannot_be_whole_begin_anew_after_a_minute() {
    let mut bench = recipe().bench();
    bench.metric.resume();
    bench.plugins.ask_until(Instant::now());
    scrape(&mut bench, &[(1, 100), (2, 50)]);
    bench.now += Duration::from_secs(60);
    assert_eq!(text(&mut bench, &[(1, 100), (2, 50)]), "");
    bench
        .plugins
        .ask_until(Instant::now() + Duration::from_secs(3600));
    assert_eq!(text(&mut bench, &[(1, 100), (2, 50)]), "\"a\" 150");
}
