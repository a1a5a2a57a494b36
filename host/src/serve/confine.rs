//! Giving privilege away in the middle of a start: which files have to stay open, and trying whether the rest is closed.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::cli::settings::Settings;
use crate::config::sidecar;
use crate::kernel::cgroup2_mount;
use crate::privileges::{self, Access, Feature, Privileges};

/// Gives privilege away, for all threads to come.
pub(super) fn confine(settings: &Settings, access: &Access) -> anyhow::Result<Vec<Feature>> {
    match Privileges::current() {
        Ok(privileges) => tracing::info!("capabilities at start: {}", privileges.permitted),
        Err(error) => tracing::warn!(%error, "cannot read this process' capabilities"),
    }
    Ok(privileges::confine(&settings.hardening, access)?)
}

/// What the process has to open from now on, over all reloads to come. `of_units`: objects, and what probes are attached to.
pub(super) fn files_needed(settings: &Settings, of_units: impl Iterator<Item = PathBuf>) -> Access {
    let mut access = Access::default();
    for directory in std::iter::once(&settings.config.dir).chain(&settings.plugin_dirs) {
        if let Err(shared) = access.read_replaceable(directory) {
            tracing::info!("{shared}");
        }
        for pattern in granted(directory) {
            access.read_matching(&pattern);
        }
    }
    for file in of_units {
        access.read_file(&file);
    }
    if settings.pin_dir.exists() {
        access.write(&settings.pin_dir);
    }
    if let Some(btf) = &settings.btf_path {
        access.read(btf);
    }
    // Where it is not beneath /sys.
    if let Ok(Some(cgroups)) = cgroup2_mount() {
        access.read(cgroups);
    }
    for path in &settings.readable {
        if !path.exists() {
            tracing::warn!(path = %path.display(), "--hardening.read: there is no such file or directory, so it is not granted");
        }
        access.read(path);
    }
    if let Some(cache) = &settings.plugin_cache {
        access.write(cache);
    }
    access
}

/// What the sidecars of a directory let plugins read. One that is wrong grants nothing; whoever loads the plugin reports it.
fn granted(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "wasm")
        })
        .filter_map(|plugin| sidecar::load(&plugin).ok().flatten())
        .flat_map(|sidecar| sidecar.grants.read)
        .map(|pattern| pattern.to_string())
        .collect()
}

/// Looks at the hardening from the inside. Says all that was refused; an error if something was not.
pub(super) fn check() -> anyhow::Result<()> {
    let attempts = privileges::attempt_all().context("cannot check the hardening")?;
    let mut allowed = Vec::new();
    for attempt in &attempts {
        let what = attempt.what;
        match &attempt.refused {
            Some(error) if !attempt.allowed() => {
                tracing::info!(attempt = what, refused = true, "hardening check: {error}");
            }
            answer => {
                let answer = answer
                    .as_ref()
                    .map_or("done".to_owned(), ToString::to_string);
                tracing::error!(attempt = what, refused = false, "hardening check: {answer}");
                allowed.push(what);
            }
        }
    }
    if allowed.is_empty() {
        return Ok(());
    }
    bail!(
        "--hardening.check: this process could {}; see exporter_host_hardening and the log for what is off",
        allowed.join(", ")
    )
}
