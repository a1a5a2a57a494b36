//! A metric on its own: labels and shape as the YAML would have them, and maps made of plain lists.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Instant;

use serde_json::{Value as Json, json};

use crate::config::{MetricSource, SeriesBounds};
use crate::exposition::{Number, StartTime, Value};
use crate::map_batch::MapBatch;
use crate::plugin::tests::component::{ENGINE, FACTS, Guest};
use crate::plugin::{Offer, Registry};
use crate::rows::{
    BucketKeys, KeyShape, Label, Layout, Metric, MetricParts, MetricScrapeStats, PackedField,
    Plugins, SessionId, Shaper, Step, WalkEnd,
};

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| Registry::new(&ENGINE, &FACTS).unwrap());

/// A decoder of the standard plugin with its options, or `echo` of a component of the test's own.
pub(super) enum Use {
    Standard(&'static str, Json),
    Own(&'static str, Guest),
}

pub(super) fn uint() -> Use {
    Use::Standard("uint", json!({}))
}

pub(super) fn text() -> Use {
    Use::Standard("string", json!({}))
}

pub(super) fn static_map(table: Json) -> Use {
    Use::Standard("static_map", json!({ "static_map": table }))
}

pub(super) fn regexp(pattern: &str) -> Use {
    Use::Standard("regexp", json!({ "regexps": [pattern] }))
}

/// How a metric called `calls` of the unit `unit` is made.
pub(super) struct Recipe {
    shape: (&'static str, Json),
    labels: Vec<(PackedField, Vec<Use>)>,
    key_size: Option<usize>,
    cpus: Option<usize>,
    cpu_numbers: Vec<u16>,
    bucket_keys: Option<BucketKeys>,
    bounds: SeriesBounds,
}

impl Recipe {
    pub(super) fn counter() -> Self {
        Self::shaped("counter", json!({}))
    }

    pub(super) fn shaped(shaper: &'static str, options: Json) -> Self {
        Self {
            shape: (shaper, options),
            labels: Vec::new(),
            key_size: None,
            cpus: None,
            cpu_numbers: Vec::new(),
            bucket_keys: None,
            bounds: SeriesBounds::default(),
        }
    }

    pub(super) fn bounds(mut self, bounds: SeriesBounds) -> Self {
        self.bounds = bounds;
        self
    }

    pub(super) fn label(self, name: &str, size: usize, chain: Vec<Use>) -> Self {
        self.padded(name, size, 0, chain)
    }

    pub(super) fn padded(
        mut self,
        name: &str,
        size: usize,
        padding: usize,
        chain: Vec<Use>,
    ) -> Self {
        let label = PackedField {
            name: name.into(),
            size,
            padding,
        };
        self.labels.push((label, chain));
        self
    }

    /// The map's key size where the labels do not fill it.
    pub(super) fn key_size(mut self, size: usize) -> Self {
        self.key_size = Some(size);
        self
    }

    pub(super) fn per_cpu(mut self, cpus: usize) -> Self {
        self.cpus = Some(cpus);
        self
    }

    pub(super) fn bucket_keys(mut self, keys: BucketKeys) -> Self {
        self.bucket_keys = Some(keys);
        self
    }

    /// Of the CPUs by their index.
    pub(super) fn cpu_numbers(mut self, numbers: &[u16]) -> Self {
        self.cpu_numbers = numbers.to_vec();
        self
    }

    pub(super) fn bench(self) -> Bench {
        self.bench_of(&REGISTRY)
    }

    pub(super) fn bench_of(self, registry: &Registry) -> Bench {
        let configs: Vec<PackedField> =
            self.labels.iter().map(|(label, _)| label.clone()).collect();
        let total = configs.iter().map(|label| label.size + label.padding).sum();
        let shape = KeyShape {
            key_size: self.key_size.unwrap_or(total),
            per_cpu: self.cpus.is_some(),
        };
        let layout = Layout {
            cpu_numbers: self.cpu_numbers,
            ..Layout::new(&configs, MetricSource::Map, shape).unwrap()
        };
        let mut plugins = Plugins::default();
        let names: Vec<&str> = configs.iter().map(|label| label.name.as_str()).collect();
        let (shaper, mut options) = self.shape;
        options["metric"] = json!({ "name": "calls", "help": "Calls", "labels": names });
        let session = standard(&mut plugins, registry, Offer::Shaper, shaper);
        let opened = plugins.get(session).unwrap();
        let (id, families, numbers) = opened
            .open_shaper(shaper, &options.to_string(), &names)
            .unwrap();
        let uniform = opened.uniform(id).unwrap();
        let shaper = Shaper {
            name: shaper.into(),
            session,
            id,
            families,
            numbers,
            uniform,
        };
        let labels = self.labels.into_iter().map(|(label, chain)| Label {
            name: label.name,
            chain: chain
                .into_iter()
                .map(|wanted| step(&mut plugins, registry, wanted))
                .collect(),
        });
        let labels = labels.collect();
        Bench {
            metric: Metric::new(MetricParts {
                constants: Vec::new(),
                name: "calls".into(),
                namespace: "unit".into(),
                layout,
                labels,
                shaper,
                bounds: self.bounds,
                bucket_keys: self.bucket_keys,
                measure: String::new(),
                created: StartTime::of_millis(1),
            }),
            plugins,
            now: Instant::now(),
            key_size: shape.key_size,
            batch: 5000,
            max_entries: None,
            end: WHOLE,
            walks: 0,
        }
    }
}

fn standard(plugins: &mut Plugins, registry: &Registry, offer: Offer, name: &str) -> SessionId {
    let (plugin, _) = registry.find(offer, name).unwrap();
    plugins.session(plugin.name(), || registry.session(plugin))
}

fn step(plugins: &mut Plugins, registry: &Registry, wanted: Use) -> Step {
    let (name, session, options) = match wanted {
        Use::Standard(name, options) => (
            name,
            standard(plugins, registry, Offer::Decoder, name),
            options,
        ),
        // Sessions are told apart by the plugin's name; no test uses two components of its own.
        Use::Own(name, guest) => (name, plugins.session("test", || guest.session()), json!({})),
    };
    let opened = plugins.get(session).unwrap();
    let decoder = opened.open_decoder(name, &options.to_string()).unwrap();
    Step {
        name: name.into(),
        session,
        decoder,
    }
}

pub(super) struct Bench {
    pub(super) metric: Metric,
    pub(super) plugins: Plugins,
    key_size: usize,
    /// The time of the next scrape.
    pub(super) now: Instant,
    /// What the map has room for. None: as many as there are.
    pub(super) max_entries: Option<usize>,
    /// Entries that the reader hands over at once.
    pub(super) batch: usize,
    /// How the next walks end.
    pub(super) end: WalkEnd,
    /// When the next scrape begins, in milliseconds since 1970: 1000 for each.
    pub(super) walks: u64,
}

pub(super) const WHOLE: WalkEnd = WalkEnd::Complete { by_key: false };

/// One series' numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Seen {
    Number(Number),
    Histogram(Vec<u64>, Number),
}

pub(super) struct Scraped {
    /// By `name{labels}`.
    pub(super) series: BTreeMap<String, Seen>,
    /// When each was 0, in milliseconds; the map was made at 1, and scrape n began at 1000 n.
    pub(super) starts: BTreeMap<String, Option<u64>>,
    pub(super) scrape_stats: MetricScrapeStats,
}

impl Bench {
    /// Scrapes a map of one number a key.
    pub(super) fn scrape<K: AsRef<[u8]>>(&mut self, entries: &[(K, u64)]) -> Scraped {
        let entries: Vec<(&[u8], [u64; 1])> = entries
            .iter()
            .map(|(key, value)| (key.as_ref(), [*value]))
            .collect();
        self.scrape_cpus(&entries)
    }

    /// Scrapes a map of one number a key and CPU.
    pub(super) fn scrape_cpus<K: AsRef<[u8]>, const CPUS: usize>(
        &mut self,
        entries: &[(K, [u64; CPUS])],
    ) -> Scraped {
        self.walks += 1;
        let begun = StartTime::of_millis(1000 * self.walks);
        self.metric
            .begin(self.max_entries.unwrap_or(entries.len()), begun);
        for batch in entries.chunks(self.batch) {
            let mut keys = Vec::new();
            let mut values = Vec::new();
            for (key, numbers) in batch {
                assert_eq!(key.as_ref().len(), self.key_size);
                keys.extend_from_slice(key.as_ref());
                values.extend(numbers.iter().flat_map(|number| number.to_ne_bytes()));
            }
            let entries = MapBatch {
                keys: &keys,
                key_size: self.key_size,
                values: &values,
                value_stride: 8 * CPUS,
                cpu_stride: 8,
                value_size: 8,
            };
            self.metric.take(&mut self.plugins, entries);
        }
        let (families, scrape_stats) = self.metric.finish(self.end, self.now);
        let mut series = BTreeMap::new();
        let mut starts = BTreeMap::new();
        for family in &families {
            let samples = family.samples.clone().into_list();
            let labels: Vec<&str> = samples.iter().map(|sample| &*sample.labels).collect();
            assert!(labels.is_sorted_by(|a, b| a < b), "sorted, no two alike");
            assert!(!labels.is_empty(), "no family without series");
            for sample in &samples {
                let name = format!("{}{{{}}}", family.meta.name, sample.labels);
                starts.insert(name.clone(), sample.start.millis());
                let seen = match &sample.value {
                    Value::Number(number) => Seen::Number(*number),
                    Value::Histogram(histogram) => {
                        Seen::Histogram(histogram.counts.clone(), histogram.sum)
                    }
                    Value::Summary(_) => panic!("no shape makes a summary"),
                };
                series.insert(name, seen);
            }
        }
        Scraped {
            series,
            starts,
            scrape_stats,
        }
    }
}

impl Scraped {
    /// `labels value` of each series of a counter, comma-separated.
    pub(super) fn text(&self) -> String {
        let lines = self.series.iter().map(|(name, seen)| {
            let labels = name
                .strip_prefix("unit_calls{")
                .and_then(|rest| rest.strip_suffix('}'))
                .unwrap_or(name);
            match seen {
                Seen::Number(Number::Unsigned(number)) => format!("{labels} {number}"),
                Seen::Number(number) => format!("{labels} {number:?}"),
                Seen::Histogram(counts, sum) => format!("{labels} {counts:?} {sum:?}"),
            }
        });
        lines.collect::<Vec<_>>().join(", ")
    }

    /// `name count` of the rows that were left out.
    pub(super) fn left_out(&self) -> Vec<(&str, u64)> {
        let left_out = self.scrape_stats.left_out.iter();
        left_out.map(|(name, count)| (&**name, *count)).collect()
    }

    /// Rows that were read, that were known, and that plugins were asked about.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        (
            self.scrape_stats.rows,
            self.scrape_stats.hits,
            self.scrape_stats.decoded,
        )
    }
}
