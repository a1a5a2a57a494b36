//! What `--capabilities.keep` says.

use std::fmt;
use std::str::FromStr;

use caps::Capability;
use caps::Capability::{CAP_BPF, CAP_PERFMON};

use super::set::{CapabilitySet, named};
use crate::near::nearest;

/// What to keep of the capabilities that the process was started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Leave everything as it is.
    All,
    /// These at most.
    Only(CapabilitySet),
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum KeepError {
    #[error(
        "expected `all`, `none` or names of capabilities with commas between, found an empty name in {0:?}"
    )]
    Empty(String),
    #[error("`{0}` stands alone, found it in a list of capabilities")]
    NotAlone(String),
    #[error("unknown capability {name:?}{hint}")]
    Unknown { name: String, hint: String },
}

// === impl Keep ===

/// What reading maps, reloading tracing programs and following CPUs coming online need.
impl Default for Keep {
    fn default() -> Self {
        Self::Only(CapabilitySet::of(&[CAP_BPF, CAP_PERFMON]))
    }
}

impl FromStr for Keep {
    type Err = KeepError;

    /// `all`, `none` or a list like `cap_bpf,PERFMON`: any case, with or without `cap_`, blanks
    /// allowed.
    fn from_str(text: &str) -> Result<Self, KeepError> {
        let names: Vec<String> = text
            .split(',')
            .map(|name| name.trim().to_lowercase())
            .collect();
        match names.as_slice() {
            [all] if all == "all" => Ok(Self::All),
            [none] if none == "none" => Ok(Self::Only(CapabilitySet::EMPTY)),
            names => names
                .iter()
                .map(|name| match name.as_str() {
                    "" => Err(KeepError::Empty(text.to_owned())),
                    "all" | "none" => Err(KeepError::NotAlone(name.clone())),
                    name => capability(name),
                })
                .collect::<Result<CapabilitySet, _>>()
                .map(Self::Only),
        }
    }
}

/// As `from_str` reads it.
impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Only(set) => f.write_str(&set.to_string().replace(' ', "").to_lowercase()),
        }
    }
}

fn capability(name: &str) -> Result<Capability, KeepError> {
    if let Ok(capability) = caps::to_canonical(name).parse() {
        return Ok(capability);
    }
    let known: Vec<String> = named()
        .iter()
        .map(|known| known.to_string().to_lowercase())
        .collect();
    let bare = |name| str::trim_start_matches(name, "cap_");
    let hint = match nearest(bare(name), known.iter().map(|known| bare(known))) {
        Some(near) => format!(": did you mean `cap_{near}`?"),
        None => ": capabilities(7) lists them".to_owned(),
    };
    let name = name.to_owned();
    Err(KeepError::Unknown { name, hint })
}

#[cfg(test)]
mod tests {
    use caps::Capability::{CAP_BPF, CAP_PERFMON, CAP_SYSLOG};

    use super::{CapabilitySet, Keep, KeepError};

    fn keep(text: &str) -> Result<Keep, KeepError> {
        text.parse()
    }

    #[test]
    fn names_in_any_spelling() {
        let wanted = Ok(Keep::Only(CapabilitySet::of(&[CAP_BPF, CAP_PERFMON])));
        assert_eq!(keep("cap_bpf,cap_perfmon"), wanted);
        assert_eq!(keep("PERFMON, Cap_Bpf ,bpf"), wanted);
        assert_eq!(keep("all"), Ok(Keep::All));
        assert_eq!(keep("NONE"), Ok(Keep::Only(CapabilitySet::EMPTY)));
        assert_eq!(
            keep("syslog"),
            Ok(Keep::Only(CapabilitySet::of(&[CAP_SYSLOG])))
        );
    }

    #[test]
    fn what_is_shown_can_be_read() {
        for text in ["all", "none", "cap_perfmon,cap_bpf"] {
            assert_eq!(keep(text).unwrap().to_string(), text);
        }
        assert_eq!(keep(&Keep::default().to_string()), Ok(Keep::default()));
    }

    #[test]
    fn a_wrong_name_gets_its_near_miss() {
        let near = |text| keep(text).unwrap_err().to_string();
        assert_eq!(
            near("cap_bpf,cap_perfmn"),
            "unknown capability \"cap_perfmn\": did you mean `cap_perfmon`?"
        );
        assert!(near("sys_amdin").contains("`cap_sys_admin`"));
        assert_eq!(
            near("\u{e9}"),
            "unknown capability \"\u{e9}\": capabilities(7) lists them"
        );
    }

    #[test]
    fn lists_that_are_none() {
        assert_eq!(keep(""), Err(KeepError::Empty(String::new())));
        assert_eq!(keep("bpf,"), Err(KeepError::Empty("bpf,".to_owned())));
        assert_eq!(keep("bpf,all"), Err(KeepError::NotAlone("all".to_owned())));
    }
}
