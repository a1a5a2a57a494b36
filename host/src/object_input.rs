//! What is asked of an object and of its maps, in types of this room's own.

/// A value for a global variable.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum GlobalValue {
    One(GlobalScalar),
    List(Vec<GlobalScalar>),
}

/// A scalar in all the ways that it can be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GlobalScalar {
    pub(crate) text: String,
    pub(crate) integer: Option<i128>,
    /// Integers too.
    pub(crate) float: Option<f64>,
    pub(crate) boolean: Option<bool>,
}

/// How a map says which cgroups match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CgroupIdMapKind {
    /// Key: the cgroup's id, u64. Value: u64 1.
    Hash,
    /// A BPF_MAP_TYPE_CGRP_STORAGE, addressed by the cgroup directory's file descriptor.
    CgrpStorage,
}

/// What samples are sent through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SampleMap {
    PerfEventArray,
    Ringbuf,
}

impl GlobalValue {
    /// For "found …".
    pub(super) fn describe(&self) -> String {
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
