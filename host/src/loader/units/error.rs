//! Why a unit does not run.

use std::fmt;
use std::io;

use crate::bpf::{KeeperError, ObjectError, ReadError, SampleError};
use crate::config::FailedUnit;
use crate::config::joined;
use crate::config::{Diagnostic, UnitConfig};

#[derive(Debug)]
pub(crate) enum UnitError {
    /// The YAML is wrong, or does not fit the object.
    Config(Vec<Diagnostic>),
    Object(ObjectError),
    Read(ReadError),
    Samples(SampleError),
    CgroupIdMap(KeeperError),
    Symbols(io::Error),
    /// Some that are required cannot be attached.
    Programs {
        why: String,
        /// A later attempt may come to something else.
        retryable: bool,
    },
    /// There are too few descriptors for a unit.
    Descriptors(io::Error),
    /// A buffer cannot be handed to the server.
    Descriptor {
        map: String,
        source: io::Error,
    },
}

/// A version of a unit that could not be loaded, and what is known of its config.
#[derive(Debug)]
pub(crate) struct LoadFailure {
    pub(crate) error: UnitError,
    pub(crate) config: Option<Box<UnitConfig>>,
}

/// Why a unit, or its newest version, is not in service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnitFailure {
    pub(crate) why: String,
    /// It may go away without anybody changing a file: trying again makes sense.
    pub(crate) retryable: bool,
}

impl UnitFailure {
    /// Something that may go away by itself.
    pub(crate) fn retryable(why: String) -> Self {
        Self {
            why,
            retryable: true,
        }
    }
}

impl From<UnitError> for UnitFailure {
    fn from(error: UnitError) -> Self {
        Self {
            retryable: error.is_retryable(),
            why: error.to_string(),
        }
    }
}

impl UnitError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Config(_) => false,
            Self::Object(error) => !error.is_of_the_file(),
            Self::Programs { retryable, .. } => *retryable,
            Self::Read(_)
            | Self::Samples(_)
            | Self::CgroupIdMap(_)
            | Self::Symbols(_)
            | Self::Descriptor { .. }
            | Self::Descriptors(_) => true,
        }
    }
}

impl From<FailedUnit> for LoadFailure {
    fn from(failed: FailedUnit) -> Self {
        Self {
            error: UnitError::Config(failed.diagnostics),
            config: failed.partial,
        }
    }
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(diagnostics) => f.write_str(&joined(diagnostics)),
            Self::Object(error) => error.fmt(f),
            Self::Read(error) => error.fmt(f),
            Self::Samples(error) => error.fmt(f),
            Self::CgroupIdMap(error) => error.fmt(f),
            Self::Programs { why, .. } => f.write_str(why),
            Self::Symbols(error) => write!(f, "cannot read /proc/kallsyms for `kaddrs`: {error}"),
            Self::Descriptors(error) => write!(
                f,
                "there are too few descriptors left for a unit: {error}; \
                 raise the limit of open files (ulimit -n, LimitNOFILE=)"
            ),
            Self::Descriptor { map, source } => write!(
                f,
                "cannot hand a buffer of map `{map}` to the server: {source}; \
                 raise the limit of open files (ulimit -n) if that is what is used up"
            ),
        }
    }
}

impl std::error::Error for UnitError {}

impl From<ObjectError> for UnitError {
    fn from(error: ObjectError) -> Self {
        Self::Object(error)
    }
}

impl From<ReadError> for UnitError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<SampleError> for UnitError {
    fn from(error: SampleError) -> Self {
        Self::Samples(error)
    }
}

impl From<KeeperError> for UnitError {
    fn from(error: KeeperError) -> Self {
        Self::CgroupIdMap(error)
    }
}
