//! Plugins that change their minds or break in the middle.

use std::time::{Duration, Instant};

use serde_json::json;

use super::bench::{Bench, Recipe, Use, regexp, static_map, uint};
use crate::plugin::tests::component::{ECHO, Guest};
use crate::plugin::{CallError, Session};

/// Answers every row with the number of the call as a letter, a, b, c …; provisional up to call
/// `last`.
pub(super) fn undecided(last: u32) -> Use {
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
fn a_failure_in_the_middle_costs_nothing() {
    let (mut bench, map) = ids(vec![every_second(), uint()]);
    // The second call of an instance fails, whatever it is about: the same is asked of a new one.
    for decoded in [3000, 0] {
        let scraped = bench.scrape(&map);
        assert_eq!(scraped.series.len(), 3000);
        assert!(scraped.scrape_stats.failed.is_empty());
        assert_eq!(scraped.scrape_stats.decoded, decoded);
        assert_eq!(scraped.left_out(), []);
    }
}

/// Traps at the keys, of four bytes, whose number is one of these modulo a million.
pub(super) fn poisoned(keys: &[u32]) -> Use {
    let mut tests = String::from("(i32.const 0)");
    for key in keys {
        tests = format!("(i32.or {tests} (i32.eq (local.get $j) (i32.const {key})))");
    }
    let guest = Guest::new().decode(format!(
        "(loop $again
            (local.set $j (i32.load (i32.add (local.get $bytes) (i32.shl (local.get $i) (i32.const 2)))))
            (if {tests} (then (unreachable)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (local.get $ends_len))))
         {ECHO}"
    ));
    Use::Own("echo", guest)
}

fn calls(bench: &Bench) -> (u64, u64) {
    let own = bench.plugins.iter();
    let own = own.filter(|session| session.plugin_name() == "test");
    let stats = own.map(Session::stats).next().unwrap();
    (stats.calls, stats.restarts)
}

#[test]
fn keys_that_trap_are_found_with_few_calls() {
    const KEYS: u32 = 1 << 16;
    let poison = [0, 1, 2, 700, 1023, 1024, 40_000, KEYS - 1];
    let mut bench = Recipe::counter()
        .label("id", 4, vec![poisoned(&poison), uint()])
        .bench();
    let mut map: Vec<([u8; 4], u64)> = (0..KEYS).map(|key| (key.to_ne_bytes(), 1)).collect();
    let (before, _) = calls(&bench);
    let scraped = bench.scrape(&map);
    let found = poison.len();
    assert_eq!(scraped.series.len(), KEYS as usize - found);
    assert_eq!(scraped.left_out(), [("echo", found as u64)]);
    assert!(scraped.scrape_stats.failed.is_empty());
    // The first of each batch is said.
    let [(name, why), ..] = scraped.scrape_stats.rejected.as_slice() else {
        panic!("{:?}", scraped.scrape_stats.rejected)
    };
    assert_eq!(&**name, "echo");
    assert!(
        why.contains("unreachable") && why.contains("0x00000000"),
        "{why}"
    );
    let (after, restarts) = calls(&bench);
    // 64 batches, and down to each and up again.
    assert!(
        after - before <= 64 + 2 * 11 * found as u64,
        "{}",
        after - before
    );
    assert!(restarts <= 12 * found as u64, "{restarts} instances");
    // New keys are served, the others left alone for a while.
    map.push((KEYS.to_ne_bytes(), 1));
    let scraped = bench.scrape(&map);
    assert_eq!(scraped.series.len(), KEYS as usize + 1 - found);
    assert_eq!(scraped.left_out(), [("echo", found as u64)]);
    // The decoder is opened in a new instance, and asked.
    assert_eq!(calls(&bench), (after + 2, restarts));
}

#[test]
fn a_key_that_traps_is_asked_about_again_later_and_later() {
    let mut bench = Recipe::counter()
        .label("id", 4, vec![poisoned(&[3])])
        .bench();
    let map: Vec<([u8; 4], u64)> = (0..8_u32).map(|key| (key.to_ne_bytes(), 1)).collect();
    bench.scrape(&map);
    let started = Instant::now();
    let mut asked = Vec::new();
    let mut known = calls(&bench);
    while asked.len() < 2 {
        bench.scrape(&map);
        if calls(&bench) != known {
            // The instance before has ended: another one opens the decoder.
            let opened = u64::from(!asked.is_empty());
            known = (known.0 + opened + 1, known.1 + 1);
            assert_eq!(calls(&bench), known, "alone");
            asked.push(started.elapsed());
        }
        std::thread::yield_now();
    }
    assert!(asked[0] > Duration::from_millis(900), "{asked:?}");
    assert!(
        asked[1] > asked[0] + Duration::from_millis(1900),
        "{asked:?}"
    );
}

#[test]
fn a_plugin_that_traps_at_everything_costs_few_instances() {
    let (mut bench, map) = ids(vec![Use::Own("echo", Guest::new().decode("(unreachable)"))]);
    for _ in 0..5 {
        let scraped = bench.scrape(&map);
        assert!(scraped.series.is_empty());
        let [.., (_, error)] = scraped.scrape_stats.failed.as_slice() else {
            panic!("{:?}", scraped.scrape_stats)
        };
        assert!(matches!(error, CallError::BackOff { .. }), "{error:?}");
    }
    let (_, restarts) = calls(&bench);
    assert!(restarts <= 32, "{restarts} instances");
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
