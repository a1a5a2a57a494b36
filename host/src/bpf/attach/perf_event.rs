//! `SEC("perf_event/type=T,config=C,frequency=F")`: the program runs whenever the event overflows,
//! on every CPU.
//!
//! T and C as in perf_event_open(2), in decimal; F is the wanted number of runs a second and CPU.
//! `sample_period=N` instead of a frequency: every N events.

use std::os::fd::AsRawFd as _;
use std::os::fd::IntoRawFd as _;

use libbpf_rs::Link;
use libbpf_rs::ProgramMut;

use crate::bpf::cpus;
use crate::bpf::errno;
use crate::bpf::perf;
use crate::bpf::perf::Sampling;

/// What the section says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bpf) struct PerfEvents {
    kind: u32,
    config: u64,
    sampling: Sampling,
}

impl PerfEvents {
    /// `items`: what follows `perf_event/`.
    pub(super) fn parse(items: &str) -> Result<Self, String> {
        let mut events = Self {
            kind: 0,
            config: 0,
            sampling: Sampling::Never,
        };
        for item in items.split(',') {
            let (key, text) = item
                .split_once('=')
                .ok_or_else(|| format!("expected `name=number`, found `{item}`"))?;
            let number = || {
                text.parse::<u64>()
                    .map_err(|_| format!("`{key}` must be a decimal number, found `{text}`"))
            };
            match key {
                "type" => {
                    events.kind = u32::try_from(number()?)
                        .map_err(|_| format!("`type` must fit 32 bits, found `{text}`"))?
                }
                "config" => events.config = number()?,
                "frequency" => {
                    events.sampling = sampling(events.sampling, number()?, Sampling::Frequency)?
                }
                "sample_period" => {
                    events.sampling = sampling(events.sampling, number()?, Sampling::Period)?
                }
                _ => {
                    return Err(format!(
                        "unknown `{key}`: expected `type`, `config`, `frequency` or `sample_period`"
                    ));
                }
            }
        }
        Ok(events)
    }

    /// Each CPU that is online has an event and a link of its own.
    pub(super) fn cpus(&self) -> Result<Vec<u32>, String> {
        cpus::online().map_err(|error| error.to_string())
    }

    /// To be called once, before the first event is opened.
    pub(super) fn warn(&self, program: &ProgramMut<'_>) {
        if self.sampling == Sampling::Never {
            tracing::warn!(program = %program.name().display(), "a perf event without `frequency` or `sample_period` never overflows: the program will not run");
        }
    }

    pub(super) fn attach_at(&self, program: &ProgramMut<'_>, cpu: u32) -> Result<Link, String> {
        let Self {
            kind,
            config,
            sampling,
        } = *self;
        let event = perf::open_event(kind, config, sampling, cpu).map_err(|error| {
            format!(
                "{error}: cannot open perf event type {kind} config {config} on CPU {cpu}{}",
                hint(error.raw_os_error())
            )
        })?;
        let link = super::by_libbpf("perf_event", || {
            program.attach_perf_event(event.as_raw_fd())
        })
        .map_err(|why| format!("CPU {cpu}: {why}"))?;
        // The link closes it when it is destroyed.
        let _ = event.into_raw_fd();
        Ok(link)
    }
}

fn sampling(before: Sampling, number: u64, new: fn(u64) -> Sampling) -> Result<Sampling, String> {
    match (before, number) {
        (_, 0) => Ok(before),
        (Sampling::Never, number) => Ok(new(number)),
        _ => Err("give either `frequency` or `sample_period`, once".to_owned()),
    }
}

fn hint(errno: Option<i32>) -> String {
    let hint = match errno {
        Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV) => {
            ": this machine does not have it (virtual machines often have no hardware counters)"
        }
        Some(libc::EPERM | libc::EACCES) => return format!(": {}", errno::perf_event_denied()),
        Some(libc::EINVAL) => {
            ": no such event, or a frequency above kernel.perf_event_max_sample_rate"
        }
        _ => "",
    };
    hint.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items() {
        let events = PerfEvents::parse("type=1,config=0,frequency=99").unwrap();
        assert_eq!(
            events,
            PerfEvents {
                kind: 1,
                config: 0,
                sampling: Sampling::Frequency(99)
            }
        );
        let events = PerfEvents::parse("config=3,type=0,sample_period=100000").unwrap();
        assert_eq!(
            events,
            PerfEvents {
                kind: 0,
                config: 3,
                sampling: Sampling::Period(100_000)
            }
        );
        assert_eq!(
            PerfEvents::parse("type=0,config=1").unwrap().sampling,
            Sampling::Never
        );
        for (bad, expected) in [
            ("type=0x1", "decimal"),
            ("type=4294967296", "32 bits"),
            ("pid=1", "unknown `pid`"),
            ("type", "expected `name=number`"),
            ("", "expected `name=number`"),
            ("frequency=1,sample_period=1", "either"),
        ] {
            let why = PerfEvents::parse(bad).unwrap_err();
            assert!(why.contains(expected), "{bad}: {why}");
        }
    }
}
