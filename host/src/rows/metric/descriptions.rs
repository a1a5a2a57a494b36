//! What the keys of a metric mean, for people.

use super::Metric;
use crate::rows::key::KeyBinding;
use crate::rows::series::AccumulatorId;

/// See `Metric::descriptions`.
pub(crate) struct Descriptions<'a> {
    pub(super) metric: &'a Metric,
    pub(super) owners: Vec<(AccumulatorId, u32)>,
}

impl Descriptions<'_> {
    /// The series that a key of the map adds to. Keys split by CPU are shown by their first CPU.
    pub(crate) fn of(&self, key: &[u8]) -> Option<String> {
        let layout = self.metric.pipeline.layout();
        let mut row_key = key.get(..layout.row_key_size.min(key.len()))?.to_vec();
        if layout.split_cpus {
            row_key.extend(layout.cpu_number(0).to_ne_bytes());
        }
        row_key.resize(layout.row_key_size, 0);
        let label = |accumulator| self.metric.series.labels(&self.owners, accumulator);
        let entry = self.metric.table.peek(&row_key)?;
        Some(match &entry.key_binding {
            KeyBinding::Dropped => "dropped".into(),
            KeyBinding::Failed(failure) => format!("not decodable by {}", failure.by),
            KeyBinding::One { accumulator, .. } => label(*accumulator)?.to_owned(),
            KeyBinding::Many(many) if many.contributions.is_empty() => "dropped".into(),
            KeyBinding::Many(many) => {
                let labels = many
                    .contributions
                    .iter()
                    .filter_map(|counted| label(counted.contribution.accumulator));
                labels.collect::<Vec<_>>().join("; ")
            }
        })
    }
}
