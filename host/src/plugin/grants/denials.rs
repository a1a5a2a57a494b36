//! What is said about the things that a plugin asked for and was not granted: every one is counted,
//! the first of each is logged.

use std::collections::HashSet;

use parking_lot::Mutex;

use crate::plugin::stats::PluginStats;

/// More different things than this are not told apart: a plugin may try every path there is.
const MAX_WARNED: usize = 64;
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
    warned: Mutex<HashSet<String>>,
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
            let mut warned = self.warned.lock();
            if warned.len() > MAX_WARNED {
                return;
            }
            warned
                .insert(format!("{} {short}", interface.as_str()))
                .then_some(warned.len())
        };
        let hint = allowing(interface, &short)
            .map(|line| format!("; {plugin}.plugin.yaml would allow it with `{line}`"))
            .unwrap_or_default();
        let interface = interface.as_str();
        match first {
            None => {}
            Some(count) if count > MAX_WARNED => tracing::warn!(
                plugin,
                "{MAX_WARNED} different things have been denied to the plugin: what follows is counted, but not logged"
            ),
            Some(_) => tracing::warn!(plugin, interface, "denied to the plugin: {short}{hint}"),
        }
    }
}

/// The line of a sidecar that would grant a thing, if one can. `thing` is as the checks of grants
/// say it: a protocol with an endpoint and perhaps the addresses behind it, a path and perhaps
/// where it leads, or a fact.
fn allowing(interface: Interface, thing: &str) -> Option<String> {
    let quoted = |text: &str| serde_json::to_string(text).ok();
    let (key, value) = match interface {
        Interface::Net => {
            let (protocol, endpoint) = thing.split_once(' ')?;
            if !["tcp", "udp"].contains(&protocol) {
                return None;
            }
            // A name that leads to what has to be granted by its number.
            let addresses = endpoint.split_once(" (");
            let first = addresses.and_then(|(_, list)| list.split([',', ')']).next());
            (protocol, first.unwrap_or(endpoint))
        }
        Interface::Files => {
            let (path, leads_to) = thing.split_once(": it leads to ").unwrap_or((thing, thing));
            if !path.starts_with('/') || leads_to.contains(": ") {
                return None;
            }
            ("read", leads_to)
        }
        Interface::Kernel => ("kernel", thing),
    };
    Some(format!("grants: {{{key}: [{}]}}", quoted(value)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sidecar;

    #[test]
    fn what_would_allow_a_thing_is_a_sidecar() {
        for (interface, thing, line) in [
            (
                Interface::Net,
                "tcp x.example:80",
                "grants: {tcp: [\"x.example:80\"]}",
            ),
            (
                Interface::Net,
                "udp x.example:80 (127.0.0.1:80, [::1]:80)",
                "grants: {udp: [\"127.0.0.1:80\"]}",
            ),
            (
                Interface::Net,
                "tcp [fe80::1]:80",
                "grants: {tcp: [\"[fe80::1]:80\"]}",
            ),
            (Interface::Files, "/a b", "grants: {read: [\"/a b\"]}"),
            (
                Interface::Files,
                "/a: it leads to /b",
                "grants: {read: [\"/b\"]}",
            ),
            (Interface::Kernel, "pci", "grants: {kernel: [\"pci\"]}"),
        ] {
            assert_eq!(allowing(interface, thing).as_deref(), Some(line), "{thing}");
            let read = sidecar::parse("x.wasm".as_ref(), line.as_bytes());
            assert!(read.is_ok(), "{line}: {read:?}");
        }
        let why = "files are for collectors: decoders and shapers have none";
        assert_eq!(allowing(Interface::Files, why), None);
    }
}
