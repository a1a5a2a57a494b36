//! The maps that are measured: what their BPF object and YAML say, their entries, and the text that
//! has to come of these.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};

use libbpf_rs::{MapCore, MapHandle};

use crate::harness::http;
use crate::harness::maps::possible_cpus;
use crate::harness::objects;
use crate::harness::{Host, Setup};

/// Bytes of a key: `dev` and `op` are u32, `comm` is text. An array's key is `dev` alone.
const KEY_SIZE: usize = 24;
const ARRAY_KEY_SIZE: usize = 4;
/// Of a histogram's series: buckets 0 to this one, and the sum behind it.
pub(crate) const MAX_BUCKET: u32 = 18;
const OPS: [&str; 4] = ["read", "write", "discard", "flush"];

/// A kind of map and metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Hash,
    /// Per-CPU, the CPUs' values added up.
    Summed,
    /// Per-CPU, a series for each.
    Split,
    /// exp2, 20 entries a series.
    Histogram,
    /// An array that is mapped, so that no system call reads it.
    Array,
}

impl Shape {
    pub(crate) const ALL: [Self; 5] = [
        Self::Hash,
        Self::Summed,
        Self::Split,
        Self::Histogram,
        Self::Array,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Summed => "per-CPU hash, summed",
            Self::Split => "per-CPU hash, split by `cpu`",
            Self::Histogram => "exp2 histogram",
            Self::Array => "array, mapped",
        }
    }

    fn map(self) -> &'static str {
        match self {
            Self::Histogram => "spent_seconds",
            _ => "calls_total",
        }
    }

    /// Values of an entry.
    pub(crate) fn cpus(self) -> usize {
        match self {
            Self::Summed | Self::Split => usize::try_from(possible_cpus()).unwrap(),
            Self::Hash | Self::Histogram | Self::Array => 1,
        }
    }

    pub(crate) fn key_size(self) -> usize {
        match self {
            Self::Array => ARRAY_KEY_SIZE,
            _ => KEY_SIZE,
        }
    }

    fn yaml(self, help: &str) -> String {
        let labels = "{name: dev, size: 4, decoders: [{name: uint}]}, {name: op, size: 4, decoders: [{name: uint}, {name: static_map, static_map: {0: read, 1: write, 2: discard, 3: flush}}]}";
        let comm = "{name: comm, size: 16, decoders: [{name: string}]}";
        let cpu = "{name: cpu, size: 2, decoders: [{name: uint}]}";
        let short = "{name: comm, size: 12, decoders: [{name: string}]}, {name: bucket, size: 4, decoders: [{name: uint}]}";
        match self {
            Self::Hash | Self::Summed => format!(
                "metrics: {{counters: [{{name: calls_total, help: {help}, labels: [{labels}, {comm}]}}]}}"
            ),
            Self::Split => format!(
                "metrics: {{counters: [{{name: calls_total, help: {help}, labels: [{labels}, {comm}, {cpu}]}}]}}"
            ),
            Self::Array => format!(
                "metrics: {{counters: [{{name: calls_total, help: {help}, labels: [{{name: dev, size: 4, decoders: [{{name: uint}}]}}]}}]}}"
            ),
            Self::Histogram => format!(
                "metrics: {{histograms: [{{name: spent_seconds, help: {help}, bucket_type: exp2, bucket_min: 0, bucket_max: {MAX_BUCKET}, labels: [{labels}, {short}]}}]}}"
            ),
        }
    }

    /// The key of entry `index`.
    pub(crate) fn key(self, index: u32) -> Vec<u8> {
        if self == Self::Array {
            return index.to_ne_bytes().to_vec();
        }
        let mut key = vec![0; KEY_SIZE];
        let (number, bucket) = match self {
            Self::Histogram => (index / (MAX_BUCKET + 2), index % (MAX_BUCKET + 2)),
            _ => (index, 0),
        };
        key[..4].copy_from_slice(&number.to_ne_bytes());
        key[4..8].copy_from_slice(&(number % 4).to_ne_bytes());
        let comm = format!("w{:07}", number % 10_000_000);
        key[8..16].copy_from_slice(comm.as_bytes());
        if self == Self::Histogram {
            key[20..].copy_from_slice(&bucket.to_ne_bytes());
        }
        key
    }

    /// Below a million, where Go's form of a number is its digits.
    fn value(index: u32, cpu: u32) -> u64 {
        u64::from(index.wrapping_mul(2_654_435_761) >> 14) + u64::from(cpu)
    }

    /// `comm="...",dev="...",op="..."`, or with the CPU.
    pub(crate) fn labels(self, key: &[u8], cpu: usize) -> String {
        let number = |at: usize| u32::from_ne_bytes(key[at..at + 4].try_into().unwrap());
        if self == Self::Array {
            return format!("dev=\"{}\"", number(0));
        }
        let comm = std::str::from_utf8(&key[8..16]).unwrap();
        let cpu = match self {
            Self::Split => format!("cpu=\"{cpu}\","),
            _ => String::new(),
        };
        let op = OPS[number(4) as usize];
        format!("comm=\"{comm}\",{cpu}dev=\"{}\",op=\"{op}\"", number(0))
    }
}

/// A host with one such map.
pub(crate) struct Subject {
    pub(crate) host: Host,
    pub(crate) shape: Shape,
    pub(crate) map: MapHandle,
    pub(crate) entries: usize,
}

impl Subject {
    /// A host with room for `entries`, with none yet; an array has all of them from the start.
    pub(crate) fn empty(shape: Shape, entries: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (kind, flags) = match shape {
            Shape::Hash | Shape::Histogram => ("HASH", 0),
            Shape::Summed | Shape::Split => ("PERCPU_HASH", 0),
            Shape::Array => ("ARRAY", libbpf_sys::BPF_F_MMAPABLE),
        };
        let key_size = shape.key_size();
        let source = format!(
            "#include <linux/bpf.h>\n#include <linux/types.h>\n#include <bpf/bpf_helpers.h>\n\
             struct {{ __uint(type, BPF_MAP_TYPE_{kind}); __uint(max_entries, {entries}); __uint(map_flags, {flags}); __uint(key_size, {key_size}); __uint(value_size, 8); }} {} SEC(\".maps\");\n\
             char LICENSE[] SEC(\"license\") = \"Dual MIT/GPL\";\n",
            shape.map()
        );
        let setup = Setup::new()
            .file("bench.yaml", shape.yaml("Calls."))
            .argument("--config.watch=off")
            .argument("--web.enable-lifecycle");
        fs::write(directory.path().join("bench.bpf.c"), source).unwrap();
        objects::build(setup.path(), &[directory.path()]);
        let host = setup.start();
        let id = host.map(shape.map()).id();
        Self {
            host,
            shape,
            map: MapHandle::from_map_id(id).unwrap(),
            entries,
        }
    }

    pub(crate) fn full(shape: Shape, entries: usize) -> Self {
        let subject = Self::empty(shape, entries);
        subject.fill(0..u32::try_from(entries).unwrap());
        subject
    }

    /// Has the host forget what keys mean, by another text in the YAML. The map stays as it is.
    pub(crate) fn forget(&self, turn: usize) {
        let yaml = self.shape.yaml(&format!("Calls since turn {turn}."));
        fs::write(self.host.path().join("bench.yaml"), yaml).unwrap();
        let response = http::request(self.host.address(), "POST", "/-/reload", &[]);
        assert_eq!(response.status, 200, "{}", response.text());
    }

    pub(crate) fn fill(&self, indexes: std::ops::Range<u32>) {
        let cpus = u32::try_from(self.shape.cpus()).unwrap();
        let keys: Vec<u8> = indexes
            .clone()
            .flat_map(|index| self.shape.key(index))
            .collect();
        let mut count = u32::try_from(indexes.len()).unwrap();
        let values: Vec<u8> = indexes
            .flat_map(|index| (0..cpus).map(move |cpu| Shape::value(index, cpu)))
            .flat_map(u64::to_ne_bytes)
            .collect();
        #[expect(unsafe_code, reason = "libbpf-rs has no batches for per-CPU maps")]
        // SAFETY: there are `count` keys of the map's size and as many values, each 8 bytes for
        // each possible CPU.
        let result = unsafe {
            libbpf_sys::bpf_map_update_batch(
                self.map.as_fd().as_raw_fd(),
                keys.as_ptr().cast(),
                values.as_ptr().cast(),
                &raw mut count,
                std::ptr::null(),
            )
        };
        assert_eq!(result, 0, "the map has room");
    }

    pub(crate) fn delete(&self, indexes: std::ops::Range<u32>) {
        let count = u32::try_from(indexes.len()).unwrap();
        let keys: Vec<u8> = indexes.flat_map(|index| self.shape.key(index)).collect();
        self.map
            .delete_batch(
                &keys,
                count,
                libbpf_rs::MapFlags::ANY,
                libbpf_rs::MapFlags::ANY,
            )
            .unwrap();
    }
}
