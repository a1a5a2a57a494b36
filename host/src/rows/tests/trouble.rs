//! Plugins that change their minds or break in the middle.

use std::time::{Duration, Instant};

use serde_json::json;

use super::bench::{Bench, Recipe, Use, regexp, static_map, uint};
use crate::plugin::CallError;
use crate::plugin::tests::component::{ECHO, Guest};

/// Answers every row with the number of the call as a letter, a, b, c …; provisional up to call
/// `last`.
fn undecided(last: u32) -> Use {
    let guest = Guest::new().decode(format!(
        "(loop $again
            (i32.store8 (i32.add (i32.const 9000) (local.get $i)) (i32.add (i32.const 96) (global.get $calls)))
            (i32.store (i32.add (i32.const 12000) (i32.shl (local.get $i) (i32.const 2))) (local.get $i))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (i32.store (i32.add (i32.const 9996) (i32.shl (local.get $i) (i32.const 2))) (local.get $i))
            (br_if $again (i32.lt_u (local.get $i) (local.get $ends_len))))
         (drop (call $answer (i32.const 9000) (local.get $i) (i32.const 10000) (local.get $i)))
         (call $list (i32.const 24) (i32.const 12000)
            (select (local.get $i) (i32.const 0) (i32.le_u (global.get $calls) (i32.const {last}))))
         (i32.const 1024)"
    ));
    Use::Own("echo", guest)
}

#[test]
fn provisional_answers_are_asked_for_again_until_they_are_final() {
    let mut bench = Recipe::counter()
        .label("id", 1, vec![uint()])
        .label("name", 1, vec![undecided(2)])
        .bench();
    let map = [([1, 0], 10), ([2, 0], 20)];
    // What was counted under the names before stays there.
    let expected = [("a", 2), ("ab", 2), ("abc", 2), ("abc", 0), ("abc", 0)];
    for (names, decoded) in expected {
        let scraped = bench.scrape(&map);
        let of = |id: u32| {
            let series = names.chars().map(move |name| {
                let value = if name == 'a' { 10 * id } else { 0 };
                format!(r#"id="{id}",name="{name}" {value}"#)
            });
            series.collect::<Vec<_>>().join(", ")
        };
        assert_eq!(scraped.text(), format!("{}, {}", of(1), of(2)));
        assert_eq!(scraped.scrape_stats.decoded, decoded);
    }
    assert_eq!(bench.metric.remembered(), 2);
}

#[test]
fn what_is_provisional_may_be_dropped_for_now() {
    // b and d are filtered.
    let mut bench = Recipe::counter()
        .label("name", 1, vec![undecided(5), regexp("[ace]")])
        .bench();
    let (a, c, e) = ("name=\"a\" 7", "name=\"c\" 0", "name=\"e\" 0");
    let both = format!("{a}, {c}");
    let all = format!("{both}, {e}");
    for expected in [a, a, &both, &both, &all] {
        let scraped = bench.scrape(&[([0], 7)]);
        assert_eq!(scraped.text(), expected);
        assert_eq!(scraped.left_out(), []);
    }
    // Answer f is final, and filtered.
    for decoded in [1, 0] {
        let scraped = bench.scrape(&[([0], 7)]);
        assert_eq!(
            (scraped.text(), scraped.scrape_stats.decoded),
            (all.clone(), decoded)
        );
    }
}

#[test]
fn what_is_provisional_may_fail_for_now() {
    // Only c is a bucket: 1.
    let mut bench = Recipe::shaped("linear", json!({ "bucket_min": 0, "bucket_max": 1 }))
        .label(
            "bucket",
            1,
            vec![undecided(3), static_map(json!({ "c": "1" }))],
        )
        .bench();
    for (expected, failed) in [("", 1), ("", 1), (" [0, 7, 0] Unsigned(0)", 0)] {
        let scraped = bench.scrape(&[([0], 7)]);
        assert_eq!(scraped.text(), expected);
        assert_eq!(scraped.left_out().len(), failed);
    }
}

#[test]
fn answers_that_never_settle_do_not_pile_up() {
    let mut bench = Recipe::counter()
        .label("name", 1, vec![undecided(u32::MAX)])
        .bench();
    for _ in 0..100 {
        bench.now += Duration::from_secs(60);
        assert!(bench.scrape(&[([0], 7)]).series.len() <= 6);
    }
    assert!(
        bench.metric.known_series() <= 26,
        "{} series are kept",
        bench.metric.known_series()
    );
}

/// Traps at every second call of an instance.
fn every_second() -> Use {
    let guest = Guest::new().decode(format!(
        "(if (i32.eqz (i32.and (global.get $calls) (i32.const 1))) (then (unreachable))) {ECHO}"
    ));
    Use::Own("echo", guest)
}

fn ids(chain: Vec<Use>) -> (Bench, Vec<([u8; 4], u64)>) {
    let map = (0..3000_u32)
        .map(|key| (key.to_ne_bytes(), u64::from(key)))
        .collect();
    (Recipe::counter().label("id", 4, chain).bench(), map)
}

#[test]
fn a_failure_in_the_middle_costs_its_batch_until_the_next_scrape() {
    let (mut bench, map) = ids(vec![every_second(), uint()]);
    // The first and the third batch are answered; the second one meets the second call of an
    // instance twice.
    let expected = [
        (1976, 1, 3000),
        (1976, 1, 1024),
        (3000, 0, 1024),
        (3000, 0, 0),
    ];
    for (series, failed, decoded) in expected {
        let scraped = bench.scrape(&map);
        assert_eq!(scraped.series.len(), series);
        assert_eq!(scraped.scrape_stats.failed.len(), failed);
        assert_eq!(scraped.scrape_stats.decoded, decoded);
        assert_eq!(scraped.left_out(), []);
        for (name, error) in &scraped.scrape_stats.failed {
            assert!(
                &**name == "echo" && matches!(error, CallError::Trap(_)),
                "{name}: {error:?}"
            );
        }
        let text = scraped.text();
        assert!(text.contains("id=\"0\" 0") && text.contains("id=\"2999\" 2999"));
        assert_eq!(text.contains("id=\"1500\" 1500"), series == 3000);
    }
}

#[test]
fn a_plugin_that_is_down_leaves_known_rows_alone() {
    // Traps where a batch begins with `!`.
    let guest = Guest::new().decode(format!(
        "(if (i32.eq (i32.load8_u (local.get $bytes)) (i32.const 33)) (then (unreachable))) {ECHO}"
    ));
    let mut bench = Recipe::counter()
        .label("name", 1, vec![Use::Own("echo", guest)])
        .bench();
    bench.scrape(&[(*b"a", 1), (*b"b", 2)]);
    for attempt in 0..6 {
        let scraped = bench.scrape(&[(*b"!", 9), (*b"a", 1), (*b"b", 2)]);
        assert_eq!(scraped.text(), "name=\"a\" 1, name=\"b\" 2");
        let [(_, error)] = scraped.scrape_stats.failed.as_slice() else {
            panic!("{:?}", scraped.scrape_stats.failed)
        };
        assert_eq!(
            matches!(error, CallError::BackOff { .. }),
            attempt >= 3,
            "{error:?}"
        );
    }
    assert_eq!(bench.metric.remembered(), 2);
}

#[test]
fn new_keys_wait_for_the_next_scrape_once_it_is_late() {
    let (mut bench, map) = ids(vec![uint()]);
    let all = map.len();
    bench.plugins.ask_until(Instant::now());
    let late = bench.scrape(&map);
    assert_eq!(
        (late.series.len(), late.scrape_stats.postponed),
        (0, all as u64)
    );
    bench
        .plugins
        .ask_until(Instant::now() + Duration::from_secs(3600));
    assert_eq!(bench.scrape(&map).series.len(), all);
    // What is known needs nobody.
    bench.plugins.ask_until(Instant::now());
    let known = bench.scrape(&map);
    assert_eq!((known.series.len(), known.scrape_stats.postponed), (all, 0));
}
