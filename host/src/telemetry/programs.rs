//! BPF programs: who they are, whether they are attached, what they cost.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// ebpf_exporter's counter without `_total`, which prometheus-client cannot print: renamed when the families are read back.
pub(super) const RUN_TIME: &str = "ebpf_exporter_ebpf_program_run_time_seconds";

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

impl Collector for Programs {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut programs = self.0.lock().clone();
        // A program that is not loaded has no id, and one of several units may have the object: each id once.
        programs.retain(|program| program.id != 0);
        programs.sort_by_key(|program| program.id);
        programs.dedup_by_key(|program| program.id);

        let mut info = encoder.encode_descriptor(
            "ebpf_exporter_ebpf_program_info",
            "Info about ebpf programs.",
            None,
            MetricType::Gauge,
        )?;
        for program in &programs {
            let id = program.id.to_string();
            let labels = [
                ("config", program.config.as_str()),
                ("program", &program.program),
                ("tag", &program.tag),
                ("id", &id),
            ];
            ConstGauge::new(1_i64).encode(info.encode_family(&labels)?)?;
        }
        each(
            &programs,
            encoder.encode_descriptor(
                "ebpf_exporter_ebpf_program_attached",
                "Whether a program is attached.",
                None,
                MetricType::Gauge,
            )?,
            |program, encoder| ConstGauge::new(i64::from(program.attached)).encode(encoder),
        )?;
        each(
            &programs,
            encoder.encode_descriptor(
                RUN_TIME,
                "How long has the program been executing.",
                None,
                MetricType::Counter,
            )?,
            |program, encoder| match program.run_time_ns {
                Some(time) => ConstCounter::new(time as f64 / 1e9).encode(encoder),
                None => Ok(()),
            },
        )?;
        each(
            &programs,
            encoder.encode_descriptor(
                "ebpf_exporter_ebpf_program_run_count",
                "How many times has the program been executed.",
                None,
                MetricType::Counter,
            )?,
            |program, encoder| match program.run_count {
                Some(count) => ConstCounter::new(count).encode(encoder),
                None => Ok(()),
            },
        )
    }
}

/// One series by `id` for each program.
fn each(
    programs: &[ProgramStats],
    mut family: MetricEncoder<'_>,
    encode: impl Fn(&ProgramStats, MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    for program in programs {
        let labels = [("id", program.id)];
        encode(program, family.encode_family(&labels)?)?;
    }
    Ok(())
}
