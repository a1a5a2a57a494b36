//! The bounds of a plugin's calls.

use std::time::Duration;

use crate::config::sidecar;

/// Bounds of one plugin's instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes of linear memory per instance.
    pub(in crate::plugin) memory: usize,
    /// CPU time of one call. For a collector's see `of_collectors`.
    pub(in crate::plugin) cpu: Duration,
    pub(in crate::plugin) collector_cpu: Duration,
    /// Bytes of one answer.
    pub(in crate::plugin) output: usize,
    /// Series of one collector's answer.
    pub(in crate::plugin) series: usize,
    /// Calls at once. None: no bound for decoders and shapers, which the host calls from few
    /// threads anyway, and the usual one for collectors.
    pub(in crate::plugin) instances: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            cpu: Duration::from_millis(250),
            collector_cpu: Duration::from_secs(2),
            output: 8 << 20,
            series: 20_000,
            instances: None,
        }
    }
}

impl Limits {
    pub(super) fn of(written: &sidecar::Limits) -> Self {
        let usual = Self::default();
        Self {
            memory: written.memory.unwrap_or(usual.memory),
            cpu: written.cpu.unwrap_or(usual.cpu),
            collector_cpu: written.cpu.unwrap_or(usual.collector_cpu),
            output: written.output.unwrap_or(usual.output),
            series: written.series.unwrap_or(usual.series),
            instances: written.instances,
        }
    }

    /// The same with a collector's CPU time for `cpu`.
    pub(in crate::plugin) fn of_collectors(self) -> Self {
        Self {
            cpu: self.collector_cpu,
            ..self
        }
    }

    /// Most bytes that a plugin can be handed at once: they have to fit into its memory beside what
    /// it does with them.
    pub(in crate::plugin) fn input(&self) -> usize {
        self.memory / 4
    }

    /// What they are, a line each, for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("memory: {}", size(self.memory)),
            if self.cpu == self.collector_cpu {
                format!("cpu: {:?}", self.cpu)
            } else {
                format!("cpu: {:?}, collectors {:?}", self.cpu, self.collector_cpu)
            },
            format!("output: {}", size(self.output)),
            format!("series: {}", self.series),
        ];
        lines.extend(self.instances.map(|count| format!("instances: {count}")));
        lines
    }
}

fn size(bytes: usize) -> String {
    if bytes.is_multiple_of(1 << 20) {
        format!("{} MiB", bytes >> 20)
    } else {
        format!("{bytes} bytes")
    }
}
