//! The `/maps` page: every entry of every metric's map, raw key, labels and value.

use std::fmt::Write;

use super::Units;
use crate::rows::Metric;

/// Rows shown per map: a page for a person, not a way to export.
const MAX_ROWS: usize = 10_000;

impl Units {
    /// Plain text. Labels are those of the last scrape; a key that none has seen yet shows without.
    pub(in crate::server) fn dump_maps(&self) -> String {
        let mut page = String::new();
        self.for_each_served(|name, unit| {
            let _ = writeln!(page, "# {name}\n");
            for group in &mut unit.groups {
                let mut rows = 0_usize;
                let mut lines = String::new();
                let metrics: Vec<_> = group.metrics.iter_mut().map(Metric::descriptions).collect();
                let walked = group.source.walk(|batch| {
                    for (key, value) in batch.rows().take(MAX_ROWS.saturating_sub(rows)) {
                        let labels: Vec<String> =
                            metrics.iter().filter_map(|metric| metric.of(key)).collect();
                        let number = |bytes: &[u8]| bytes.try_into().map(u64::from_ne_bytes);
                        let values: Vec<String> = batch
                            .per_cpu(value)
                            .map(|cpu| number(cpu).map_or("?".into(), |number| number.to_string()))
                            .collect();
                        let _ = writeln!(
                            lines,
                            "{key:?} ({}) -> {}",
                            labels.join("; "),
                            values.join(" ")
                        );
                    }
                    rows += batch.rows().count();
                });
                let _ = writeln!(
                    page,
                    "## {} ({rows} entries)\n\n```\n{lines}```",
                    group.key.map()
                );
                if rows > MAX_ROWS {
                    let _ = writeln!(page, "(the first {MAX_ROWS} are shown)");
                }
                if let Err(error) = walked {
                    let _ = writeln!(page, "(reading ended early: {error})");
                }
                page.push('\n');
            }
        });
        page
    }
}
