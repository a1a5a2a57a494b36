//! Plugins that misbehave, each in its own way, written as WAT where the test is.

mod answers;
mod calls;
mod collectors;
pub(crate) mod component;
mod damage;
mod grants;
mod imports;
mod loading;
mod logs;
mod lookup;
mod net;
mod rebuilt;
mod sessions;
mod shaping;

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::registry::STANDARD;
use super::{Compile, CompileError, InProcess, Registry};
use crate::loader::plugins::PluginFiles;
use component::{ENGINE, FACTS};
pub(crate) use logs::logged;

/// The plugins of a directory.
fn files(directory: &Path) -> PluginFiles {
    PluginFiles::new(vec![directory.to_owned()], None)
}

/// What comes after `registry` with the files as they are now, and what cannot be used, in the
/// order of the paths.
fn next(registry: &Registry, files: &mut PluginFiles) -> (Registry, Vec<(PathBuf, String)>) {
    let scan = files.scan(&StandardOnce);
    assert!(scan.unreadable.is_empty());
    let (registry, failed) = registry.rebuilt(&ENGINE, &FACTS, scan.parts);
    let failed = failed.into_iter();
    let failed = failed.map(|(path, error)| (path, error.to_string()));
    let mut failed: Vec<_> = scan.failed.into_iter().chain(failed).collect();
    failed.sort();
    (registry, failed)
}

/// Compiles the standard plugin once for all tests.
struct StandardOnce;

impl Compile for StandardOnce {
    fn compile(&self, name: &str, bytes: &[u8]) -> Result<OwnedFd, CompileError> {
        static COMPILED: OnceLock<OwnedFd> = OnceLock::new();
        if bytes != STANDARD {
            return InProcess.compile(name, bytes);
        }
        let compiled = COMPILED.get_or_init(|| InProcess.compile(name, bytes).unwrap());
        Ok(compiled.as_fd().try_clone_to_owned().unwrap())
    }
}

pub(crate) use collectors::component as collector_component;

/// Waits for what collectors do.
pub(crate) fn run<T>(call: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(call)
}

/// Grants of endpoints as a sidecar writes them.
pub(crate) fn endpoints(patterns: &[&str]) -> Vec<crate::config::sidecar::EndpointPattern> {
    let parse = |text: &&str| crate::config::sidecar::EndpointPattern::parse(text).unwrap();
    patterns.iter().map(parse).collect()
}

/// Grants of paths as a sidecar writes them.
pub(crate) fn paths(patterns: &[&str]) -> Vec<crate::config::sidecar::PathPattern> {
    let parse = |text: &&str| crate::config::sidecar::PathPattern::parse(text).unwrap();
    patterns.iter().map(parse).collect()
}
