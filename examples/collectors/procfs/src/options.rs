//! Options: as written, and as meant.

use exporter_guest_sdk::Error;
use regex::Regex;
use serde::Deserialize;

use crate::process::Matcher;

pub(crate) const SCHEMA: &str = r#"{"type":"object","properties":{"load":{"type":"boolean"},"memory":{"type":"boolean"},"cpu":{"type":"boolean"},"kernel":{"type":"boolean"},"disk":{"type":"boolean"},"disk_exclude":{"type":"string"},"network":{"type":"boolean"},"network_exclude":{"type":"string"},"pressure":{"type":"boolean"},"file_descriptors":{"type":"boolean"},"uptime":{"type":"boolean"},"vmstat":{"type":"boolean"},"vmstat_fields":{"type":"string"},"max_series":{"type":"integer","minimum":1},"processes":{"type":"array","items":{"type":"object","properties":{"comm":{"type":"string"},"cmdline":{"type":"string"},"name":{"type":"string"}},"additionalProperties":false}}}}"#;

// The defaults of Debian's prometheus-node-exporter 1.5.
const DISK_EXCLUDE: &str = r"^(ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$";
const NETWORK_EXCLUDE: &str = "^lo$";
/// Below the 20,000 that a plugin may have unless its sidecar says otherwise.
const MAX_SERIES: usize = 19_000;
const VMSTAT_FIELDS: &str = "^(oom_kill|pgpg|pswp|pg.*fault).*";

/// As written in the YAML. All parts but `processes` are there unless switched off.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct Options {
    load: bool,
    memory: bool,
    cpu: bool,
    kernel: bool,
    disk: bool,
    disk_exclude: String,
    network: bool,
    network_exclude: String,
    pressure: bool,
    file_descriptors: bool,
    uptime: bool,
    vmstat: bool,
    vmstat_fields: String,
    max_series: usize,
    processes: Vec<Group>,
}

/// Which processes, and how their group is called.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    comm: Option<String>,
    cmdline: Option<String>,
    /// With `$1` or `$name` for groups of the pattern.
    name: Option<String>,
}

/// As meant.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) on: Parts,
    pub(crate) disk_exclude: Regex,
    pub(crate) network_exclude: Regex,
    pub(crate) vmstat_fields: Regex,
    pub(crate) max_series: usize,
    pub(crate) groups: Vec<Matcher>,
}

/// The parts that are switched on.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) load: bool,
    pub(crate) memory: bool,
    pub(crate) cpu: bool,
    pub(crate) kernel: bool,
    pub(crate) disk: bool,
    pub(crate) network: bool,
    pub(crate) pressure: bool,
    pub(crate) file_descriptors: bool,
    pub(crate) uptime: bool,
    pub(crate) vmstat: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            load: true,
            memory: true,
            cpu: true,
            kernel: true,
            disk: true,
            disk_exclude: DISK_EXCLUDE.to_owned(),
            network: true,
            network_exclude: NETWORK_EXCLUDE.to_owned(),
            pressure: true,
            file_descriptors: true,
            uptime: true,
            vmstat: true,
            vmstat_fields: VMSTAT_FIELDS.to_owned(),
            max_series: MAX_SERIES,
            processes: Vec::new(),
        }
    }
}

impl Options {
    pub(crate) fn read(self) -> Result<Read, Error> {
        let groups = self.processes.into_iter().map(Group::read);
        Ok(Read {
            on: Parts {
                load: self.load,
                memory: self.memory,
                cpu: self.cpu,
                kernel: self.kernel,
                disk: self.disk,
                network: self.network,
                pressure: self.pressure,
                file_descriptors: self.file_descriptors,
                uptime: self.uptime,
                vmstat: self.vmstat,
            },
            disk_exclude: regex("disk_exclude", &self.disk_exclude)?,
            network_exclude: regex("network_exclude", &self.network_exclude)?,
            vmstat_fields: regex("vmstat_fields", &self.vmstat_fields)?,
            max_series: self.max_series,
            groups: groups.collect::<Result<_, _>>()?,
        })
    }
}

impl Group {
    fn read(self) -> Result<Matcher, Error> {
        let (pattern, on_command_line) = match (&self.comm, &self.cmdline) {
            (Some(comm), None) => (comm, false),
            (None, Some(cmdline)) => (cmdline, true),
            _ => {
                return Err(Error::new(
                    "each of `processes` has either `comm` or `cmdline`, a regular expression",
                ));
            }
        };
        Ok(Matcher {
            pattern: regex("processes", pattern)?,
            on_command_line,
            name: self.name,
        })
    }
}

fn regex(option: &str, pattern: &str) -> Result<Regex, Error> {
    Regex::new(pattern).map_err(|error| Error::new(format!("`{option}`: {error}")))
}
