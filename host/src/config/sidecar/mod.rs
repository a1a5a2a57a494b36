//! `NAME.plugin.yaml`, which stands beside `NAME.wasm`: what the operator grants the plugin, and
//! its limits. Owns the format and what is wrong with it; what a grant comes to is decided where it
//! is used.
//!
//! An unknown key is always an error here: a grant that is misspelt would be missed, and a limit
//! that is misspelt would not limit.

pub(crate) mod endpoint;
mod path;
mod size;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::load::{read_bounded, unreadable};
use crate::config::yaml;
use crate::config::yaml::{
    Diagnostic, Diagnostics, Fields, Node, NodeValue, Schema, Span, fields, shorten,
};
use crate::digest::Digest;
use crate::near;

pub(crate) use endpoint::{EndpointPattern, host_name};
pub(crate) use path::PathPattern;

const EXTENSION: &str = ".plugin.yaml";

const SIDECAR: Schema = Schema {
    what: "a plugin's sidecar",
    known: &["sha256", "grants", "limits"],
    later: &[],
};

const GRANTS: Schema = Schema {
    what: "`grants`",
    known: &[
        "read",
        "file_systems",
        "tcp",
        "udp",
        "dns",
        "kernel",
        "env",
        "clock",
    ],
    later: &[],
};

const LIMITS: Schema = Schema {
    what: "`limits`",
    known: &["memory", "cpu", "output", "series", "instances"],
    later: &[],
};

/// What a sidecar says.
#[derive(Debug, Clone)]
pub(crate) struct Sidecar {
    /// Of the sidecar itself.
    pub(crate) digest: Digest,
    /// What the plugin's file has to be.
    pub(crate) sha256: Option<Digest>,
    /// Where that stands.
    pub(crate) sha256_at: Option<Span>,
    pub(crate) grants: Grants,
    pub(crate) limits: Limits,
}

/// What a plugin may reach. By default nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Grants {
    /// Files that may be read.
    pub(crate) read: Vec<PathPattern>,
    /// Paths whose file system may be asked for its size.
    pub(crate) file_systems: Vec<PathPattern>,
    pub(crate) tcp: Vec<EndpointPattern>,
    pub(crate) udp: Vec<EndpointPattern>,
    /// Names that may be resolved, as `host_name` writes them, besides those that `tcp` and `udp`
    /// name.
    pub(crate) dns: Vec<String>,
    pub(crate) kernel: BTreeSet<KernelFact>,
    /// In the order of the file.
    pub(crate) env: Vec<(String, String)>,
    /// Wall and monotonic clock.
    pub(crate) clock: bool,
}

/// Facts about the running kernel that are granted one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum KernelFact {
    Symbols,
    Cgroups,
    Interfaces,
    BlockDevices,
    Pci,
}

/// Bounds of a plugin. None: the host's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes of linear memory of one instance.
    pub(crate) memory: Option<usize>,
    /// CPU time of one call.
    pub(crate) cpu: Option<Duration>,
    /// Bytes of one answer.
    pub(crate) output: Option<usize>,
    /// Series of one collector's answer.
    pub(crate) series: Option<usize>,
    /// Calls at once.
    pub(crate) instances: Option<usize>,
}

// === impl KernelFact ===

impl KernelFact {
    pub(crate) const ALL: [Self; 5] = [
        Self::Symbols,
        Self::Cgroups,
        Self::Interfaces,
        Self::BlockDevices,
        Self::Pci,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Symbols => "symbols",
            Self::Cgroups => "cgroups",
            Self::Interfaces => "interfaces",
            Self::BlockDevices => "block-devices",
            Self::Pci => "pci",
        }
    }
}

/// Where the sidecar of a plugin's file is, whether there is one or not.
pub(crate) fn path_of(plugin: &Path) -> PathBuf {
    plugin.with_extension(&EXTENSION[1..])
}

/// The sidecar of a plugin's file. None: it has none. `Err`: what is wrong with it, in the order of
/// the file.
pub(crate) fn load(plugin: &Path) -> Result<Option<Sidecar>, Vec<Diagnostic>> {
    let text = read_text(plugin)?;
    text.map(|text| parse(plugin, &text)).transpose()
}

/// The text of the sidecar of a plugin's file. None: it has none. `Err`: it cannot be read.
pub(crate) fn read_text(plugin: &Path) -> Result<Option<Vec<u8>>, Vec<Diagnostic>> {
    let path = path_of(plugin);
    match read_bounded(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(vec![unreadable(&Arc::new(path), &error)]),
    }
}

/// What `read_text` gave for the same plugin's file. `Err`: what is wrong with it, in the order of
/// the file.
pub(crate) fn parse(plugin: &Path, text: &[u8]) -> Result<Sidecar, Vec<Diagnostic>> {
    read(&Arc::new(path_of(plugin)), text).map(|(sidecar, _)| sidecar)
}

/// Everything that is wrong with the sidecars of a directory, and those that belong to no plugin.
pub(crate) fn check(directory: &Path) -> io::Result<Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    for path in sidecars(directory)? {
        let path = Arc::new(path);
        diagnostics.extend(strayed(&path));
        if !is_sidecar(&path) {
            continue;
        }
        match read_bounded(&path) {
            Ok(bytes) => {
                let read = read(&path, &bytes);
                if let Ok((sidecar, _)) = &read {
                    diagnostics.extend(is_for_others(sidecar, &path));
                }
                let (Ok((_, of_file)) | Err(of_file)) = read;
                diagnostics.extend(of_file);
            }
            Err(error) => diagnostics.push(unreadable(&path, &error)),
        }
    }
    Ok(diagnostics)
}

/// A sidecar whose `sha256` is not that of the plugin beside it.
fn is_for_others(sidecar: &Sidecar, path: &Path) -> Option<Diagnostic> {
    let (expected, at) = (sidecar.sha256?, sidecar.sha256_at.clone()?);
    let plugin = path.with_extension("").with_extension("wasm");
    let found = Digest::of(&std::fs::read(&plugin).ok()?);
    (found != expected).then(|| {
        let plugin = plugin.display();
        let message = format!(
            "`sha256` is not that of {plugin}, which is {found}: the plugin is left out until it is the file that was meant, or this is changed"
        );
        Diagnostic::error(at, message)
    })
}

/// Sidecars of a directory that grant nothing to anybody: the plugin is not there, or the name is
/// not quite right.
pub(crate) fn orphans(directory: &Path) -> io::Result<Vec<Diagnostic>> {
    let paths = sidecars(directory)?;
    Ok(paths
        .into_iter()
        .filter_map(|path| strayed(&Arc::new(path)))
        .collect())
}

/// Everything whose name says that it is meant to be a sidecar, sorted. Hidden files are somebody's
/// temporary ones.
fn sidecars(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let meant = name.ends_with(EXTENSION) || name.ends_with(".plugin.yml");
        if meant && !name.starts_with('.') {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn is_sidecar(path: &Path) -> bool {
    path.as_os_str()
        .as_encoded_bytes()
        .ends_with(EXTENSION.as_bytes())
}

fn strayed(path: &Arc<PathBuf>) -> Option<Diagnostic> {
    // `NAME.plugin` without the rest of it.
    let plugin = path.with_extension("").with_extension("wasm");
    let message = if !is_sidecar(path) {
        let right = path_of(&plugin);
        format!("this is not read: rename it to {}", right.display())
    } else if plugin.exists() {
        return None;
    } else {
        format!("there is no plugin {} beside it", plugin.display())
    };
    Some(Diagnostic::warning(Span::whole(path), message))
}

/// `Ok`: with warnings. `Err`: at min one is an error.
pub(crate) fn read(
    path: &Arc<PathBuf>,
    bytes: &[u8],
) -> Result<(Sidecar, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut diagnostics = Diagnostics::new(path, true);
    let expected = "a mapping with `grants`, `limits` or `sha256`";
    let sidecar = yaml::parse(bytes, expected, &mut diagnostics)
        .and_then(|root| read_sidecar(&root, Digest::of(bytes), &mut diagnostics));
    let failed = diagnostics.any_error();
    let list = diagnostics.into_sorted();
    match sidecar {
        Some(sidecar) if !failed => Ok((sidecar, list)),
        _ => Err(list),
    }
}

fn read_sidecar(root: &Node, digest: Digest, diagnostics: &mut Diagnostics) -> Option<Sidecar> {
    let fields = Fields::of(root, &SIDECAR, diagnostics)?;
    let sha256 = fields.get("sha256").and_then(|node| {
        let text = fields.text("sha256", diagnostics)?;
        let digest = Digest::parse(text);
        if digest.is_none() {
            diagnostics.error(
                node.at,
                format!(
                    "expected the SHA-256 of the plugin's file as 64 hexadecimal digits for `sha256`, found `{}`: `sha256sum` prints it",
                    shorten(text)
                ),
            );
        }
        digest
    });
    let grants = fields.get("grants");
    let limits = fields.get("limits");
    Some(Sidecar {
        digest,
        sha256_at: fields
            .get("sha256")
            .map(|node| diagnostics.position(node.at)),
        sha256,
        grants: grants.map_or_else(Grants::default, |node| read_grants(node, diagnostics)),
        limits: limits.map_or_else(Limits::default, |node| read_limits(node, diagnostics)),
    })
}

fn read_grants(node: &Node, diagnostics: &mut Diagnostics) -> Grants {
    let Some(fields) = Fields::of(node, &GRANTS, diagnostics) else {
        return Grants::default();
    };
    let facts = parsed(&fields, "kernel", "kernel facts", diagnostics, read_fact);
    Grants {
        read: parsed(
            &fields,
            "read",
            "path patterns",
            diagnostics,
            PathPattern::parse,
        ),
        file_systems: parsed(
            &fields,
            "file_systems",
            "path patterns",
            diagnostics,
            PathPattern::parse,
        ),
        tcp: parsed(
            &fields,
            "tcp",
            "endpoints",
            diagnostics,
            EndpointPattern::parse,
        ),
        udp: parsed(
            &fields,
            "udp",
            "endpoints",
            diagnostics,
            EndpointPattern::parse,
        ),
        dns: parsed(&fields, "dns", "names of hosts", diagnostics, |text| {
            host_name(text).map_err(|why| format!("`dns` has `{}`, {why}", shorten(text)))
        }),
        kernel: facts.into_iter().collect(),
        env: fields
            .get("env")
            .map(|node| read_env(node, diagnostics))
            .unwrap_or_default(),
        clock: fields.boolean("clock", diagnostics).unwrap_or_default(),
    }
}

/// The items of a list of texts, less those that are wrong, which is said.
fn parsed<T>(
    fields: &Fields<'_>,
    name: &str,
    what: &str,
    diagnostics: &mut Diagnostics,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let mut items = Vec::new();
    for node in fields.list(name, what, diagnostics) {
        let Some(text) = fields::text(node, &format!("an item of `{name}`"), diagnostics) else {
            continue;
        };
        match parse(text) {
            Ok(item) => items.push(item),
            Err(message) => diagnostics.error(node.at, message),
        }
    }
    items
}

fn read_fact(text: &str) -> Result<KernelFact, String> {
    let mut facts = KernelFact::ALL.into_iter();
    facts.find(|fact| fact.as_str() == text).ok_or_else(|| {
        if text == "machine" {
            return "`machine` needs no grant: every plugin may ask for it".to_owned();
        }
        let known = KernelFact::ALL.map(KernelFact::as_str);
        let hint = near::suggestion(text, &known);
        format!("unknown kernel fact `{}`{hint}", shorten(text))
    })
}

fn read_env(node: &Node, diagnostics: &mut Diagnostics) -> Vec<(String, String)> {
    let NodeValue::Mapping(entries) = &node.value else {
        diagnostics.error(
            node.at,
            format!(
                "expected `env` as a mapping of names to values, found {}",
                node.describe()
            ),
        );
        return Vec::new();
    };
    let mut env = Vec::new();
    for (key, value) in entries {
        let name = key.scalar.text.as_str();
        if name.is_empty() || name.contains('=') {
            diagnostics.error(
                key.at,
                format!("`{}` cannot be the name of a variable", shorten(name)),
            );
            continue;
        }
        if let Some(value) = fields::text(value, &format!("the variable `{name}`"), diagnostics) {
            env.push((name.to_owned(), value.to_owned()));
        }
    }
    env
}

fn read_limits(node: &Node, diagnostics: &mut Diagnostics) -> Limits {
    let Some(fields) = Fields::of(node, &LIMITS, diagnostics) else {
        return Limits::default();
    };
    Limits {
        memory: read_size(&fields, "memory", 64 << 10, 4 << 30, diagnostics),
        cpu: read_cpu(&fields, diagnostics),
        output: read_size(&fields, "output", 1 << 10, 1 << 30, diagnostics),
        series: read_count(&fields, "series", 10_000_000, diagnostics),
        instances: read_count(&fields, "instances", 1024, diagnostics),
    }
}

fn read_size(
    fields: &Fields<'_>,
    name: &str,
    min: u64,
    max: u64,
    diagnostics: &mut Diagnostics,
) -> Option<usize> {
    let node = fields.get(name)?;
    let text = fields.text(name, diagnostics)?;
    let size = size::parse_size(text).and_then(|size| {
        if (min..=max).contains(&size) {
            return Ok(size);
        }
        Err(format!(
            "`{name}` is `{text}`: expected {} KiB to {} MiB",
            min >> 10,
            max >> 20
        ))
    });
    match size {
        Ok(size) => usize::try_from(size).ok(),
        Err(message) => {
            diagnostics.error(node.at, message);
            None
        }
    }
}

fn read_cpu(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Duration> {
    const RANGE: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3600);
    let cpu = fields.duration("cpu", diagnostics)?;
    if !RANGE.contains(&cpu) {
        let text = fields.text("cpu", diagnostics).unwrap_or_default();
        let at = fields.get("cpu").map_or(fields.at, |node| node.at);
        diagnostics.error(at, format!("`cpu` is `{text}`: expected 10ms to 1h"));
        return None;
    }
    Some(cpu)
}

fn read_count(
    fields: &Fields<'_>,
    name: &str,
    max: i64,
    diagnostics: &mut Diagnostics,
) -> Option<usize> {
    let node = fields.get(name)?;
    let count = fields.integer(name, diagnostics)?;
    if !(1..=max).contains(&count) {
        diagnostics.error(node.at, format!("`{name}` is {count}: expected 1 to {max}"));
        return None;
    }
    usize::try_from(count).ok()
}

/// The keys of all sections, as their readers have them.
#[cfg(test)]
pub(in crate::config) fn keys() -> Vec<super::sections::Keys> {
    let schemas = [
        ("sidecar", &SIDECAR),
        ("sidecar.grants", &GRANTS),
        ("sidecar.limits", &LIMITS),
    ];
    schemas
        .map(|(path, schema)| super::sections::Keys::of(path, schema))
        .into()
}

#[cfg(test)]
mod tests;
