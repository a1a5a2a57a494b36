//! What a file is that is no plugin of ours: told before the compiler's and the linker's own words
//! would.

use semver::{Version, VersionReq};
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use super::error::LoadError;
use super::interface::INTERFACE_VERSION;

const PACKAGE: &str = "exporter:plugin/";
const EXPORTS: [&str; 3] = ["decoding", "shaping", "collecting"];
/// Imports that only components with collectors have.
const COLLECTORS_ONLY: [&str; 2] = ["files", "net"];
/// As far as imports of a core module are looked for.
const HEAD: usize = 1 << 20;

/// The interfaces that a component exports, by their full names.
#[derive(Debug)]
pub(super) struct Interfaces(Vec<String>);

impl Interfaces {
    /// An error: they make no plugin, or what it imports does not go with them.
    pub(super) fn of(component: &Component, engine: &wasmtime::Engine) -> Result<Self, LoadError> {
        let kind = component.component_type();
        let exports = kind.exports(engine);
        let exports = exports
            .filter(|(_, export)| matches!(export.ty, ComponentItem::ComponentInstance(_)))
            .map(|(name, _)| name.to_owned());
        let exports = Self(exports.collect());
        exports.check()?;
        let imports = kind.imports(engine);
        exports.check_imports(imports.map(|(name, _)| name))?;
        Ok(exports)
    }

    pub(super) fn has(&self, interface: &str) -> bool {
        self.full_name(interface).is_some()
    }

    /// With package and version.
    pub(super) fn full_name(&self, interface: &str) -> Option<&str> {
        let of_ours = |name: &&String| interface_of(name).is_some_and(|(own, _)| own == interface);
        self.0.iter().find(of_ours).map(String::as_str)
    }

    fn check(&self) -> Result<(), LoadError> {
        check_versions(self.0.iter().map(String::as_str))?;
        if EXPORTS.iter().any(|interface| self.has(interface)) {
            return Ok(());
        }
        Err(LoadError::NoWorld {
            found: if self.0.is_empty() {
                "nothing".into()
            } else {
                self.0.join(", ")
            },
        })
    }

    fn check_imports<'a>(&self, imports: impl Iterator<Item = &'a str>) -> Result<(), LoadError> {
        let imports: Vec<&str> = imports.collect();
        check_versions(imports.iter().copied())?;
        let collectors_only = |name: &&&str| {
            interface_of(name).is_some_and(|(own, _)| COLLECTORS_ONLY.contains(&own))
        };
        match imports.iter().find(collectors_only) {
            Some(import) if !self.has("collecting") => Err(LoadError::CollectorsOnly {
                import: (*import).to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

/// Name and version of an interface of our package.
fn interface_of(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(PACKAGE)?.split_once('@')
}

fn check_versions<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), LoadError> {
    match names
        .filter_map(interface_of)
        .find(|(_, version)| !is_understood(version))
    {
        Some((_, version)) => Err(LoadError::OtherVersion {
            found: version.to_owned(),
        }),
        None => Ok(()),
    }
}

/// Tells what a file is that is no component, before the compiler's own words would.
pub(super) fn check_header(bytes: &[u8]) -> Result<(), LoadError> {
    if wasmtime::Engine::detect_precompiled(bytes).is_some() {
        return Err(LoadError::Precompiled);
    }
    match bytes.get(..8) {
        Some(b"\0asm\x0d\0\x01\0") => Ok(()),
        Some(b"\0asm\x01\0\0\0") => Err(core_module(bytes)),
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

/// Compilers write the names of a module's imports near its start.
fn core_module(bytes: &[u8]) -> LoadError {
    const PREVIEW1: &[u8] = b"wasi_snapshot_preview1";
    let head = bytes.get(..HEAD).unwrap_or(bytes);
    if head
        .windows(PREVIEW1.len())
        .any(|window| window == PREVIEW1)
    {
        LoadError::Preview1
    } else {
        LoadError::CoreModule
    }
}

/// Versions that are compatible by the rules of semantic versioning: the same minor while the major
/// is 0.
fn is_understood(version: &str) -> bool {
    let known = VersionReq::parse(INTERFACE_VERSION);
    let found = Version::parse(version);
    matches!((known, found), (Ok(known), Ok(found)) if known.matches(&found))
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
            Interfaces(names.iter().map(|name| (*name).to_owned()).collect()).check()
        };
        assert!(check(&["exporter:plugin/decoding@0.1.0", "init"]).is_ok());
        assert!(check(&["exporter:plugin/shaping@0.1.7"]).is_ok());
        assert!(check(&["exporter:plugin/collecting@0.1.0"]).is_ok());
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
