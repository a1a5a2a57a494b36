//! `procfs`: what /proc says of the machine, with node_exporter's names, types and help texts; and
//! groups of processes, with process-exporter's. One file for each part; this one only puts them
//! together.
//!
//! Parsing is procfs-core's where that loses nothing: not for /proc/stat (it forgets the CPUs'
//! numbers), /proc/meminfo (only fields it knows) and /proc/loadavg (it rounds to 32 bits).

mod cpu;
mod devices;
mod disk;
#[cfg(test)]
mod grants;
mod memory;
mod network;
mod options;
mod process;
mod single;
#[cfg(test)]
mod tests;
mod vmstat;

use std::collections::BTreeMap;
use std::fmt::Display;

use exporter_guest_sdk::{Collector, Error, Failure, Families, Host, Request, log};

pub use options::Options;

/// The collector.
#[derive(Debug)]
pub struct Procfs {
    options: options::Read,
}

impl Collector for Procfs {
    const NAME: &'static str = "procfs";
    const SUMMARY: &'static str =
        "load, memory, CPUs, disks, network, pressure, groups of processes, from /proc";
    const OPTIONS_SCHEMA: &'static str = options::SCHEMA;
    type Options = Options;

    fn open(options: Options) -> Result<Self, Error> {
        Ok(Self {
            options: options.read()?,
        })
    }

    fn collect(
        &self,
        host: &impl Host,
        _: &Request,
        families: &mut Families,
    ) -> Result<(), Failure> {
        let options = &self.options;
        let on = &options.on;
        // Each with the name of node_exporter's collector of the same series.
        let mut parts = Parts::default();
        if on.load {
            parts.done("loadavg", single::load(host, families));
        }
        if on.memory {
            parts.done("meminfo", memory::collect(host, families));
        }
        if on.cpu || on.kernel {
            let done = cpu::collect(host, on.cpu, on.kernel, families);
            if on.cpu {
                parts.done("cpu", done.clone());
            }
            if on.kernel {
                parts.done("stat", done);
            }
        }
        if on.pressure {
            parts.done("pressure", single::pressure(host, families));
        }
        if on.file_descriptors {
            parts.done("filefd", single::file_descriptors(host, families));
        }
        if on.uptime {
            parts.done("uptime", single::uptime(host, families));
        }
        if on.vmstat {
            let done = vmstat::collect(host, &options.vmstat_fields, families);
            parts.done("vmstat", done);
        }
        if !options.groups.is_empty() {
            let done = process::collect(host, &options.groups, families);
            parts.done("processes", done);
        }
        devices::collect(host, options, &mut parts, families);
        parts.finish(families)
    }
}

/// How the parts went. One that fails leaves the others alone.
#[derive(Default)]
struct Parts {
    done: Vec<(&'static str, bool)>,
    failure: Option<Failure>,
}

impl Parts {
    fn done(&mut self, part: &'static str, result: Result<(), Failure>) {
        self.done.push((part, result.is_ok()));
        if let Err(failure) = result {
            log::warn(&format!("{part}: {failure}"));
            self.failure.get_or_insert(failure);
        }
    }

    /// Nothing at all is no answer.
    fn finish(self, families: &mut Families) -> Result<(), Failure> {
        if let Some(failure) = self.failure
            && self.done.iter().all(|(_, success)| !success)
        {
            return Err(failure);
        }
        let mut success = families.gauge(
            "node_scrape_collector_success",
            "node_exporter: Whether a collector succeeded.",
        );
        for (part, done) in self.done {
            success.sample(&[("collector", part)], done);
        }
        Ok(())
    }
}

/// A line that could not be read is left out, and nothing else. What counts in it would make a new
/// message of each scrape's.
fn left_out(path: &str, line: &str, why: impl Display) {
    let start: String = line.chars().take(80).collect();
    log::warn(&format!("{path}: a line is left out, {why}: {start}"));
}

/// Of several lines about the same thing the first one counts.
fn first<T>(all: &mut BTreeMap<String, T>, path: &str, name: &str, value: T) {
    if all.contains_key(name) {
        log::warn(&format!(
            "{path}: a line is left out, `{name}` is there twice"
        ));
        return;
    }
    all.insert(name.to_owned(), value);
}

exporter_guest_sdk::export_plugin! { collectors: [Procfs] }
