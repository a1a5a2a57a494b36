//! Random walks, deadlines, renames, reloads and deaths of the server, against a model that knows
//! no more than the walks: what a key has grown by since it was last seen belongs to the series
//! that the key is in. A key that a complete walk lacks begins at 0 when it is back.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::bench::{Bench, Recipe, Scraped, Seen, Use, WHOLE, static_map, uint};
use super::random::Random;
use crate::config::{Departed, SeriesBounds};
use crate::exposition::Number;
use crate::plugin::tests::component::Guest;
use crate::rows::WalkEnd;

const STEPS: u64 = 10_000;
const KEYS: u64 = 24;
const SHOWN_WITHOUT_KEYS: Duration = Duration::from_secs(300);

/// The name of a key is one of three letters, which changes after some calls. Now and then a call
/// traps.
fn renamed() -> Use {
    let guest = Guest::new().decode(
        "(if (i32.eq (i32.rem_u (global.get $calls) (i32.const 50)) (i32.const 49)) (then (unreachable)))
         (loop $again
            (i32.store8 (i32.add (i32.const 9000) (local.get $i)) (i32.add (i32.const 97) (i32.rem_u
                (i32.add
                    (i32.load8_u (i32.add (local.get $bytes) (local.get $i)))
                    (i32.div_u (global.get $calls) (i32.const 16)))
                (i32.const 3))))
            (i32.store (i32.add (i32.const 12000) (i32.shl (local.get $i) (i32.const 2))) (local.get $i))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (i32.store (i32.add (i32.const 9996) (i32.shl (local.get $i) (i32.const 2))) (local.get $i))
            (br_if $again (i32.lt_u (local.get $i) (local.get $ends_len))))
         (drop (call $answer (i32.const 9000) (local.get $i) (i32.const 10000) (local.get $i)))
         (call $list (i32.const 24) (i32.const 12000) (local.get $i))
         (i32.const 1024)",
    );
    Use::Own("echo", guest)
}

/// What the walks say.
#[derive(Default)]
struct Model {
    /// Of keys that are counted, what they had when they were last seen.
    last: BTreeMap<u8, u64>,
    /// The sum of each series, and since when it has no key.
    sums: BTreeMap<String, (u64, Option<Instant>)>,
    /// Keys that wait in a new version, and how much of them was counted before.
    moved: BTreeMap<u8, u64>,
}

/// The kernel's side, and the host's.
struct World {
    random: Random,
    /// In the order in which keys were used: the first goes where there is no room.
    map: Vec<(u8, u64)>,
    bench: Bench,
    /// Keys are renamed while they live.
    renames: bool,
    rule: Option<Departed>,
    model: Model,
    before: Option<Scraped>,
    counts: BTreeMap<&'static str, u64>,
}

impl World {
    fn new(seed: u64, renames: bool, rule: Option<Departed>) -> Self {
        let mut random = Random(seed);
        Self {
            bench: recipe(&mut random, renames, rule).bench(),
            random,
            map: Vec::new(),
            renames,
            rule,
            model: Model::default(),
            before: None,
            counts: BTreeMap::new(),
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Something happens in the map.
    fn change(&mut self) {
        for _ in 0..self.random.below(6) {
            let key = self.random.below(KEYS) as u8;
            let known = self.map.iter().position(|(one, _)| *one == key);
            match (self.random.below(8), known) {
                (0, Some(index)) => {
                    self.map.remove(index);
                    self.count("deleted");
                }
                (1, Some(index)) => {
                    self.map[index].1 = self.random.below(4);
                    self.count("inserted again");
                }
                (_, Some(index)) => {
                    let (_, value) = self.map.remove(index);
                    self.map.push((key, value + self.random.below(10)));
                }
                (_, None) => {
                    if self.map.len() > 12 {
                        self.map.remove(0);
                        self.count("evicted");
                    }
                    let value = 1 + self.random.below(10);
                    self.map.push((key, value));
                }
            }
        }
        if self.random.below(400) == 0 {
            self.map.clear();
            self.count("emptied");
        }
    }

    /// Another version of the unit, or another server.
    fn replace(&mut self) {
        let mut bench = recipe(&mut self.random, self.renames, self.rule).bench();
        (bench.now, bench.walks) = (self.bench.now, self.bench.walks);
        let before = std::mem::replace(&mut self.bench, bench);
        if self.random.below(2) == 0 {
            self.count("reloaded");
            self.bench.metric.follow(before.metric);
            return;
        }
        self.count("killed");
        self.bench.metric.resume();
        if before.metric.holds() {
            self.bench.metric.show_from_zero();
        }
        self.model = Model::default();
        self.before = None;
    }

    fn step(&mut self, number: u64) {
        self.change();
        if self.random.below(60) == 0 {
            self.replace();
        }
        self.bench.now += Duration::from_millis(self.random.below(3000));
        self.bench.end = match self.random.below(12) {
            0 => WalkEnd::GivenUp,
            1 => WalkEnd::Failed,
            _ => WHOLE,
        };
        let late = self.random.below(8) == 0;
        let far = Instant::now() + Duration::from_secs(3600);
        self.bench
            .plugins
            .ask_until(if late { Instant::now() } else { far });
        let mut walk = self.map.clone();
        let order = self.random.next() | 1;
        walk.sort_by_key(|(key, _)| u64::from(*key).wrapping_mul(order));
        if self.bench.end != WHOLE {
            walk.truncate(self.random.below(walk.len() as u64 + 1) as usize);
        }
        let meant: Vec<_> = walk.iter().map(|(key, _)| self.meaning(*key)).collect();
        let waited = self.bench.metric.waits();
        let entries: Vec<_> = walk
            .iter()
            .map(|&(key, value)| ([key, key], value))
            .collect();
        let scraped = self.bench.scrape(&entries);
        let waits = self.bench.metric.waits();
        let series: Vec<_> = walk
            .iter()
            .zip(meant)
            .map(|((key, _), before)| match (waited, waits) {
                (false, _) => self.meaning(*key),
                (true, true) => before,
                (true, false) => before.or_else(|| self.meaning(*key)),
            })
            .collect();
        let whole = self.bench.end == WHOLE;
        let fed: BTreeSet<String> = walk
            .iter()
            .filter_map(|(key, _)| self.meaning(*key))
            .collect();
        let is_shown = scraped.scrape_stats.unshown.is_none();
        self.learn(&walk, &series, &fed, is_shown);
        if waited && !waits {
            // Those without a meaning go on from here once they have one.
            let last = std::mem::take(&mut self.model.last);
            for (key, last) in last {
                let is_known = self.meaning(key).is_some();
                let of = if is_known {
                    &mut self.model.last
                } else {
                    &mut self.model.moved
                };
                of.insert(key, last);
            }
        }
        if whole && !waits && !self.bench.metric.misses() {
            self.model.moved.clear();
        }
        if scraped.scrape_stats.unshown.is_none() {
            self.check(number, scraped);
        } else {
            self.count("left out");
        }
    }

    /// None: it is counted nowhere.
    fn meaning(&mut self, key: u8) -> Option<String> {
        let meaning = self.bench.metric.meaning(&[key, key])?;
        (meaning != "dropped").then(|| format!("unit_calls{{{meaning}}}"))
    }

    /// `series`: what each key has grown in; `fed`: what has keys after the walk.
    fn learn(
        &mut self,
        walk: &[(u8, u64)],
        series: &[Option<String>],
        fed: &BTreeSet<String>,
        is_shown: bool,
    ) {
        let whole = self.bench.end == WHOLE;
        let model = &mut self.model;
        for name in fed {
            model.sums.entry(name.clone()).or_default();
        }
        for ((key, value), series) in walk.iter().zip(series) {
            let Some(series) = series else { continue };
            let moved = model.moved.remove(key);
            let last = model.last.entry(*key).or_insert(moved.unwrap_or(0));
            let grown = match value.checked_sub(*last) {
                Some(grown) => grown,
                None if whole => *value,
                None => continue,
            };
            *last = *value;
            model.sums.entry(series.clone()).or_default().0 += grown;
        }
        if !whole {
            // A series that is shown with a key has one.
            for name in fed.iter().filter(|_| is_shown) {
                if let Some((_, since)) = model.sums.get_mut(name) {
                    *since = None;
                }
            }
            return;
        }
        model
            .last
            .retain(|key, _| walk.iter().any(|(one, _)| one == key));
        let now = self.bench.now;
        for (name, (_, since)) in &mut model.sums {
            if fed.contains(name) {
                *since = None;
            } else if series.iter().flatten().any(|grown| grown == name) {
                // In the version before, which has ended with this walk.
                *since = Some(now);
            } else {
                since.get_or_insert(now);
            }
        }
    }

    fn check(&mut self, number: u64, scraped: Scraped) {
        let now = self.bench.now;
        self.model
            .sums
            .retain(|_, (_, since)| since.is_none_or(|since| now - since < SHOWN_WITHOUT_KEYS));
        let shown: BTreeMap<&str, u64> = scraped
            .series
            .iter()
            .map(|(name, seen)| match seen {
                Seen::Number(Number::Unsigned(value)) => (name.as_str(), *value),
                other => panic!("{other:?}"),
            })
            .collect();
        // The first that is shown by a new server says where it begins.
        let is_first = self.before.is_none();
        for (name, &value) in &shown {
            let start = scraped.starts[*name];
            let before = self.before.as_ref().map(|before| {
                let value = before.series.get(*name);
                (value.cloned(), before.starts.get(*name).copied().flatten())
            });
            if let Some((Some(Seen::Number(Number::Unsigned(before))), since)) = before
                && value < before
            {
                assert!(start > since, "step {number}: {name} {before} -> {value}");
                self.count_fall();
                self.model.sums.entry((*name).to_owned()).or_default().0 = value;
            }
            if is_first || self.rule.is_none() {
                // One key is one series: it is what it is.
                let since = self.model.sums.get(*name).and_then(|(_, since)| *since);
                let begun = before.is_none_or(|(value, at)| value.is_none() || at < start);
                if begun {
                    let sum = (value, since);
                    self.model.sums.insert((*name).to_owned(), sum);
                }
            }
        }
        if is_first || self.rule.is_none() {
            self.model
                .sums
                .retain(|name, _| shown.contains_key(name.as_str()));
        }
        let known: BTreeMap<&str, u64> = self
            .model
            .sums
            .iter()
            .map(|(name, (sum, _))| (name.as_str(), *sum))
            .collect();
        assert_eq!(shown, known, "step {number}");
        self.before = Some(scraped);
    }

    fn count_fall(&mut self) {
        self.count("fallen");
    }
}

fn recipe(random: &mut Random, renames: bool, rule: Option<Departed>) -> Recipe {
    let bounds = SeriesBounds {
        max_series: NonZeroUsize::new(random.below(8) as usize),
        expire: None,
        departed: rule,
    };
    let names = ["a", "b", "c", "d"];
    let mut table = serde_json::Map::new();
    for key in 0..KEYS {
        let name = names[random.below(4) as usize];
        table.insert(key.to_string(), json!(name));
    }
    let group = if renames {
        vec![renamed()]
    } else {
        vec![uint(), static_map(Json::Object(table))]
    };
    let recipe = Recipe::counter().bounds(bounds);
    recipe
        .label("g", 1, group)
        .label("half", 1, vec![uint(), static_map(halves())])
}

fn halves() -> Json {
    let half = |key: u64| {
        (
            key.to_string(),
            json!(if key.is_multiple_of(2) { "even" } else { "odd" }),
        )
    };
    Json::Object((0..KEYS).map(half).collect())
}

fn run(seed: u64, renames: bool, rule: Option<Departed>) {
    let mut world = World::new(seed, renames, rule);
    for number in 0..STEPS {
        world.step(number);
    }
    for what in [
        "deleted",
        "inserted again",
        "evicted",
        "reloaded",
        "killed",
        "left out",
    ] {
        assert!(world.counts[what] > 20, "{what}: {:?}", world.counts);
    }
}

#[test]
fn sums_are_what_the_walks_say() {
    run(0x5eed, false, Some(Departed::Keep));
}

#[test]
fn sums_are_what_the_walks_say_while_keys_are_renamed() {
    run(0xca11, true, Some(Departed::Keep));
}

#[test]
fn a_series_falls_with_a_new_start_only() {
    run(0xbead, false, None);
}
