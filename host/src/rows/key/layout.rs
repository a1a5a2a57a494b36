//! How the bytes of a key divide into label fields.

use std::ops::Range;

use crate::config::MetricSource;
use crate::plugin::NumberSource;

/// What is known of the keys before any label is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyShape {
    /// Bytes of a key.
    pub(crate) key_size: usize,
    /// The map has one value per CPU.
    pub(crate) per_cpu: bool,
}

/// A label's field that lies behind the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackedField {
    /// The label's.
    pub(crate) name: String,
    /// Bytes of the field.
    pub(crate) size: usize,
    /// Bytes after the field that belong to no label.
    pub(crate) padding: usize,
}

/// A label's field that a type says the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MemberField {
    /// These bytes of the key.
    Key(Range<usize>),
    /// The CPU's number, which is no part of the key.
    Cpu,
}

/// The fields of a metric's keys.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Layout {
    /// The bytes of each label, in the order of the labels. The CPU's number, where it is a label,
    /// lies behind the key: see `split_cpus`.
    pub(crate) fields: Vec<Range<usize>>,
    /// Bytes of a key of the key table.
    pub(crate) row_key_size: usize,
    /// One row per CPU instead of their sum: the CPU's number is appended to the key as a u16 in
    /// the machine's byte order.
    pub(crate) split_cpus: bool,
    /// The numbers of the CPUs by their index among a value's. Empty: they are the same.
    pub(crate) cpu_numbers: Vec<u16>,
    /// Bytes of a value, on one CPU.
    pub(crate) value_size: usize,
    /// Which number of the value is the metric's. None: the shaper says, or it is a u64 that is all
    /// of it.
    pub(crate) number: Option<NumberSource>,
    /// The first four bytes of a key must be zero: the key of a single-entry array says nothing.
    pub(crate) zero_key: bool,
}

/// Labels that don't add up to the key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LayoutError {
    #[error(
        "the labels take {labels} bytes ({sum}), the map's key has {key} bytes: make the sizes and paddings add up to the key's size"
    )]
    Size {
        labels: usize,
        key: usize,
        sum: String,
    },
    #[error(
        "a metric without labels needs a map with a 4-byte key (an array with one entry), this map's key has {0} bytes: add labels that cover the key"
    )]
    NoLabels(usize),
    #[error("the label `cpu` of a per-CPU map has to have `size: 2`, found {0}")]
    CpuSize(usize),
}

const CPU_LABEL: &str = "cpu";
/// Whether a label is the CPU's number, in a per-CPU map whose keys have no such field.
pub(crate) fn is_cpu(name: &str) -> bool {
    name == CPU_LABEL
}

const CPU_SIZE: usize = size_of::<u16>();
const ZERO_KEY_SIZE: usize = 4;

impl Layout {
    /// Lays labels over a map's keys (which fill them exactly) or over samples (which may be
    /// longer).
    ///
    /// In a per-CPU map a label called `cpu` that isn't part of the key is the CPU; as
    /// ebpf_exporter has it, it is declared as a `uint` of two bytes.
    pub(crate) fn new(
        labels: &[PackedField],
        source: MetricSource,
        shape: KeyShape,
    ) -> Result<Self, LayoutError> {
        let total: usize = labels.iter().map(span).sum();
        if matches!(source, MetricSource::Samples { .. }) {
            return Ok(Self::of(fields(labels, None, 0), total, false, false));
        }
        if shape.per_cpu
            && let Some(cpu) = labels.iter().position(|label| label.name == CPU_LABEL)
        {
            let rest = total - span(&labels[cpu]);
            let zero_key = rest == 0 && shape.key_size == ZERO_KEY_SIZE;
            if rest == shape.key_size || zero_key {
                if labels[cpu].size != CPU_SIZE {
                    return Err(LayoutError::CpuSize(labels[cpu].size));
                }
                let fields = fields(labels, Some(cpu), shape.key_size);
                let size = shape.key_size + CPU_SIZE;
                return Ok(Self::of(fields, size, true, zero_key));
            }
        }
        if labels.is_empty() {
            if shape.key_size != ZERO_KEY_SIZE {
                return Err(LayoutError::NoLabels(shape.key_size));
            }
            return Ok(Self::of(Vec::new(), shape.key_size, false, true));
        }
        if total != shape.key_size {
            return Err(LayoutError::Size {
                labels: total,
                key: shape.key_size,
                sum: sum(labels),
            });
        }
        let size = shape.key_size;
        Ok(Self::of(fields(labels, None, 0), size, false, false))
    }

    /// Each label lies where its member is.
    pub(crate) fn by_members(members: &[MemberField], key_size: usize) -> Self {
        let split_cpus = members.contains(&MemberField::Cpu);
        let field = |member: &MemberField| match member {
            MemberField::Key(range) => range.clone(),
            MemberField::Cpu => key_size..key_size + CPU_SIZE,
        };
        let row_key_size = key_size + if split_cpus { CPU_SIZE } else { 0 };
        let fields = members.iter().map(field).collect();
        Self::of(fields, row_key_size, split_cpus, false)
    }

    /// The number of the CPU whose value is at this index.
    pub(in crate::rows) fn cpu_number(&self, index: usize) -> u16 {
        let number = self.cpu_numbers.get(index);
        number.map_or(index as u16, |number| *number)
    }

    /// Over values of one u64.
    fn of(
        fields: Vec<Range<usize>>,
        row_key_size: usize,
        split_cpus: bool,
        zero_key: bool,
    ) -> Self {
        Self {
            fields,
            row_key_size,
            split_cpus,
            cpu_numbers: Vec::new(),
            value_size: size_of::<u64>(),
            number: None,
            zero_key,
        }
    }
}

fn span(label: &PackedField) -> usize {
    label.size.saturating_add(label.padding)
}

fn fields(labels: &[PackedField], cpu: Option<usize>, cpu_offset: usize) -> Vec<Range<usize>> {
    let mut offset = 0;
    let mut fields = Vec::with_capacity(labels.len());
    for (index, label) in labels.iter().enumerate() {
        if cpu == Some(index) {
            fields.push(cpu_offset..cpu_offset + CPU_SIZE);
        } else {
            fields.push(offset..offset + label.size);
            offset += span(label);
        }
    }
    fields
}

/// `a 8 + b 4 (+4 padding)`, for messages.
fn sum(labels: &[PackedField]) -> String {
    let parts: Vec<String> = labels
        .iter()
        .map(|label| match label.padding {
            0 => format!("{} {}", label.name, label.size),
            padding => format!("{} {} (+{padding} padding)", label.name, label.size),
        })
        .collect();
    parts.join(" + ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::object_input::SampleMap;

    fn label(name: &str, size: usize, padding: usize) -> PackedField {
        PackedField {
            name: name.into(),
            size,
            padding,
        }
    }

    fn layout(
        labels: &[PackedField],
        key_size: usize,
        per_cpu: bool,
    ) -> Result<Layout, LayoutError> {
        Layout::new(labels, MetricSource::Map, KeyShape { key_size, per_cpu })
    }

    #[test]
    fn padding_lies_between_fields() {
        let layout = layout(&[label("a", 1, 3), label("b", 8, 0)], 12, false).unwrap();
        assert_eq!(layout.fields, [0..1, 4..12]);
        assert!(!layout.split_cpus);
    }

    #[test]
    fn labels_have_to_add_up_to_the_key() {
        let error = layout(&[label("a", 1, 3), label("b", 8, 0)], 16, false).unwrap_err();
        let message = error.to_string();
        assert!(
            message.starts_with(
                "the labels take 12 bytes (a 1 (+3 padding) + b 8), the map's key has 16 bytes"
            ),
            "{message}"
        );
    }

    #[test]
    fn cpu_is_split_only_where_it_is_no_part_of_the_key() {
        let labels = [label("kind", 4, 0), label("cpu", 2, 0)];
        let split = layout(&labels, 4, true).unwrap();
        assert_eq!(
            (
                split.fields.as_slice(),
                split.row_key_size,
                split.split_cpus
            ),
            (&[0..4, 4..6][..], 6, true)
        );
        let inside = layout(&labels, 6, true).unwrap();
        assert!(!inside.split_cpus, "the key has a field of its own for it");
        assert!(layout(&labels, 4, false).is_err(), "no CPUs to split by");
        assert_eq!(
            layout(&[label("kind", 4, 0), label("cpu", 4, 0)], 4, true),
            Err(LayoutError::CpuSize(4))
        );
    }

    #[test]
    fn cpu_may_stand_before_the_bucket() {
        let split = layout(
            &[
                label("kind", 4, 0),
                label("cpu", 2, 0),
                label("bucket", 8, 0),
            ],
            12,
            true,
        )
        .unwrap();
        assert_eq!(split.fields, [0..4, 12..14, 4..12]);
    }

    #[test]
    fn a_lone_cpu_label_takes_the_zero_key_of_an_array() {
        let split = layout(&[label("cpu", 2, 0)], 4, true).unwrap();
        assert!(split.zero_key && split.split_cpus);
        assert_eq!(split.fields.first(), Some(&(4..6)));
    }

    #[test]
    fn no_labels_need_an_array_key() {
        assert!(layout(&[], 4, false).unwrap().zero_key);
        assert_eq!(layout(&[], 8, false), Err(LayoutError::NoLabels(8)));
    }

    #[test]
    fn samples_may_be_longer_than_their_labels() {
        let source = MetricSource::Samples {
            through: SampleMap::Ringbuf,
            flush_interval: Duration::from_secs(1),
        };
        let layout = Layout::new(
            &[label("a", 4, 0)],
            source,
            KeyShape {
                key_size: 64,
                per_cpu: false,
            },
        )
        .unwrap();
        assert_eq!(layout.row_key_size, 4);
    }
}
