//! From what a config wants to collectors that can be called.

use std::sync::Arc;

use super::collector::Collector;
use super::index::Index;
use crate::config::Diagnostic;
use crate::link::ServedConfig;
use crate::plugin::{Collector as Guest, Registry};

/// Opens everything, or reports everything that cannot be opened. `known`: those of the unit's
/// version before. Runs plugin code.
pub(super) fn open(
    index: &Index,
    config: &ServedConfig,
    registry: &Registry,
    known: &[Arc<Collector>],
) -> Result<Vec<Arc<Collector>>, Vec<Diagnostic>> {
    let unit: Arc<str> = config.name.as_str().into();
    let mut diagnostics = Vec::new();
    let mut list = Vec::with_capacity(config.collectors.len());
    for wanted in &config.collectors {
        let mut diagnostic = |message: String| {
            diagnostics.push(Diagnostic::error(wanted.plugin.at.clone(), message));
        };
        if let Some(path) = &wanted.probe_path
            && let Some(why) = index.reserved(path)
        {
            diagnostic(format!("`probe_path` `{path}` {why}: choose another"));
            continue;
        }
        let found = registry.find_collector(&wanted.plugin.name, &wanted.name);
        let (plugin, bare) = match found {
            Ok(found) => found,
            Err(error) => {
                diagnostic(error.to_string());
                continue;
            }
        };
        let same = known
            .iter()
            .find(|known| known.config() == wanted && Arc::ptr_eq(known.plugin(), plugin));
        if let Some(same) = same {
            list.push(Arc::clone(same));
            continue;
        }
        match Guest::open(plugin, &bare, &wanted.plugin.options.to_string()) {
            Ok(guest) => {
                let collector = Collector::new(&unit, wanted, guest, index.common());
                list.push(Arc::new(collector));
            }
            Err(error) => diagnostic(format!("collector `{}`: {error}", wanted.name)),
        }
    }
    if diagnostics.is_empty() {
        Ok(list)
    } else {
        Err(diagnostics)
    }
}

/// What only the plugins can tell about a config that cannot be used for other reasons. Runs no
/// plugin code.
pub(in crate::server) fn check(config: &ServedConfig, registry: &Registry) -> Vec<Diagnostic> {
    let lost = config.collectors.iter().filter_map(|wanted| {
        let found = registry.find_collector(&wanted.plugin.name, &wanted.name);
        let message = found.err()?.to_string();
        Some(Diagnostic::error(wanted.plugin.at.clone(), message))
    });
    lost.collect()
}
