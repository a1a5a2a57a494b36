//! Answers of components made of any bytes, for ../test_support.

use super::answer;
use super::bindings::exporter::plugin::types;
use super::bindings::exports::exporter::plugin::{collecting, decoding, shaping};
use super::cells::Cells;
use super::session::new_labels;
use super::world::{self, SeriesPart, ShapeLimits};
use crate::exposition::{BlockRenderer, BlockTemplate, Family, Kind, LabelTemplate, LabelValues};
use crate::test_support::fuzz::Input;

/// An answer of a decoder or of a shaper: what passes the checks has the shape that it should have.
pub(crate) fn cells(input: &mut Input<'_>) {
    let rows = usize::from(input.up_to(8));
    if input.flag() {
        let answer = decoding::Decoded {
            cells: column(input),
            dropped: input.list(Input::number),
            provisional: input.list(Input::number),
            errors: input.list(row_error),
        };
        if let Ok(decoded) = world::decoded(answer, rows) {
            column_reads(&decoded.cells, rows);
            let errors = decoded.errors.iter().map(|(row, _)| row);
            let named = decoded.dropped.iter().chain(&decoded.provisional);
            assert!(named.chain(errors).all(|row| (*row as usize) < rows));
        }
        return;
    }
    let opened = shaping::Opened {
        shaper: input.number(),
        families: input.list(shaped_family),
        numbers: input.list(|input| shaping::Number {
            offset: input.number(),
            encoding: match input.up_to(4) {
                0 => shaping::NumberType::U64,
                1 => shaping::NumberType::S64,
                2 => shaping::NumberType::U32,
                3 => shaping::NumberType::S32,
                _ => shaping::NumberType::F64,
            },
        }),
    };
    let Ok((_, families, numbers)) = world::opened(opened) else {
        return;
    };
    assert!(!families.is_empty() && !numbers.is_empty());
    for family in &families {
        assert!(family.bounds.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(family.bounds.iter().all(|bound| bound.is_finite()));
        assert!(family.bounds.is_empty() || family.kind == Kind::Histogram);
    }
    let decoded = input.list(Input::name);
    let decoded: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let limits = ShapeLimits {
        families: families
            .iter()
            .map(|family| (family.kind, family.bounds.len()))
            .collect(),
        numbers: numbers.len(),
        new_labels: new_labels(&families, &decoded).len(),
    };
    let answer = shaping::Placed {
        placements: input.list(placement),
        labels: input.list(column),
        errors: input.list(row_error),
    };
    let Ok(placed) = world::placed(answer, rows, &limits) else {
        return;
    };
    assert_eq!(placed.labels.len(), limits.new_labels);
    for column in &placed.labels {
        column_reads(column, rows);
    }
    for placement in &placed.placements {
        let family = &families[placement.family as usize];
        assert!((placement.row as usize) < rows && placement.scale.is_finite());
        assert!((placement.number as usize) < numbers.len());
        let histogram = family.kind == Kind::Histogram;
        match placement.part {
            SeriesPart::Value => assert!(!histogram),
            SeriesPart::Bucket(bucket) => {
                assert!(histogram && bucket as usize <= family.bounds.len())
            }
            SeriesPart::Sum => assert!(histogram),
            SeriesPart::None => {}
        }
    }
    assert!(placed.errors.iter().all(|(row, _)| (*row as usize) < rows));
}

/// All cells can be read, and are all of the bytes up to the last end.
fn column_reads(cells: &Cells, rows: usize) {
    assert_eq!(cells.len(), rows);
    let mut read = Vec::new();
    for row in 0..rows {
        read.extend_from_slice(cells.get(row));
    }
    let end = cells.ends().last().map_or(0, |end| *end as usize);
    assert_eq!(read, cells.bytes()[..end]);
    assert!(cells.ends().is_sorted());
    assert_eq!(cells.get(rows), b"");
    blocks_are_labels(cells);
}

/// Label blocks of all cells at once are those of each alone.
fn blocks_are_labels(cells: &Cells) {
    let template = LabelTemplate::new(&["a", "b"]);
    let blocks = BlockTemplate::new(&template, &[0, 0]);
    let values = [LabelValues::new(cells.bytes(), cells.ends(), None)];
    let mut renderer = BlockRenderer::default();
    for row in 0..cells.len() {
        renderer.render(&blocks, &values, row);
    }
    assert_eq!(renderer.blocks().count(), cells.len());
    for (row, block) in renderer.blocks().enumerate() {
        let mut rendered = String::new();
        template.render_into(&mut rendered, |_| String::from_utf8_lossy(cells.get(row)));
        assert_eq!(block, rendered);
    }
}

fn column(input: &mut Input<'_>) -> types::CellsResult {
    types::CellsResult {
        bytes: input.bytes(),
        ends: input.list(Input::number),
    }
}

fn row_error(input: &mut Input<'_>) -> types::RowError {
    types::RowError {
        row: input.number(),
        message: input.text(),
    }
}

fn shaped_family(input: &mut Input<'_>) -> shaping::Family {
    shaping::Family {
        name: input.name(),
        help: input.text(),
        unit: input.name(),
        kind: kind(input),
        labels: input.list(Input::name),
        bounds: input.list(Input::float),
    }
}

fn kind(input: &mut Input<'_>) -> types::Kind {
    match input.up_to(5) {
        0 => types::Kind::Counter,
        1 => types::Kind::Gauge,
        2 => types::Kind::Histogram,
        3 => types::Kind::Summary,
        4 => types::Kind::Info,
        _ => types::Kind::Unknown,
    }
}

fn placement(input: &mut Input<'_>) -> shaping::Placement {
    shaping::Placement {
        row: input.number(),
        family: input.number(),
        slot: match input.up_to(3) {
            0 => shaping::Slot::Value,
            1 => shaping::Slot::Bucket(input.number()),
            2 => shaping::Slot::Sum,
            _ => shaping::Slot::None,
        },
        number: input.number(),
        scale: input.float(),
    }
}

/// A collector's families, checked. None: they may not stand in a body.
pub(crate) fn families(input: &mut Input<'_>) -> Option<Vec<Family>> {
    let limit = usize::from(input.u8());
    let mut labels = input.list(|input| (input.name(), input.text()));
    // The config has seen to it.
    labels.sort();
    labels.dedup_by(|one, other| one.0 == other.0);
    let labels: Vec<(&str, &str)> = labels
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let families = input.list(family);
    match answer::checked(families, limit, &labels) {
        Ok(answer) => {
            assert!(answer.series <= limit);
            Some(answer.families)
        }
        Err(error) => {
            let message = error.to_string();
            assert!(!message.contains(char::is_control), "{message:?}");
            None
        }
    }
}

fn family(input: &mut Input<'_>) -> collecting::Family {
    let label_names = input.list(Input::name);
    // Mostly what fits.
    let own = input.u8();
    let kind = kind(input);
    collecting::Family {
        name: input.name(),
        help: input.text(),
        unit: input.name(),
        kind,
        samples: input.list(|input| {
            let values = if own == 0 {
                input.list(Input::text)
            } else {
                label_names.iter().map(|_| input.text()).collect()
            };
            collecting::Sample {
                label_values: values,
                value: value(input, kind, own),
            }
        }),
        label_names,
    }
}

fn value(input: &mut Input<'_>, kind: types::Kind, own: u8) -> collecting::Value {
    let which = match kind {
        types::Kind::Histogram if own != 1 => 3,
        types::Kind::Summary if own != 1 => 4,
        _ => input.up_to(4),
    };
    match which {
        0 => collecting::Value::Number(collecting::Number::Unsigned(input.u64())),
        1 => collecting::Value::Number(collecting::Number::Signed(input.u64().cast_signed())),
        2 => collecting::Value::Number(collecting::Number::Real(input.float())),
        3 => collecting::Value::Histogram(collecting::Histogram {
            buckets: input.list(|input| collecting::Bucket {
                upper_bound: input.float(),
                cumulative_count: input.number().into(),
            }),
            sum: input.float(),
            count: input.number().into(),
        }),
        _ => collecting::Value::Summary(collecting::Summary {
            quantiles: input.list(|input| collecting::Quantile {
                quantile: f64::from(input.u8()) / 250.0,
                value: input.float(),
            }),
            sum: input.float(),
            count: input.number().into(),
        }),
    }
}
