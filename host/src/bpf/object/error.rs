//! Why an object is not running: one sentence for each reason.

use std::io;
use std::path::PathBuf;

use crate::bpf::errno;

/// Why an object is not running.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObjectError {
    #[error("there is no BPF object {path}: build it, or say where it is with `object:`")]
    Missing { path: String },
    #[error("cannot read the BPF object {path}: {source}{}", crate::privileges::denied(.source))]
    Unreadable { path: String, source: io::Error },
    #[error("{path} is not a BPF object: {why}")]
    NotBpf { path: String, why: String },
    #[error("the BPF object {path} has neither maps nor programs: {}", empty(.functions))]
    Empty {
        path: String,
        /// That have no section.
        functions: Vec<String>,
    },
    #[error("cannot read the BTF file {path}: {source}; see --btf.path")]
    Btf { path: String, source: io::Error },
    #[error("cannot open the BPF object {path}: {reason}{}", log_suffix(.log))]
    Open {
        path: String,
        reason: String,
        log: String,
    },
    #[error("the kernel does not take the BPF object {path}: {reason}{}", log_suffix(.log))]
    Load {
        path: String,
        reason: String,
        log: String,
        /// The one that the kernel does not take, if it is that.
        program: Option<String>,
    },
    #[error("the BPF object {path} has no map `{map}`: {}", list("it has", .known))]
    NoMap {
        path: String,
        map: String,
        known: Vec<String>,
    },
    #[error("the BPF object {path} has no global variable `kaddr_{symbol}`: add `const volatile u64 kaddr_{symbol} = 0;`{}", list("; it has", .known))]
    NoKaddr {
        path: String,
        symbol: String,
        known: Vec<String>,
    },
    #[error(
        "`kaddr_{symbol}` in the BPF object {path} has {size} bytes: expected `const volatile u64 kaddr_{symbol} = 0;`"
    )]
    KaddrSize {
        path: String,
        symbol: String,
        size: usize,
    },
    #[error(
        "the BPF object {path} pins its map `{map}` by itself, and what is pinned has other entries: {why}; remove {}, or give the map another name",
        .pin.display()
    )]
    OwnPin {
        path: String,
        map: String,
        pin: PathBuf,
        why: String,
    },
    #[error("cannot use map `{map}` of the BPF object {path}: {source}")]
    Map {
        path: String,
        map: String,
        source: io::Error,
    },
}

impl ObjectError {
    /// Another file is what it takes: no other attempt with the same one comes to anything else.
    pub(crate) fn is_of_the_file(&self) -> bool {
        match self {
            Self::Missing { .. }
            | Self::NotBpf { .. }
            | Self::Empty { .. }
            | Self::Open { .. }
            | Self::NoMap { .. }
            | Self::NoKaddr { .. }
            | Self::KaddrSize { .. } => true,
            Self::Unreadable { .. }
            | Self::Btf { .. }
            | Self::Load { .. }
            | Self::OwnPin { .. }
            | Self::Map { .. } => false,
        }
    }
}

fn empty(functions: &[String]) -> String {
    match functions {
        [] => "is it the right file?".to_owned(),
        functions => format!(
            "{} has no SEC(), which makes a program of a function",
            quoted(functions)
        ),
    }
}

fn log_suffix(log: &str) -> String {
    if log.is_empty() {
        String::new()
    } else {
        format!("; libbpf says: {log}")
    }
}

pub(super) fn list(verb: &str, names: &[String]) -> String {
    if names.is_empty() {
        return if verb.starts_with(';') {
            String::new()
        } else {
            "it has none".to_owned()
        };
    }
    format!("{verb} {}", quoted(names))
}

/// The first names, each in backticks.
pub(super) fn quoted<N: AsRef<str>>(names: &[N]) -> String {
    const MAX_NAMES: usize = 12;
    let shown: Vec<String> = names
        .iter()
        .take(MAX_NAMES)
        .map(|name| format!("`{}`", name.as_ref()))
        .collect();
    let more = if names.len() > MAX_NAMES { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// The error of a failed load, with what usually is behind it.
pub(super) fn load_reason(errno: i32) -> String {
    let hint = match errno {
        libc::EPERM => {
            ": loading needs CAP_BPF and CAP_PERFMON, for network and cgroup programs CAP_NET_ADMIN, before 5.11 CAP_SYS_RESOURCE; some kernels refuse fentry and lsm programs to everybody"
        }
        libc::ENOMEM => ": the memlock limit or the memory is too small for the maps",
        libc::E2BIG => ": a program or a map is too large",
        _ => "",
    };
    format!("{}{hint}", errno::text(errno))
}
