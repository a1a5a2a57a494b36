//! Why a unit does not run.

use std::fmt;

use super::{collectors, opener};
use crate::bpf::{KeeperError, ObjectError, ReadError, SampleError};
use crate::config::load::FailedUnit;
use crate::config::{Problem, UnitConfig};
use crate::plugin::Registry;

#[derive(Debug)]
pub(crate) enum UnitError {
    /// The YAML is wrong, or does not fit the object or the plugins.
    Config(Vec<Problem>),
    Object(ObjectError),
    Read(ReadError),
    Samples(SampleError),
    CgroupIdMap(KeeperError),
    Symbols(std::io::Error),
    /// Some that are required cannot be attached.
    Programs(String),
}

/// A version of a unit that could not be prepared, and what is known of its config.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: UnitError,
    pub(crate) config: Option<Box<UnitConfig>>,
}

/// Why a unit, or its newest version, is not in service.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    pub(crate) why: String,
    /// It may go away without anybody changing a file: trying again makes sense.
    pub(crate) may_heal: bool,
}

impl Trouble {
    /// Something that may go away by itself.
    pub(crate) fn passing(why: String) -> Self {
        Self {
            why,
            may_heal: true,
        }
    }
}

impl From<UnitError> for Trouble {
    fn from(error: UnitError) -> Self {
        Self {
            may_heal: error.may_heal(),
            why: error.to_string(),
        }
    }
}

impl UnitError {
    fn may_heal(&self) -> bool {
        match self {
            Self::Config(_) => false,
            Self::Object(error) => !error.is_of_the_file(),
            Self::Read(_)
            | Self::Samples(_)
            | Self::CgroupIdMap(_)
            | Self::Symbols(_)
            | Self::Programs(_) => true,
        }
    }
}

impl Failure {
    /// The whole story, for people: with a config that is wrong, also what only its plugins can tell.
    pub(crate) fn explain(self, registry: &Registry) -> Trouble {
        match (self.error, self.config) {
            (UnitError::Config(mut problems), Some(config)) => {
                problems.extend(opener::check(&config, registry));
                problems.extend(collectors::check(&config, registry));
                problems.sort_by_key(|problem| (problem.at.line, problem.at.column));
                UnitError::Config(problems).into()
            }
            (error, _) => error.into(),
        }
    }
}

impl From<FailedUnit> for Failure {
    fn from(failed: FailedUnit) -> Self {
        Self {
            error: UnitError::Config(failed.problems),
            config: failed.partial,
        }
    }
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(problems) => {
                for (index, problem) in problems.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "; " };
                    write!(f, "{separator}{problem}")?;
                }
                Ok(())
            }
            Self::Object(error) => error.fmt(f),
            Self::Read(error) => error.fmt(f),
            Self::Samples(error) => error.fmt(f),
            Self::CgroupIdMap(error) => error.fmt(f),
            Self::Programs(why) => f.write_str(why),
            Self::Symbols(error) => write!(f, "cannot read /proc/kallsyms for `kaddrs`: {error}"),
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
