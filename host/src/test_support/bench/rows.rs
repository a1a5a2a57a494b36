//! From entries of a map to the numbers of series, with every key known.

use std::hash::BuildHasher;
use std::time::Instant;

use anyhow::{Context, anyhow, ensure};
use foldhash::fast::FixedState;
use serde_json::{Value as Json, json};

use super::decode::Standard;
use crate::config::{MetricSource, SeriesBounds};
use crate::exposition::{Family, Format, StartTime, write};
use crate::map_batch::MapBatch;
use crate::rows::{
    KeyShape, Label, Layout, Metric, MetricParts, PackedField, Plugins, SessionId, Shaper, Step,
    WalkEnd,
};

/// Entries that come at once, as from the map reader.
const BATCH: usize = 4096;
/// Bytes of a key: number, one of four, text. In histograms the last four are the bucket.
const KEY_SIZE: usize = 24;
/// Entries of one series of a histogram: buckets 0 to 18, and the sum.
const BUCKETS: u32 = 20;
const CPUS: usize = 2;
const WHOLE: WalkEnd = WalkEnd::Complete { by_key: false };

/// What an entry is to the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A series.
    Counter,
    /// A series for each of two CPUs.
    SplitCounter,
    /// A bucket of an exp2 histogram.
    Histogram,
}

/// A metric, and the entries of its map.
pub struct Rows {
    shape: Shape,
    metric: Metric,
    plugins: Plugins,
    keys: Vec<u8>,
    values: Vec<u8>,
    value_stride: usize,
}

impl Rows {
    /// Every key has been decoded once.
    pub fn new(standard: &Standard, shape: Shape, entries: u32) -> anyhow::Result<Self> {
        let mut rows = Self::unknown(standard, shape, entries)?;
        let cpus = rows.value_stride / size_of::<u64>();
        rows.scrape();
        rows.take();
        let (_, walked) = rows.metric.finish(WHOLE, Instant::now());
        ensure!(
            walked.rows == u64::from(entries) * cpus as u64 && walked.hits == walked.rows,
            "expected every key to be known, found {} of {}",
            walked.hits,
            walked.rows
        );
        Ok(rows)
    }

    /// No key has been seen yet. They come in no order, as those of a hash map do.
    pub fn unknown(standard: &Standard, shape: Shape, entries: u32) -> anyhow::Result<Self> {
        let cpus = if shape == Shape::SplitCounter {
            CPUS
        } else {
            1
        };
        let mut indexes: Vec<u32> = (0..entries).collect();
        indexes.sort_by_key(|&index| FixedState::default().hash_one(index));
        let values = indexes
            .iter()
            .flat_map(|&index| (0..cpus).map(move |cpu| u64::from(index % 1000) + cpu as u64));
        let mut plugins = Plugins::default();
        Ok(Self {
            shape,
            metric: metric(standard, shape, &mut plugins)?,
            plugins,
            values: values.flat_map(u64::to_ne_bytes).collect(),
            keys: indexes
                .iter()
                .flat_map(|&index| key(shape, index))
                .collect(),
            value_stride: cpus * size_of::<u64>(),
        })
    }

    /// Forgets all keys and series, as a change of the YAML does.
    pub fn forget(&mut self, standard: &Standard) -> anyhow::Result<()> {
        self.plugins = Plugins::default();
        self.metric = metric(standard, self.shape, &mut self.plugins)?;
        Ok(())
    }

    /// Turns the order of the entries around: none follows the one it followed before.
    pub fn reorder(&mut self) {
        let turned = |bytes: &[u8], size: usize| -> Vec<u8> {
            bytes.rchunks_exact(size).flatten().copied().collect()
        };
        self.keys = turned(&self.keys, KEY_SIZE);
        self.values = turned(&self.values, self.value_stride);
    }

    /// Begins a scrape, finds every entry's row and adds its number.
    pub fn take(&mut self) {
        self.metric
            .begin(self.keys.len() / KEY_SIZE, StartTime::now());
        let keys = self.keys.chunks(BATCH * KEY_SIZE);
        for (keys, values) in keys.zip(self.values.chunks(BATCH * self.value_stride)) {
            let entries = MapBatch {
                keys,
                key_size: KEY_SIZE,
                values,
                value_stride: self.value_stride,
                cpu_stride: size_of::<u64>(),
                value_size: size_of::<u64>(),
            };
            self.metric.take(&mut self.plugins, entries);
        }
    }

    /// The same, and takes the numbers out again. Gives the number of families.
    pub fn take_and_finish(&mut self) -> usize {
        self.scrape().len()
    }

    /// A scrape with its text, which is appended.
    pub fn scrape_into(&mut self, out: &mut String) {
        write(out, &self.scrape(), Format::Text004);
    }

    pub(super) fn scrape(&mut self) -> Vec<Family> {
        self.take();
        self.metric.finish(WHOLE, Instant::now()).0
    }
}

fn key(shape: Shape, index: u32) -> [u8; KEY_SIZE] {
    let (number, bucket) = match shape {
        Shape::Histogram => (index / BUCKETS, index % BUCKETS),
        Shape::Counter | Shape::SplitCounter => (index, 0),
    };
    let mut key = [0; KEY_SIZE];
    key[..4].copy_from_slice(&number.to_ne_bytes());
    key[4..8].copy_from_slice(&(number % 4).to_ne_bytes());
    let comm = format!("w{:07}", number % 10_000_000);
    key[8..16].copy_from_slice(comm.as_bytes());
    key[20..].copy_from_slice(&bucket.to_ne_bytes());
    key
}

fn metric(standard: &Standard, shape: Shape, plugins: &mut Plugins) -> anyhow::Result<Metric> {
    let operations =
        json!({ "static_map": { "0": "read", "1": "write", "2": "discard", "3": "flush" } });
    let device: (&str, usize, &[(&str, Json)]) = ("dev", 4, &[("uint", json!({}))]);
    let operation = (
        "op",
        4,
        &[("uint", json!({})), ("static_map", operations)][..],
    );
    let uint = &[("uint", json!({}))][..];
    let text = &[("string", json!({}))][..];
    let (labels, shaper, options) = match shape {
        Shape::Counter => (
            vec![device, operation, ("comm", 16, text)],
            "counter",
            json!({}),
        ),
        Shape::SplitCounter => (
            vec![device, operation, ("comm", 16, text), ("cpu", 2, uint)],
            "counter",
            json!({}),
        ),
        Shape::Histogram => (
            vec![device, operation, ("comm", 12, text), ("bucket", 4, uint)],
            "exp2",
            json!({ "bucket_min": 0, "bucket_max": BUCKETS - 2 }),
        ),
    };
    let session = standard.session()?;
    let session = plugins.session("standard", || session);
    let configs: Vec<PackedField> = labels
        .iter()
        .map(|(name, size, _)| config(name, *size))
        .collect();
    let layout = Layout::new(
        &configs,
        MetricSource::Map,
        KeyShape {
            key_size: KEY_SIZE,
            per_cpu: shape == Shape::SplitCounter,
        },
    )?;
    let names: Vec<&str> = labels.iter().map(|(name, ..)| *name).collect();
    let shaper = open_shaper(plugins, session, shaper, options, &names)?;
    let labels = labels.iter().map(|(name, _, chain)| {
        let steps = chain
            .iter()
            .map(|(name, options)| open_step(plugins, session, name, options));
        Ok(Label {
            name: (*name).to_owned(),
            chain: steps.collect::<anyhow::Result<_>>()?,
        })
    });
    let labels = labels.collect::<anyhow::Result<_>>()?;
    Ok(Metric::new(MetricParts {
        bounds: SeriesBounds::default(),
        bucket_keys: None,
        measure: String::new(),
        created: StartTime::now(),
        constants: Vec::new(),
        name: "calls_total".into(),
        namespace: "ebpf_exporter".into(),
        layout,
        labels,
        shaper,
    }))
}

fn config(name: &str, size: usize) -> PackedField {
    PackedField {
        name: name.to_owned(),
        size,
        padding: 0,
    }
}

fn open_step(
    plugins: &mut Plugins,
    session: SessionId,
    name: &str,
    options: &Json,
) -> anyhow::Result<Step> {
    let opened = plugins.get(session).context("the session is there")?;
    let decoder = opened.open_decoder(name, &options.to_string());
    Ok(Step {
        name: name.into(),
        session,
        decoder: decoder.map_err(|error| anyhow!("decoder {name}: {error}"))?,
    })
}

fn open_shaper(
    plugins: &mut Plugins,
    session: SessionId,
    name: &str,
    mut options: Json,
    labels: &[&str],
) -> anyhow::Result<Shaper> {
    options["metric"] = json!({ "name": "calls_total", "help": "Calls.", "labels": labels });
    let plugin = plugins.get(session).context("the session is there")?;
    let (id, families, numbers) = plugin
        .open_shaper(name, &options.to_string(), labels)
        .map_err(|error| anyhow!("shaper {name}: {error}"))?;
    let uniform = plugin.uniform(id)?;
    Ok(Shaper {
        name: name.into(),
        session,
        id,
        families,
        numbers,
        uniform,
    })
}
