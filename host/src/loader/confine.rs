//! Giving privilege away in the middle of a start: which files have to stay open for whom, and
//! trying whether the rest is closed.

use std::path::PathBuf;

use anyhow::{Context, bail};

use super::plugins::plugin_files;
use crate::bpf::Pins;
use crate::cli::settings::Settings;
use crate::config::sidecar::{self, PathPattern};
use crate::privileges::{self, Access, Feature, Privileges, Process, ServerPaths};

/// Gives the loader's privilege away, for all threads to come.
pub(super) fn confine(settings: &Settings, pins: Option<&Pins>) -> anyhow::Result<Vec<Feature>> {
    match Privileges::current() {
        Ok(privileges) => tracing::debug!("capabilities at start: {}", privileges.permitted),
        Err(error) => tracing::warn!(%error, "cannot read this process' capabilities"),
    }
    let mut access = Access::default();
    // By its handle: the user may not search what is above it.
    if let Some(pins) = pins.and_then(Pins::path_of_handle) {
        access.write_if_needed(pins);
    }
    if let Some(cache) = &settings.plugin_cache {
        access.write(cache);
    }
    let features = if settings.split {
        privileges::confine_loader(&settings.hardening, &access)
    } else {
        privileges::confine_whole(&settings.hardening, &access)
    };
    Ok(features?)
}

/// What a server may open: what sidecars grant, a pattern as far as it is literal, and what the
/// operator names (`--hardening.read`).
pub(super) fn server_paths(granted: &[PathPattern], readable: &[PathBuf]) -> ServerPaths {
    let patterns: Vec<String> = granted.iter().map(ToString::to_string).collect();
    let mut paths = ServerPaths::of_patterns(patterns.iter().map(String::as_str));
    paths.read.extend(readable.iter().cloned());
    paths
}

/// What the sidecars of the directories let plugins read. One that is wrong grants nothing; whoever
/// loads the plugin reports it.
pub(super) fn granted(directories: &[PathBuf]) -> Vec<PathPattern> {
    let plugins = directories
        .iter()
        .flat_map(|directory| plugin_files(directory).unwrap_or_default());
    plugins
        .filter_map(|plugin| sidecar::load(&plugin).ok().flatten())
        .flat_map(|sidecar| sidecar.grants.read)
        .collect()
}

/// Looks at the hardening of this process, the loader or the one that does everything, from the
/// inside. `of_the_server`: what the server found to be allowed. Says all that was refused; an
/// error if something was not.
pub(super) fn check(process: Process, of_the_server: &[String]) -> anyhow::Result<()> {
    let attempts = privileges::attempt_all(process).context("cannot check the hardening")?;
    let mut allowed = of_the_server.to_vec();
    for attempt in &attempts {
        let (what, answer) = (&attempt.what, &attempt.answer);
        if attempt.allowed {
            tracing::error!(attempt = what, refused = false, "hardening check: {answer}");
            allowed.push(format!("{what} (the loader)"));
        } else {
            tracing::info!(attempt = what, refused = true, "hardening check: {answer}");
        }
    }
    if allowed.is_empty() {
        return Ok(());
    }
    bail!(
        "--hardening.check: this host could {}; see exporter_host_hardening and the log for what is off",
        allowed.join(", ")
    )
}
