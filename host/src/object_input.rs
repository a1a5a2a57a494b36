//! What an operator asks of an object and of its maps: `config` reads it, `bpf` does it. Plain data
//! of neither, as neither knows the other.

use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

/// A value for a global variable.
#[derive(Debug, Clone, PartialEq, Hash)]
pub(crate) enum GlobalValue {
    One(GlobalScalar),
    List(Vec<GlobalScalar>),
}

/// A scalar in all the ways that it can be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GlobalScalar {
    /// As written, less quotes.
    pub(crate) text: String,
    pub(crate) integer: Option<i128>,
    /// Integers too.
    pub(crate) float: Option<f64>,
    pub(crate) boolean: Option<bool>,
}

/// How a map says which cgroups match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CgroupIdMapKind {
    /// Key: the cgroup's id, u64. Value: u64 1.
    Hash,
    /// A BPF_MAP_TYPE_CGRP_STORAGE, addressed by the cgroup directory's file descriptor.
    CgrpStorage,
}

/// What samples are sent through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum SampleMap {
    PerfEventArray,
    Ringbuf,
}

impl GlobalValue {
    /// For "found …".
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::One(scalar) => {
                let mut shown: String = scalar.text.chars().take(48).collect();
                if shown.len() < scalar.text.len() {
                    shown.push('…');
                }
                format!("`{shown}`")
            }
            Self::List(list) => format!("a list of {}", list.len()),
        }
    }
}

impl Hash for GlobalScalar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            text,
            integer,
            float,
            boolean,
        } = self;
        (text, integer, float.map(f64::to_bits), boolean).hash(state);
    }
}
