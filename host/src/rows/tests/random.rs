//! Maps that change at random, against the plainest model there is.

use std::collections::{BTreeMap, HashMap};

use serde_json::json;

use super::bench::{Recipe, Seen, regexp, static_map, uint};
use crate::config::{Departed, SeriesBounds};
use crate::exposition::Number;

/// Keys that are gone leave nothing.
fn drop() -> SeriesBounds {
    SeriesBounds {
        departed: Some(Departed::Drop),
        ..SeriesBounds::default()
    }
}

/// xorshift64*: the same numbers every time.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound
    }
}

/// A map of up to `universe` keys that grows, shrinks, changes, and is walked in a new order now
/// and then.
struct Churn<K> {
    random: Random,
    universe: u64,
    key: fn(u64) -> K,
    map: HashMap<u64, u64>,
    order: u64,
}

impl<K> Churn<K> {
    fn new(seed: u64, universe: u64, key: fn(u64) -> K) -> Self {
        Self {
            random: Random(seed),
            universe,
            key,
            map: HashMap::new(),
            order: 1,
        }
    }

    fn step(&mut self) -> Vec<(u64, K, u64)> {
        let random = &mut self.random;
        match random.below(12) {
            // Nearly everything goes.
            0 => {
                let kept = random.below(self.universe / 20 + 1);
                self.map.retain(|number, _| number % 97 < kept % 97);
            }
            // A flood comes.
            1 => {
                let from = random.below(self.universe);
                for number in from..(from + self.universe / 2).min(self.universe) {
                    self.map.insert(number, random.next());
                }
            }
            2 => self.order = random.next() | 1,
            3 => {}
            _ => {
                for _ in 0..random.below(60) {
                    let number = random.below(self.universe);
                    if random.below(2) == 0 {
                        self.map.remove(&number);
                    } else {
                        *self.map.entry(number).or_default() = random.next() >> random.below(64);
                    }
                }
                for value in self.map.values_mut().take(10) {
                    *value = value.wrapping_add(1);
                }
            }
        }
        let mut entries: Vec<(u64, u64)> = self.map.iter().map(|(&n, &v)| (n, v)).collect();
        entries.sort_by_key(|(number, _)| number.wrapping_mul(self.order));
        entries
            .into_iter()
            .map(|(number, value)| (number, (self.key)(number), value))
            .collect()
    }
}

#[test]
fn counters_are_what_the_map_says() {
    // Kinds 0 and 1 are one text, 2 another, 3 is dropped; groups make many keys one series.
    let mut bench = Recipe::counter()
        .bounds(drop())
        .label("group", 4, vec![uint()])
        .label(
            "kind",
            1,
            vec![
                uint(),
                static_map(json!({"0": "x", "1": "x", "2": "y", "3": "gone"})),
                regexp("^[xy]$"),
            ],
        )
        .padded("none", 1, 3, vec![uint(), static_map(json!({"0": "a"}))])
        .bench();
    let mut churn = Churn::new(0x5eed, 6000, |number| {
        let mut key = [0_u8; 9];
        key[..4].copy_from_slice(&((number / 8) as u32).to_ne_bytes());
        key[4] = (number % 4) as u8;
        key[6] = (number / 4 % 2) as u8;
        key
    });
    let mut evicted = 0;
    for round in 0..200 {
        bench.batch = 1 + (round * 37) % 2000;
        let entries = churn.step();
        let mut model: BTreeMap<String, u64> = BTreeMap::new();
        for (number, _, value) in &entries {
            let kind = ["x", "x", "y", ""][(number % 4) as usize];
            if !kind.is_empty() {
                let name = format!(
                    r#"unit_calls{{group="{}",kind="{kind}",none="a"}}"#,
                    number / 8
                );
                let sum = model.entry(name).or_default();
                *sum = sum.wrapping_add(*value);
            }
        }
        let map: Vec<_> = entries
            .iter()
            .map(|(_, key, value)| (*key, *value))
            .collect();
        let scraped = bench.scrape(&map);
        let expected: BTreeMap<String, Seen> = model
            .into_iter()
            .map(|(name, sum)| (name, Seen::Number(Number::Unsigned(sum))))
            .collect();
        assert!(scraped.series == expected, "round {round}");
        let (rows, hits, decoded) = scraped.counts();
        assert_eq!((rows, hits + decoded), (map.len() as u64, map.len() as u64));
        assert!(bench.metric.remembered() - map.len() <= map.len().max(1024));
        evicted += scraped.scrape_stats.evicted;
    }
    assert!(evicted > 3000, "the sweeps were part of it: {evicted}");
}

#[test]
fn histograms_are_what_the_map_says() {
    // Buckets 0 to 5, the sum at 6, 7 goes nowhere.
    let mut bench = Recipe::shaped("exp2", json!({ "bucket_min": 0, "bucket_max": 5 }))
        .bounds(drop())
        .label("disk", 4, vec![uint()])
        .label("cpu", 2, vec![uint()])
        .label("bucket", 1, vec![uint()])
        .key_size(5)
        .per_cpu(2)
        .bench();
    let mut churn = Churn::new(0xca11, 4000, |number| {
        let mut key = [0_u8; 5];
        key[..4].copy_from_slice(&((number / 8) as u32).to_ne_bytes());
        key[4] = (number % 8) as u8;
        key
    });
    for round in 0..200 {
        bench.batch = 1 + (round * 53) % 3000;
        let entries = churn.step();
        let map: Vec<_> = entries
            .iter()
            .map(|(_, key, value)| (*key, [value >> 12, value >> 20]))
            .collect();
        let mut model: BTreeMap<String, (Vec<u64>, u64)> = BTreeMap::new();
        for ((number, ..), (_, values)) in entries.iter().zip(&map) {
            for (cpu, value) in values.iter().enumerate() {
                let name = format!(r#"unit_calls{{cpu="{cpu}",disk="{}"}}"#, number / 8);
                let (counts, sum) = model.entry(name).or_insert_with(|| (vec![0; 7], 0));
                match (number % 8) as usize {
                    6 => *sum = *value,
                    7 => {}
                    bucket => counts[bucket] = *value,
                }
            }
        }
        let expected: BTreeMap<String, Seen> = model
            .into_iter()
            .map(|(name, (counts, sum))| (name, Seen::Histogram(counts, Number::Unsigned(sum))))
            .collect();
        let scraped = bench.scrape_cpus(&map);
        assert!(scraped.series == expected, "round {round}");
    }
}
