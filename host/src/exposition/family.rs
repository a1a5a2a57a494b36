//! Families: what every source of metrics hands over, whatever it is.

use std::sync::Arc;

use super::samples::Samples;

/// What a family is. Info and Unknown are written as gauge and untyped where the format has no such
/// type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Summary,
    Info,
    Unknown,
}

impl Kind {
    /// What a family's name may not be followed by in the names of others: those are the names of
    /// its own samples.
    pub(super) fn reserved_suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Histogram => &["_bucket", "_count", "_created", "_sum"],
            Self::Summary => &["_count", "_created", "_sum"],
            Self::Counter | Self::Gauge | Self::Info | Self::Unknown => &[],
        }
    }
}

/// A family's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FamilyMeta {
    /// The full name as it appears in text format 0.0.4, e.g. `ebpf_exporter_timer_starts_total`.
    /// OpenMetrics' rules about `_total` and `_info` are applied when it is written.
    pub(crate) name: String,
    pub(crate) help: String,
    /// Empty, or the unit that the name ends in, e.g. `seconds`.
    pub(crate) unit: String,
    pub(crate) kind: Kind,
}

/// A family and its series, as of one scrape.
#[derive(Debug, Clone)]
pub(crate) struct Family {
    pub(crate) meta: Arc<FamilyMeta>,
    pub(crate) samples: Samples,
}
