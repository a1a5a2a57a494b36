//! `cpustat`: time by CPU and mode, from /proc/stat; the series of the 2018 cpustat_exporter.
//!
//! procfs-core's KernelStats does not serve here: it forgets the CPUs' numbers, which have gaps
//! where a CPU is offline, and refuses the whole file for one bad line.

mod line;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use exporter_guest_sdk::{Collector, Error, Failure, Families, Host, Request, log};
use serde::Deserialize;

use line::Cpu;

const PATH: &str = "/proc/stat";
/// Ticks in a second: what the kernel tells user space is in hundredths on every architecture that
/// Rust's Linux targets have.
const USER_HZ: f64 = 100.0;

/// The collector.
#[derive(Debug)]
pub struct Cpustat {
    options: Options,
}

/// Options of [`Cpustat`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Options {
    modes: Modes,
    unit: Unit,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Modes {
    /// user, system, idle.
    #[default]
    Main,
    All,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unit {
    #[default]
    Ticks,
    Seconds,
}

impl Collector for Cpustat {
    const NAME: &'static str = "cpustat";
    const SUMMARY: &'static str = "time by CPU and mode, in ticks or seconds, from /proc/stat";
    const OPTIONS_SCHEMA: &'static str = r#"{"type":"object","properties":{"modes":{"enum":["main","all"]},"unit":{"enum":["ticks","seconds"]}}}"#;
    type Options = Options;

    fn open(options: Options) -> Result<Self, Error> {
        Ok(Self { options })
    }

    fn collect(
        &self,
        host: &impl Host,
        _: &Request,
        families: &mut Families,
    ) -> Result<(), Failure> {
        let text = host.read_to_string(PATH)?;
        let mut times = match self.options.unit {
            Unit::Ticks => families.counter(
                "cpustat_time_user_hertz_total",
                "Time in USER_HZ a given CPU spent in a given mode.",
            ),
            Unit::Seconds => families.counter(
                "cpustat_cpu_seconds_total",
                "Time in seconds a given CPU spent in a given mode.",
            ),
        };
        let mut seen = BTreeSet::new();
        let mut unreadable = 0_u64;
        for line in text.lines() {
            let Some(cpu) = Cpu::of_line(line) else {
                continue;
            };
            let ticks = match cpu.ticks() {
                Ok(_) if !seen.insert(cpu.name) => {
                    Err(format!("{} is there a second time", cpu.name))
                }
                ticks => ticks,
            };
            let ticks = match ticks {
                Ok(ticks) => ticks,
                Err(why) => {
                    unreadable += 1;
                    log::warn(&format!("{PATH}: a line is left out: {why}"));
                    continue;
                }
            };
            for (mode, ticks) in ticks {
                if self.options.modes == Modes::All || matches!(mode, "user" | "system" | "idle") {
                    let labels = [("cpu", cpu.name), ("mode", mode)];
                    match self.options.unit {
                        Unit::Ticks => times.sample(&labels, ticks),
                        Unit::Seconds => times.sample(&labels, ticks as f64 / USER_HZ),
                    };
                }
            }
        }
        families
            .gauge(
                "cpustat_unreadable_lines",
                "Lines of CPUs in /proc/stat that could not be read this time.",
            )
            .sample(&[], unreadable);
        Ok(())
    }
}

exporter_guest_sdk::export_plugin! { collectors: [Cpustat] }
