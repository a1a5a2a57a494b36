//! BPF programs as the host's own metrics show them: what the loader says of them, and their run
//! counts, which the kernel tells whoever has a descriptor.

use super::units::{Program, UnitEntry, Units};
use crate::bpf::{Attached, ProgramStatus, program_counts};
use crate::telemetry::ProgramStats;
use std::os::fd::AsFd as _;

/// Of all units that are served.
pub(super) fn stats(units: &Units) -> Vec<ProgramStats> {
    let counted = kernel_counts();
    let mut stats = Vec::new();
    for unit in units.all() {
        of_unit(&unit, counted, &mut stats);
    }
    stats
}

fn of_unit(unit: &UnitEntry, counted: bool, stats: &mut Vec<ProgramStats>) {
    let (programs, descriptors) = {
        let life = unit.life.lock();
        let (Some((status, _)), Some(served)) = (&life.status, &life.served) else {
            return;
        };
        (
            status.programs.clone(),
            std::sync::Arc::clone(&served.programs),
        )
    };
    let one = |program: ProgramStatus| {
        let id = program.id?;
        let descriptor = descriptors.iter().find(|known| known.id == id);
        let run = descriptor.filter(|_| counted).and_then(counts);
        Some(ProgramStats {
            config: unit.name().to_string(),
            tag: program.tag.unwrap_or_default(),
            id,
            attached: program.attached == Attached::Yes,
            run_time_ns: run.map(|(time, _)| time),
            run_count: run.map(|(_, count)| count),
            program: program.name,
        })
    };
    stats.extend(programs.into_iter().filter_map(one));
}

fn counts(program: &Program) -> Option<(u64, u64)> {
    let counts = program_counts(program.descriptor.as_fd());
    counts
        .inspect_err(|error| tracing::debug!(program = program.name, %error, "no run counts"))
        .ok()
}

/// Whether the kernel counts what programs cost (`sysctl kernel.bpf_stats_enabled`).
fn kernel_counts() -> bool {
    std::fs::read("/proc/sys/kernel/bpf_stats_enabled")
        .is_ok_and(|text| text.first() == Some(&b'1'))
}
