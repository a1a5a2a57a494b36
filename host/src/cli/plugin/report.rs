//! What `plugin list` and `plugin inspect` say of one plugin.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value as Json;

use super::Workbench;
use crate::plugin::{Inspection, LoadError, Location, Offered};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Names of what is offered.
    Brief,
    /// With options, imports and exports.
    Full,
}

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) name: String,
    /// None: inside the binary.
    file: Option<String>,
    /// Whether a host would use it.
    pub(super) ok: bool,
    #[serde(rename = "problem")]
    diagnostic: Option<String>,
    size: Option<usize>,
    sha256: Option<String>,
    /// The version of exporter:plugin that it was built for.
    interface: Option<String>,
    worlds: Vec<&'static str>,
    decoders: Vec<OfferedLine>,
    shapers: Vec<OfferedLine>,
    collectors: Vec<OfferedLine>,
    imports: Vec<Import>,
    exports: Vec<String>,
    /// What the sidecar grants.
    grants: Vec<String>,
    limits: Vec<String>,
}

#[derive(Debug, Serialize)]
struct OfferedLine {
    name: String,
    summary: String,
    /// A JSON schema; null: there are none.
    options: Json,
}

#[derive(Debug, Serialize)]
struct Import {
    name: String,
    /// What the plugin finds there.
    granted: String,
}

/// A world and the interface whose export makes a plugin one of it.
const WORLDS: [(&str, &str); 3] = [
    ("decoder", "exporter:plugin/decoding@"),
    ("shaper", "exporter:plugin/shaping@"),
    ("collector", "exporter:plugin/collecting@"),
];

// === impl Report ===

impl Report {
    pub(super) fn of(bench: &Workbench, location: Location<'_>) -> Self {
        let inspection = Inspection::of(&bench.engine, &bench.facts, &bench.compile(), location);
        let file = match location {
            Location::Standard => None,
            Location::File(path) => Some(path.display().to_string()),
        };
        let exports_any = |prefix: &str| {
            let mut exports = inspection.exports.iter();
            exports.any(|export| export.starts_with(prefix))
        };
        Self {
            file,
            ok: inspection.diagnostic.is_none(),
            diagnostic: inspection.diagnostic.as_ref().map(ToString::to_string),
            size: inspection.size,
            sha256: inspection.digest.map(|digest| digest.to_string()),
            interface: inspection.interface_version().map(ToOwned::to_owned),
            worlds: WORLDS
                .iter()
                .filter(|(_, prefix)| exports_any(prefix))
                .map(|(world, _)| *world)
                .collect(),
            decoders: offered_lines(&inspection.offers.decoders),
            shapers: offered_lines(&inspection.offers.shapers),
            collectors: offered_lines(&inspection.offers.collectors),
            imports: inspection
                .imports
                .iter()
                .map(|name| import(name, &inspection.granted))
                .collect(),
            exports: inspection.exports,
            grants: inspection.granted,
            limits: inspection.limits,
            name: inspection.name,
        }
    }

    /// Another file of that name comes first.
    pub(super) fn name_is_taken(&mut self) {
        self.ok = false;
        let taken = LoadError::NameTaken(self.name.clone());
        self.diagnostic.get_or_insert_with(|| taken.to_string());
    }

    pub(super) fn write_text(&self, out: &mut impl Write, detail: Detail) -> io::Result<()> {
        match &self.file {
            Some(file) => writeln!(out, "{} ({file})", self.name)?,
            None => writeln!(out, "{} (built in)", self.name)?,
        }
        let mut line = |what: &str, text: &str| writeln!(out, "  {what:<10} {text}");
        if let Some(diagnostic) = &self.diagnostic {
            line("problem", diagnostic)?;
        }
        if !self.worlds.is_empty() {
            line("worlds", &self.worlds.join(", "))?;
        }
        if let Some(size) = self.size {
            line("size", &format!("{size} bytes"))?;
        }
        if let Some(sha256) = &self.sha256 {
            line("sha256", sha256)?;
        }
        if let Some(version) = &self.interface {
            line("interface", &format!("exporter:plugin@{version}"))?;
        }
        for (kind, kinds, offered) in [
            ("decoder", "decoders", &self.decoders),
            ("shaper", "shapers", &self.shapers),
            ("collector", "collectors", &self.collectors),
        ] {
            match detail {
                Detail::Brief if !offered.is_empty() => {
                    let names: Vec<&str> = offered.iter().map(|one| one.name.as_str()).collect();
                    line(kinds, &names.join(", "))?;
                }
                Detail::Brief => {}
                Detail::Full => {
                    for one in offered {
                        line(kind, &one.line())?;
                        if !one.options.is_null() {
                            line("", &format!("options: {}", one.options))?;
                        }
                    }
                }
            }
        }
        if detail == Detail::Full {
            for import in &self.imports {
                line("imports", &format!("{} ({})", import.name, import.granted))?;
            }
            for export in &self.exports {
                line("exports", export)?;
            }
            for grant in &self.grants {
                line("granted", grant)?;
            }
            if self.grants.is_empty() {
                line("granted", "nothing")?;
            }
            line("limits", &self.limits.join(", "))?;
        }
        Ok(())
    }
}

impl OfferedLine {
    fn line(&self) -> String {
        if self.summary.is_empty() {
            self.name.clone()
        } else {
            format!("{}: {}", self.name, self.summary)
        }
    }
}

fn offered_lines(offered: &[Offered]) -> Vec<OfferedLine> {
    let line = |one: &Offered| OfferedLine {
        name: one.name.clone(),
        summary: one.summary.clone(),
        // What is no JSON is shown as it is.
        options: match one.options_schema.trim() {
            "" => Json::Null,
            schema => serde_json::from_str(schema).unwrap_or_else(|_| schema.into()),
        },
    };
    offered.iter().map(line).collect()
}

/// What a plugin finds behind an import, with these grants (`read: /proc/stat`, one each).
fn import(name: &str, grants: &[String]) -> Import {
    let interface = name.split('@').next().unwrap_or(name);
    let of = |kinds: &[&str]| {
        let granted: Vec<&str> = grants
            .iter()
            .filter(|grant| {
                let kind = grant.split(':').next();
                kind.is_some_and(|kind| kinds.contains(&kind))
            })
            .map(String::as_str)
            .collect();
        if granted.is_empty() {
            "nothing of it is granted".to_owned()
        } else {
            format!("granted {}", granted.join(", "))
        }
    };
    let granted = match interface {
        "exporter:plugin/types" => "types alone".to_owned(),
        "exporter:plugin/log" => "every plugin has it".to_owned(),
        "exporter:plugin/files" => of(&["read", "file_systems"]),
        "exporter:plugin/net" => of(&["tcp", "udp", "dns"]),
        "exporter:plugin/kernel" => of(&["kernel"]),
        "wasi:cli/environment" => of(&["env"]),
        "wasi:clocks/wall-clock" | "wasi:clocks/monotonic-clock" => of(&["clock"]),
        _ if interface.starts_with("wasi:") => "inert: nothing is in it".to_owned(),
        _ => "not offered by this host".to_owned(),
    };
    Import {
        name: name.to_owned(),
        granted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_show_what_of_them_is_granted() {
        let grants = ["read: /proc/stat", "tcp: lan:80", "clock"].map(ToOwned::to_owned);
        let granted = |name: &str| import(name, &grants).granted;
        assert_eq!(
            granted("exporter:plugin/files@0.1.0"),
            "granted read: /proc/stat"
        );
        assert_eq!(granted("exporter:plugin/net@0.1.0"), "granted tcp: lan:80");
        assert_eq!(granted("wasi:clocks/wall-clock@0.2.6"), "granted clock");
        assert_eq!(
            granted("exporter:plugin/kernel@0.1.0"),
            "nothing of it is granted"
        );
        assert_eq!(granted("exporter:plugin/log@0.1.0"), "every plugin has it");
        assert_eq!(granted("wasi:io/poll@0.2.6"), "inert: nothing is in it");
        assert_eq!(granted("other:thing/it"), "not offered by this host");
    }
}
