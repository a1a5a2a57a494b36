//! Metrics that are shown from 0.

use serde_json::json;

use super::bench::{Bench, Recipe, Seen, WHOLE, uint};
use crate::exposition::Number;
use crate::rows::WalkEnd;

fn map(entries: impl IntoIterator<Item = (u32, u64)>) -> Vec<([u8; 4], u64)> {
    let entries = entries.into_iter();
    entries
        .map(|(key, value)| (key.to_ne_bytes(), value))
        .collect()
}

fn held(shape: &'static str) -> Bench {
    let recipe = Recipe::shaped(shape, json!({})).label("id", 4, vec![uint()]);
    let mut bench = recipe.bench();
    bench.metric.show_from_zero();
    bench
}

/// `labels value` of each series.
fn shown(bench: &mut Bench, entries: impl IntoIterator<Item = (u32, u64)>) -> String {
    bench.scrape(&map(entries)).text()
}

#[test]
fn counters_begin_at_their_first_complete_walk() {
    let mut bench = held("counter");
    bench.end = WalkEnd::GivenUp;
    assert_eq!(
        shown(&mut bench, [(1, 10)]),
        "",
        "half a map is no beginning"
    );
    bench.end = WHOLE;
    assert_eq!(
        shown(&mut bench, [(1, 10), (2, 20)]),
        "id=\"1\" 0, id=\"2\" 0"
    );
    bench.end = WalkEnd::GivenUp;
    assert_eq!(
        shown(&mut bench, [(1, 11), (2, 20), (3, 7)]),
        "id=\"1\" 1, id=\"2\" 0, id=\"3\" 7",
        "what comes later has no past"
    );
}

#[test]
fn a_counter_that_begins_anew_is_shown_as_it_is() {
    let mut bench = held("counter");
    shown(&mut bench, [(1, 10), (2, 10)]);
    assert_eq!(
        shown(&mut bench, [(1, 4), (2, 12)]),
        "id=\"1\" 4, id=\"2\" 2"
    );
    assert_eq!(
        shown(&mut bench, [(1, 15), (2, 12)]),
        "id=\"1\" 15, id=\"2\" 2",
        "and stays so"
    );
}

#[test]
fn gauges_are_what_they_are() {
    let mut bench = held("gauge");
    assert_eq!(shown(&mut bench, [(1, 10)]), "id=\"1\" 10");
    assert_eq!(shown(&mut bench, [(1, 3)]), "id=\"1\" 3");
}

#[test]
fn what_is_taken_off_moves_with_its_series() {
    let mut bench = held("counter");
    shown(
        &mut bench,
        (0..5000).map(|key| (key, 1000 + u64::from(key))),
    );
    // A crowd of gone keys is swept at once; new ones come in between.
    let kept = |more: u64| {
        let kept = (0..5000).step_by(7);
        kept.map(move |key| (key, 1000 + u64::from(key) + more))
    };
    shown(&mut bench, kept(0));
    assert_eq!(bench.metric.known_series(), 715);
    let new = (1..5000).step_by(7).map(|key| (key, 1_u64));
    let scraped = bench.scrape(&map(kept(5).chain(new)));
    for (name, seen) in &scraped.series {
        let key: u32 = name.split('"').nth(1).unwrap().parse().unwrap();
        let wanted = if key.is_multiple_of(7) { 5 } else { 1 };
        assert_eq!(*seen, Seen::Number(Number::Unsigned(wanted)), "{name}");
    }
}

#[test]
fn histograms_lose_buckets_and_sum() {
    let recipe = Recipe::shaped("linear", json!({ "bucket_min": 0, "bucket_max": 1 }));
    let mut bench = recipe.label("bucket", 1, vec![uint()]).bench();
    bench.metric.show_from_zero();
    // Buckets 0 and 1, the sum at 2.
    let mut scrape = |numbers: [u64; 3]| {
        let rows: Vec<([u8; 1], u64)> = (0..).map(|key| [key]).zip(numbers).collect();
        let scraped = bench.scrape(&rows);
        scraped.series.into_values().next().unwrap()
    };
    let Seen::Histogram(counts, sum) = scrape([3, 4, 50]) else {
        panic!("expected a histogram");
    };
    assert!(counts.iter().all(|count| *count == 0), "{counts:?}");
    assert_eq!(sum, Number::Unsigned(0));
    let Seen::Histogram(counts, sum) = scrape([4, 6, 58]) else {
        panic!("expected a histogram");
    };
    assert_eq!(counts[..2], [1, 2]);
    assert_eq!(sum, Number::Unsigned(8));
    let Seen::Histogram(counts, sum) = scrape([1, 6, 10]) else {
        panic!("expected a histogram");
    };
    // Slot 0 and the sum have begun anew: what they had stays.
    assert_eq!(
        (counts[..2].to_vec(), sum),
        (vec![2, 2], Number::Unsigned(18))
    );
}
