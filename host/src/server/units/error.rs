//! Why a version of a unit cannot be opened.

use std::io;

use crate::bpf::{ReadError, SampleError};
use crate::config::Diagnostic;
use crate::config::joined;

/// The text of an error is what the operator sees as the unit's problem.
#[derive(Debug, thiserror::Error)]
pub(in crate::server) enum OpenError {
    /// The YAML does not fit the plugins.
    #[error("{}", joined(.0))]
    Config(Vec<Diagnostic>),
    /// Only these metrics do not fit the plugins, each by its index.
    #[error("{}", joined(.0.iter().map(|(_, diagnostic)| diagnostic)))]
    Metrics(Vec<(usize, Diagnostic)>),
    #[error("cannot use the map `{map}`: {source}")]
    Map { map: String, source: io::Error },
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Samples(#[from] SampleError),
    /// A bug of the host, or of the kernel under a limit of descriptors.
    #[error(
        "the server did not get the descriptors of all maps, buffers and programs of the unit: the limit of open files (ulimit -n) may be too low"
    )]
    Descriptors,
    #[error("a source is about metric number {0}, which the unit does not have; this is a bug")]
    NoMetric(usize),
}
