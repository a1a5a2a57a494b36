//! Collectors: plugins that are asked for families, in scrapes, in the background and in probes.

mod background;
mod probe;
mod reload;
mod scrape;
pub(crate) mod server;
mod trouble;

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::harness::Setup;
use crate::harness::guest::component;

/// The plugin of these tests; see `collectors/lab.rs`.
pub(crate) fn lab() -> &'static PathBuf {
    static LAB: OnceLock<PathBuf> = OnceLock::new();
    LAB.get_or_init(|| component("lab", include_str!("collectors/lab.rs"), "lab", &[]))
}

/// A host with the lab and a unit `unit` of these collectors. `grants`: the lab's sidecar; empty
/// for none.
fn with_lab(collectors: &str, grants: &str) -> Setup {
    let setup = Setup::new()
        .file("lab.wasm", fs::read(lab()).unwrap())
        .file("unit.yaml", format!("collectors:\n{collectors}"));
    if grants.is_empty() {
        return setup;
    }
    setup.file("lab.plugin.yaml", grants)
}
