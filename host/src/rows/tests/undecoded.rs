//! Keys that were counted, cannot be decoded for a while, and then can be again: nothing is
//! counted twice.

use serde_json::{Value as Json, json};

use super::bench::{Bench, Recipe, Use, regexp, static_map, uint};
use super::trouble::{poisoned, undecided};

fn next(before: Bench, mut bench: Bench) -> Bench {
    bench.metric.follow(before.metric);
    (bench.now, bench.walks) = (before.now, before.walks);
    bench
}

fn text(bench: &mut Bench, entries: &[(u32, u64)]) -> String {
    let entries = entries
        .iter()
        .map(|(key, value)| (key.to_ne_bytes(), *value));
    bench.scrape(&entries.collect::<Vec<_>>()).text()
}

#[test]
fn a_key_that_fails_in_one_version() {
    let of = |table: Json| {
        Recipe::shaped("linear", json!({ "bucket_min": 0, "bucket_max": 1 }))
            .label("bucket", 4, vec![uint(), static_map(table)])
            .bench()
    };
    let good = || of(json!({ "1": "0", "2": "1" }));
    let mut bench = good();
    let unsigned = |counts: [u64; 3]| format!(" {counts:?} Unsigned(0)");
    assert_eq!(
        text(&mut bench, &[(1, 100), (2, 50)]),
        unsigned([100, 50, 0])
    );
    let mut bench = next(bench, of(json!({ "1": "0", "2": "x" })));
    assert_eq!(
        text(&mut bench, &[(1, 100), (2, 51)]),
        unsigned([100, 51, 0])
    );
    assert_eq!(
        text(&mut bench, &[(1, 100), (2, 52)]),
        unsigned([100, 51, 0])
    );
    let mut bench = next(bench, good());
    assert_eq!(
        text(&mut bench, &[(1, 101), (2, 54)]),
        unsigned([101, 54, 0])
    );
    assert_eq!(
        text(&mut bench, &[(1, 101), (2, 3)]),
        unsigned([101, 57, 0])
    );
}

/// Keys 1, 2 and 3 are `a`.
fn named(first: Vec<Use>) -> Bench {
    let table = json!({ "1": "a", "2": "a", "3": "a" });
    let mut chain = first;
    chain.extend([uint(), static_map(table)]);
    Recipe::counter().label("g", 4, chain).bench()
}

#[test]
fn a_key_that_traps_in_one_version() {
    let mut bench = named(vec![]);
    assert_eq!(text(&mut bench, &[(1, 100), (2, 50)]), "g=\"a\" 150");
    let mut bench = next(bench, named(vec![poisoned(&[2])]));
    assert_eq!(text(&mut bench, &[(1, 101), (2, 51)]), "g=\"a\" 152");
    assert_eq!(text(&mut bench, &[(1, 102), (2, 60)]), "g=\"a\" 153");
    let mut bench = next(bench, named(vec![]));
    assert_eq!(text(&mut bench, &[(1, 102), (2, 61)]), "g=\"a\" 163");
    // Removed where it could not be decoded, it begins anew.
    let mut bench = next(bench, named(vec![poisoned(&[2])]));
    text(&mut bench, &[(1, 102), (2, 61)]);
    text(&mut bench, &[(1, 102)]);
    text(&mut bench, &[(1, 102), (2, 70)]);
    let mut bench = next(bench, named(vec![]));
    assert_eq!(text(&mut bench, &[(1, 102), (2, 71)]), "g=\"a\" 234");
}

#[test]
fn a_key_that_traps_while_series_begin_at_0() {
    let mut bench = named(vec![poisoned(&[2])]);
    bench.metric.show_from_zero();
    assert_eq!(text(&mut bench, &[(1, 100), (2, 50)]), "g=\"a\" 0");
    assert_eq!(text(&mut bench, &[(1, 101), (2, 51)]), "g=\"a\" 1");
    let mut bench = next(bench, named(vec![]));
    assert_eq!(text(&mut bench, &[(1, 102), (2, 53)]), "g=\"a\" 5");
    assert_eq!(text(&mut bench, &[(1, 102), (2, 54)]), "g=\"a\" 6");
}

#[test]
fn a_key_that_is_dropped_in_the_end() {
    let mut bench = Recipe::counter()
        .label("g", 1, vec![undecided(1), regexp("a")])
        .bench();
    assert_eq!(bench.scrape(&[([0], 10)]).text(), "g=\"a\" 10");
    assert_eq!(bench.scrape(&[([0], 11)]).text(), "g=\"a\" 10");
    assert_eq!(bench.scrape(&[([0], 11)]).scrape_stats.decoded, 0);
    let table = json!({ "0": "a" });
    let after = Recipe::counter().label("g", 1, vec![uint(), static_map(table)]);
    let mut bench = next(bench, after.bench());
    assert_eq!(bench.scrape(&[([0], 12)]).text(), "g=\"a\" 12");
}
