//! One plugin file: read, diagnosed, compiled and linked, ready to be instantiated.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use semver::{Version, VersionReq};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre};

use super::bindings::exports::exporter::plugin::{decoding, shaping};
use super::budget::LogBudget;
use super::engine::Engine;
use super::error::LoadError;
use super::instance::Instance;
use super::state::{self, HostState};
use super::stats::PluginStats;
use crate::digest::Digest;
use crate::kernel::KernelFacts;

/// The version of exporter:plugin that this host speaks.
pub(super) const INTERFACE_VERSION: &str = "0.1.0";
/// Largest plugin file, in bytes: CPython inside a component takes 18 MiB.
const MAX_FILE: u64 = 64 << 20;

/// Bounds of one plugin's instances.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of linear memory per instance.
    pub(super) memory: usize,
    /// CPU time of one call.
    pub(super) cpu: Duration,
    /// Bytes of one answer.
    pub(super) output: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            cpu: Duration::from_millis(250),
            output: 8 << 20,
        }
    }
}

/// A loaded plugin.
pub(crate) struct Plugin {
    pub(super) name: Arc<str>,
    /// Of the file.
    pub(super) digest: Digest,
    pub(super) pre: InstancePre<HostState>,
    pub(super) decoding: Option<decoding::GuestIndices>,
    pub(super) shaping: Option<shaping::GuestIndices>,
    pub(super) limits: Limits,
    pub(super) facts: Arc<KernelFacts>,
    pub(super) log_budget: Arc<LogBudget>,
    pub(super) stats: Arc<PluginStats>,
}

/// One thing that a plugin offers, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offered {
    pub(crate) name: String,
    pub(crate) summary: String,
    /// A JSON schema, or empty.
    pub(crate) options_schema: String,
}

/// What a plugin offers, by its own catalogue.
#[derive(Debug, Default, Clone)]
pub(crate) struct Offers {
    pub(crate) decoders: Vec<Offered>,
    pub(crate) shapers: Vec<Offered>,
}

/// The names of what a plugin offers.
#[derive(Debug, Default, Clone)]
pub(super) struct Catalogue {
    pub(super) decoders: Vec<String>,
    pub(super) shapers: Vec<String>,
}

impl Plugin {
    /// Compiles and links a component. `name`: what it is called in logs, metrics and `plugin/decoder` names.
    pub(super) fn load(
        engine: &Engine,
        name: &str,
        bytes: &[u8],
        facts: &Arc<KernelFacts>,
    ) -> Result<Self, LoadError> {
        let component = compile(engine, bytes)?;
        Self::link(engine, name, bytes, &component, facts)
    }

    /// The second half of `load`: `component` was compiled from `bytes`.
    pub(super) fn link(
        engine: &Engine,
        name: &str,
        bytes: &[u8],
        component: &Component,
        facts: &Arc<KernelFacts>,
    ) -> Result<Self, LoadError> {
        let engine = engine.inner();
        let exports = exported_interfaces(component, engine);
        check_exports(&exports)?;
        let pre = state::linker(engine)?
            .instantiate_pre(component)
            .map_err(|error| LoadError::Import {
                detail: format!("{error:#}"),
            })?;
        let exports_interface = |interface: &str| {
            exports
                .iter()
                .any(|name| name.starts_with(&format!("exporter:plugin/{interface}@")))
        };
        let wrong_type = |error: wasmtime::Error| LoadError::Import {
            detail: format!("{error:#}"),
        };
        let decoding = exports_interface("decoding")
            .then(|| decoding::GuestIndices::new(&pre))
            .transpose()
            .map_err(wrong_type)?;
        let shaping = exports_interface("shaping")
            .then(|| shaping::GuestIndices::new(&pre))
            .transpose()
            .map_err(wrong_type)?;
        Ok(Self {
            name: name.into(),
            digest: Digest::of(bytes),
            pre,
            decoding,
            shaping,
            limits: Limits::default(),
            facts: Arc::clone(facts),
            log_budget: Arc::new(LogBudget::new()),
            stats: Arc::default(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Asks the component what it offers. Runs its code.
    pub(super) fn catalogue(&self) -> Result<Catalogue, LoadError> {
        let offers = self.offers()?;
        let names = |offered: Vec<Offered>| offered.into_iter().map(|one| one.name).collect();
        Ok(Catalogue {
            decoders: names(offers.decoders),
            shapers: names(offers.shapers),
        })
    }

    /// As `catalogue`, with what the component says about each.
    pub(super) fn offers(&self) -> Result<Offers, LoadError> {
        let mut instance = Instance::new(self).map_err(LoadError::Catalogue)?;
        let offers = instance.offers().map_err(LoadError::Catalogue)?;
        let mut all = offers.decoders.iter().chain(&offers.shapers);
        match all.find(|offered| !is_name(&offered.name)) {
            Some(bad) => Err(LoadError::BadName(bad.name.clone())),
            None => Ok(offers),
        }
    }
}

/// Machine code for a component, or what is wrong with the bytes.
pub(super) fn compile(engine: &Engine, bytes: &[u8]) -> Result<Component, LoadError> {
    check_header(bytes)?;
    Component::from_binary(engine.inner(), bytes)
        .map_err(|error| LoadError::Compile(format!("{error:#}")))
}

/// The bytes of a plugin's file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let metadata = std::fs::metadata(path).map_err(LoadError::Read)?;
    if !metadata.is_file() {
        // Reading a named pipe would wait for its writer.
        return Err(LoadError::NoFile);
    }
    let found = metadata.len();
    if found > MAX_FILE {
        return Err(LoadError::TooLarge {
            found,
            limit: MAX_FILE,
        });
    }
    std::fs::read(path).map_err(LoadError::Read)
}

/// Letters, digits, `_` and `-`: a `/` separates the plugin's name.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Tells what a file is that is no component, before the compiler's own words would.
fn check_header(bytes: &[u8]) -> Result<(), LoadError> {
    if wasmtime::Engine::detect_precompiled(bytes).is_some() {
        return Err(LoadError::Precompiled);
    }
    match bytes.get(..8) {
        Some(b"\0asm\x0d\0\x01\0") => Ok(()),
        Some(b"\0asm\x01\0\0\0") => Err(LoadError::CoreModule),
        _ => {
            let start: Vec<String> = bytes
                .iter()
                .take(8)
                .map(|byte| format!("{byte:02x}"))
                .collect();
            Err(LoadError::NotWasm(if start.is_empty() {
                "nothing, it is empty".into()
            } else {
                start.join(" ")
            }))
        }
    }
}

fn exported_interfaces(component: &Component, engine: &wasmtime::Engine) -> Vec<String> {
    let kind = component.component_type();
    let exports = kind.exports(engine);
    exports
        .filter(|(_, export)| matches!(export.ty, ComponentItem::ComponentInstance(_)))
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// Versions that are compatible by the rules of semantic versioning: the same minor while the major is 0.
fn is_understood(version: &str) -> bool {
    let known = VersionReq::parse(INTERFACE_VERSION);
    let found = Version::parse(version);
    matches!((known, found), (Ok(known), Ok(found)) if known.matches(&found))
}

fn check_exports(exports: &[String]) -> Result<(), LoadError> {
    let ours: Vec<&str> = exports
        .iter()
        .filter_map(|name| name.strip_prefix("exporter:plugin/"))
        .collect();
    if let Some(other) = ours
        .iter()
        .filter_map(|name| name.split_once('@'))
        .map(|(_, version)| version)
        .find(|version| !is_understood(version))
    {
        return Err(LoadError::OtherVersion {
            found: other.to_owned(),
        });
    }
    if ours
        .iter()
        .any(|name| name.starts_with("decoding@") || name.starts_with("shaping@"))
    {
        return Ok(());
    }
    Err(LoadError::NoWorld {
        found: if exports.is_empty() {
            "nothing".into()
        } else {
            exports.join(", ")
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_component_is_named_for_what_it_is() {
        let message = |bytes: &[u8]| check_header(bytes).unwrap_err().to_string();
        assert!(message(b"\0asm\x01\0\0\0").contains("core WebAssembly module"));
        assert!(message(b"").contains("it is empty"));
        assert!(message(b"#!/bin/sh").contains("23 21 2f 62 69 6e 2f 73"));
    }

    #[test]
    fn exports_decide_the_worlds() {
        let check = |names: &[&str]| {
            check_exports(
                &names
                    .iter()
                    .map(|name| (*name).to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        assert!(check(&["exporter:plugin/decoding@0.1.0", "init"]).is_ok());
        assert!(check(&["exporter:plugin/shaping@0.1.7"]).is_ok());
        assert!(
            check(&["exporter:plugin/decoding@0.2.0"])
                .unwrap_err()
                .to_string()
                .contains("built for exporter:plugin@0.2.0")
        );
        assert!(
            check(&["wasi:cli/run@0.2.3"])
                .unwrap_err()
                .to_string()
                .contains("it exports: wasi:cli/run@0.2.3")
        );
    }
}
