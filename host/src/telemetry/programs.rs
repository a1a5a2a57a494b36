//! BPF programs: who they are, whether they are attached, what they cost.

use std::sync::Arc;

use parking_lot::Mutex;

use super::registry::{Source, family, head};
use crate::exposition::{Family, Kind, Number, label_block};

/// One program as of now.
#[derive(Debug, Clone)]
pub(crate) struct ProgramStats {
    pub(crate) config: String,
    /// The BPF function's name.
    pub(crate) program: String,
    /// 16 hexadecimal digits.
    pub(crate) tag: String,
    pub(crate) id: u32,
    pub(crate) attached: bool,
    /// Known only while the kernel counts (`kernel.bpf_stats_enabled`).
    pub(crate) run_time_ns: Option<u64>,
    pub(crate) run_count: Option<u64>,
}

/// The programs as of the last scrape.
#[derive(Debug, Clone, Default)]
pub(super) struct Programs(pub(super) Arc<Mutex<Vec<ProgramStats>>>);

impl Source for Programs {
    fn families(&self) -> Vec<Family> {
        let mut programs = self.0.lock().clone();
        // A program that is not loaded has no id, and one of several units may have the object:
        // each id once.
        programs.retain(|program| program.id != 0);
        programs.sort_by_key(|program| program.id);
        programs.dedup_by_key(|program| program.id);

        let info = programs.iter().map(|program| {
            let labels = [
                ("config", program.config.as_str()),
                ("program", &program.program),
                ("tag", &program.tag),
                ("id", &program.id.to_string()),
            ];
            (label_block(&labels), Number::Unsigned(1))
        });
        let by_id = |name, help, kind, value: fn(&ProgramStats) -> Option<Number>| {
            let samples = programs.iter().filter_map(|program| {
                let value = value(program)?;
                Some((label_block(&[("id", &program.id.to_string())]), value))
            });
            family(head(name, help, kind), samples)
        };
        vec![
            family(
                head(
                    "ebpf_exporter_ebpf_program_info",
                    "Info about ebpf programs",
                    Kind::Gauge,
                ),
                info,
            ),
            by_id(
                "ebpf_exporter_ebpf_program_attached",
                "Whether a program is attached",
                Kind::Gauge,
                |program| Some(Number::Unsigned(program.attached.into())),
            ),
            // ebpf_exporter's name: a counter without `_total`.
            by_id(
                "ebpf_exporter_ebpf_program_run_time_seconds",
                "How long has the program been executing",
                Kind::Counter,
                |program| Some(Number::Float(program.run_time_ns? as f64 / 1e9)),
            ),
            by_id(
                "ebpf_exporter_ebpf_program_run_count_total",
                "How many times has the program been executed",
                Kind::Counter,
                |program| program.run_count.map(Number::Unsigned),
            ),
        ]
    }
}
