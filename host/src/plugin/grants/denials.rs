//! What is said about the things that a plugin asked for and was not granted: every one is counted,
//! the first of each is logged.

use std::collections::HashSet;

use parking_lot::Mutex;

use crate::plugin::stats::PluginStats;

/// More different things than this are not told apart: a plugin may try every path there is.
const MAX_TOLD: usize = 64;
/// Longest name of a thing in the log, in characters.
const MAX_NAME: usize = 256;

/// Behind which import something was denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plugin) enum Interface {
    Files,
    Net,
    Kernel,
}

/// Of one version of a plugin.
#[derive(Debug, Default)]
pub(in crate::plugin) struct Denials {
    told: Mutex<HashSet<String>>,
}

impl Interface {
    /// The value of the `interface` label.
    pub(in crate::plugin) fn as_str(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Net => "net",
            Self::Kernel => "kernel",
        }
    }
}

impl Denials {
    /// `thing`: what was asked for, in the plugin's words or the host's.
    pub(in crate::plugin) fn note(
        &self,
        plugin: &str,
        stats: &PluginStats,
        interface: Interface,
        thing: &str,
    ) {
        stats.denied(interface);
        let short: String = thing.chars().take(MAX_NAME).collect();
        let first = {
            let mut told = self.told.lock();
            if told.len() > MAX_TOLD {
                return;
            }
            told.insert(format!("{} {short}", interface.as_str()))
                .then_some(told.len())
        };
        let interface = interface.as_str();
        match first {
            None => {}
            Some(count) if count > MAX_TOLD => tracing::warn!(
                plugin,
                "{MAX_TOLD} different things have been denied to the plugin: what follows is counted, but not logged"
            ),
            Some(_) => tracing::warn!(
                plugin,
                interface,
                "denied to the plugin: {}; what it may have is in its .plugin.yaml",
                short.escape_debug()
            ),
        }
    }
}
