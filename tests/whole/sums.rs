//! Sums over keys: they are whole, and they never fall but with a new start.

use std::collections::BTreeMap;
use std::fs;

use crate::harness::host::Host;
use crate::harness::http;
use crate::harness::maps::{HostMap, number};
use crate::harness::parser::Format;
use crate::harness::sys::{SIGKILL, send};
use crate::harness::tree::one_process;
use crate::harness::{Setup, eventually};

fn start(yaml: &str) -> Host {
    let setup = Setup::new().unit("unit", "sums", yaml);
    setup
        .argument("--config.watch=off")
        .argument("--web.enable-lifecycle")
        .argument("--web.openmetrics-created")
        .start()
}

fn reload(host: &Host, yaml: &str) {
    fs::write(host.path().join("unit.yaml"), yaml).unwrap();
    let response = http::request(host.address(), "POST", "/-/reload", &[]);
    assert_eq!(response.status, 200, "{}", response.text());
}

/// The lines of this sample name, by their labels.
fn lines(body: &str, name: &str) -> BTreeMap<String, f64> {
    let lines = body.lines().filter_map(|line| {
        let (labels, value) = line.strip_prefix(name)?.split_once("} ")?;
        let labels = labels.strip_prefix('{')?;
        Some((labels.to_owned(), value.parse().unwrap()))
    });
    lines.collect()
}

fn shown(host: &Host, name: &str) -> BTreeMap<String, f64> {
    lines(&host.fetch(Format::Text), name)
}

fn wanted(series: &[(&str, f64)]) -> BTreeMap<String, f64> {
    let series = series.iter();
    series
        .map(|(name, value)| ((*name).to_owned(), *value))
        .collect()
}

fn groups(help: &str) -> String {
    format!(
        "metrics:\n  counters:\n    - {{name: hash_total, help: {help}, labels: [{{name: g, size: 4, decoders: [{{name: uint}}, {{name: static_map, static_map: {{1: a, 2: a, 3: b}}}}]}}]}}\n    - {{name: many_total, help: {help}, max_series: 5, labels: [{{name: k, size: 4, decoders: [{{name: uint}}]}}]}}\n"
    )
}

#[test]
fn a_sum_does_not_fall_when_a_key_is_removed() {
    let host = start(&groups("x"));
    let (hash, many) = (host.map("hash_total"), host.map("many_total"));
    for (key, value) in [(1, 100), (2, 50), (3, 7)] {
        hash.set(&number(key), value);
    }
    for key in 0..20 {
        many.set(&number(key), 1000);
    }
    let of_hash = || shown(&host, "ebpf_exporter_hash_total");
    let other = || shown(&host, "ebpf_exporter_many_total")["k=\"other\""];
    let both = wanted(&[("g=\"a\"", 150.0), ("g=\"b\"", 7.0)]);
    assert_eq!((of_hash(), other()), (both, 15_000.0));
    // The series with numbers of their own are the first that were walked.
    let own = shown(&host, "ebpf_exporter_many_total");
    let removed = (0..20).filter(|key| !own.contains_key(&format!("k=\"{key}\"")));
    for key in removed.take(3) {
        many.delete(&number(key));
    }
    for key in [2, 3] {
        hash.delete(&number(key));
    }
    let kept = wanted(&[("g=\"a\"", 150.0)]);
    assert_eq!((of_hash(), other()), (kept.clone(), 15_000.0));
    reload(&host, &groups("y"));
    assert_eq!((of_hash(), other()), (kept, 15_000.0), "after a reload");
    hash.set(&number(2), 1);
    assert_eq!(of_hash(), wanted(&[("g=\"a\"", 151.0)]));
}

/// The first byte of the key, of very many.
fn folded(help: &str) -> String {
    format!(
        "metrics: {{counters: [{{name: many_total, help: {help}, labels: [{{name: g, size: 1, padding: 3, decoders: [{{name: uint}}]}}]}}]}}"
    )
}

#[test]
fn half_a_sum_is_never_shown() {
    const KEYS: u32 = 200_000;
    let host = start(&folded("x"));
    let map = host.map("many_total");
    map.set_many((0..KEYS).map(|key| (key, 1)));
    let sum = |body: &str| {
        let series = lines(body, "ebpf_exporter_many_total");
        (!series.is_empty()).then(|| series.values().sum::<f64>())
    };
    let patient = || sum(host.get("/metrics", &[]).text());
    eventually("all is decoded", || {
        (patient() == Some(f64::from(KEYS))).then_some(())
    });
    for turn in 0..4 {
        reload(&host, &folded(&format!("x{turn}")));
        for seconds in ["0.3", "0.6", "0.9", "1.2", "1.5"] {
            let hurry = [("X-Prometheus-Scrape-Timeout-Seconds", seconds)];
            let response = host.get("/metrics", &hurry);
            if response.status == 200 {
                let found = sum(response.text());
                assert!(
                    found.is_none_or(|sum| sum == f64::from(KEYS)),
                    "{found:?} within {seconds} s"
                );
            }
        }
        eventually("all is decoded again", || {
            (patient() == Some(f64::from(KEYS))).then_some(())
        });
    }
}

/// xorshift64*
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % bound
    }
}

/// What the walks of one map can know.
struct Model {
    metric: &'static str,
    map: HostMap,
    keys: u64,
    table: BTreeMap<u32, char>,
    /// How keys were named when they were last seen, and what they had.
    last: BTreeMap<u32, (char, u64)>,
    sums: BTreeMap<char, u64>,
    /// What was shown, and when it was 0.
    before: BTreeMap<String, (f64, f64)>,
    falls: usize,
}

impl Model {
    fn new(host: &Host, metric: &'static str, keys: u64) -> Self {
        Self {
            metric,
            map: host.map(metric),
            keys,
            table: BTreeMap::new(),
            last: BTreeMap::new(),
            sums: BTreeMap::new(),
            before: BTreeMap::new(),
            falls: 0,
        }
    }

    fn rename(&mut self, random: &mut Random) {
        for key in 0..self.keys as u32 {
            let name = ['a', 'b', 'c', 'd'][random.below(4) as usize];
            self.table.insert(key, name);
        }
    }

    fn yaml(&self) -> String {
        let table = self
            .table
            .iter()
            .map(|(key, name)| format!("{key}: {name}"));
        let table = table.collect::<Vec<_>>().join(", ");
        format!(
            "{{name: {}, help: Test., departed: keep, labels: [{{name: g, size: 4, decoders: [{{name: uint}}, {{name: static_map, static_map: {{{table}}}}}]}}]}}",
            self.metric
        )
    }

    fn change(&self, random: &mut Random) {
        for _ in 0..random.below(20) {
            let key = number(random.below(self.keys) as u32);
            match (self.map.get(&key), random.below(6)) {
                (Some(_), 0) => self.map.delete(&key),
                (Some(_), 1) => self.map.set(&key, random.below(3)),
                (known, _) => self.map.set(&key, known.unwrap_or(0) + 1 + random.below(9)),
            }
        }
    }

    /// What a walk of now adds. `renamed`: the first one since keys have other names.
    fn walk(&mut self, renamed: bool) {
        let entries = self.map.entries();
        let mut seen = BTreeMap::new();
        for (key, value) in entries {
            let name = self.table[&key];
            let (known, last) = self.last.get(&key).copied().unwrap_or((name, 0));
            let series = if renamed { known } else { name };
            *self.sums.entry(series).or_default() += value.checked_sub(last).unwrap_or(value);
            seen.insert(key, (name, value));
            self.sums.entry(name).or_default();
        }
        self.last = seen;
    }

    fn check(&mut self, body: &str, by_another: bool, step: usize) {
        let name = format!("ebpf_exporter_{}", self.metric);
        let values = lines(body, &name);
        let starts = lines(body, &name.replace("_total", "_created"));
        let now: BTreeMap<String, (f64, f64)> = values
            .into_iter()
            .map(|(labels, value)| (labels.clone(), (value, starts[&labels])))
            .collect();
        for (labels, (value, start)) in &now {
            let before = self.before.get(labels).copied().unwrap_or_default();
            if *value < before.0 {
                assert!(
                    *start > before.1,
                    "step {step}: {labels} {before:?} -> {value} {start}"
                );
                assert!(by_another, "step {step}: {labels} {before:?} -> {value}");
                self.falls += 1;
            }
        }
        let shown = |(labels, (value, _)): (&String, &(f64, f64))| {
            let name = labels.strip_prefix("g=\"")?.chars().next()?;
            Some((name, *value as u64))
        };
        let shown: BTreeMap<char, u64> = now.iter().filter_map(shown).collect();
        if by_another {
            let mut live: BTreeMap<char, u64> = BTreeMap::new();
            for (name, value) in self.last.values() {
                *live.entry(*name).or_default() += value;
            }
            let zero = live.keys().map(|name| (*name, 0)).collect();
            assert!(
                shown == live || shown == zero,
                "step {step}: {shown:?} of {live:?}"
            );
            self.sums = shown.clone();
        }
        assert_eq!(shown, self.sums, "step {step}: {}", self.metric);
        self.before = now;
    }
}

#[test]
fn sums_are_what_the_walks_say_on_the_kernels_maps() {
    let mut random = Random(0x5eed);
    let host = start(
        "metrics: {counters: [{name: hash_total, help: Test., labels: [{name: g, size: 4, decoders: [{name: uint}]}]}]}",
    );
    host.server_may_end();
    let models = [("hash_total", 100), ("lru_total", 150)];
    let mut models = models.map(|(metric, keys)| Model::new(&host, metric, keys));
    let yaml = |models: &mut [Model; 2], random: &mut Random| {
        models.iter_mut().for_each(|model| model.rename(random));
        let metrics: Vec<String> = models.iter().map(Model::yaml).collect();
        format!("metrics: {{counters: [{}]}}", metrics.join(", "))
    };
    let first = yaml(&mut models, &mut random);
    reload(&host, &first);
    let (mut reloads, mut deaths) = (0, 0);
    for step in 0..300 {
        let what = random.below(20);
        // What keys have grown by before a walk of both versions belongs to their old names.
        for model in models.iter().filter(|_| what != 0) {
            model.change(&mut random);
        }
        let (mut renamed, mut killed) = (false, false);
        match what {
            0 => {
                let next = yaml(&mut models, &mut random);
                reload(&host, &next);
                (renamed, reloads) = (true, reloads + 1);
            }
            1 if !one_process() && deaths < 6 && step > 20 => {
                let server = host.server();
                send(server, SIGKILL).unwrap();
                host.tree().server_after(server);
                (killed, deaths) = (true, deaths + 1);
            }
            _ => {}
        }
        for model in &mut models {
            model.walk(renamed);
        }
        let body = host.fetch(Format::OpenMetrics);
        for model in &mut models {
            model.check(&body, killed, step);
        }
    }
    let falls: usize = models.iter().map(|model| model.falls).sum();
    eprintln!("{reloads} reloads, {deaths} deaths, {falls} falls");
    assert!(reloads > 3 && (deaths > 3 || one_process()));
    assert!(models.iter().all(|model| model.sums.len() == 4));
}
