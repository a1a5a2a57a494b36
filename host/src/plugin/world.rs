//! The worlds' data as the rest of the host sees it, made from checked answers.

use super::bindings::exports::exporter::plugin::{decoding, shaping};
use super::cells::Cells;
use super::error::{CallError, OpenError};
use crate::exposition::Kind;

/// A decoder's answer to one batch; the row numbers are inside the batch.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) cells: Cells,
    pub(crate) dropped: Vec<u32>,
    pub(crate) provisional: Vec<u32>,
    pub(crate) errors: Vec<(u32, String)>,
}

/// A family that a shaper declares.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ShapedFamily {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) unit: String,
    pub(crate) kind: Kind,
    pub(crate) labels: Vec<String>,
    /// Upper bounds of a histogram's finite buckets, strictly ascending.
    pub(crate) bounds: Vec<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Encoding {
    U64,
    S64,
    U32,
    S32,
    F64,
    /// Those from here on are no shaper's, but the YAML's.
    U16,
    S16,
    U8,
    S8,
    F32,
}

impl Encoding {
    pub(crate) fn size(self) -> usize {
        match self {
            Self::U64 | Self::S64 | Self::F64 => 8,
            Self::U32 | Self::S32 | Self::F32 => 4,
            Self::U16 | Self::S16 => 2,
            Self::U8 | Self::S8 => 1,
        }
    }
}

/// A number inside a map's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct NumberSource {
    pub(crate) offset: usize,
    pub(crate) encoding: Encoding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeriesPart {
    Value,
    Bucket(u32),
    Sum,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Placement {
    pub(crate) row: u32,
    pub(crate) family: u32,
    pub(crate) part: SeriesPart,
    pub(crate) number: u32,
    pub(crate) scale: f64,
}

/// A shaper's answer to one batch.
#[derive(Debug, Default)]
pub(crate) struct Placed {
    pub(crate) placements: Vec<Placement>,
    /// The new label columns, one cell a row each.
    pub(crate) labels: Vec<Cells>,
    pub(crate) errors: Vec<(u32, String)>,
}

/// Bounds of what a shaper may declare.
const MAX_FAMILIES: usize = 64;
const MAX_BOUNDS: usize = 4096;
const MAX_LABELS: usize = 256;
/// Of a shaper that treats all keys alike: each costs time at every new key.
const MAX_UNIFORM: usize = 1024;

pub(super) fn decoded(answer: decoding::Decoded, rows: usize) -> Result<Decoded, CallError> {
    let errors: Vec<(u32, String)> = answer
        .errors
        .into_iter()
        .map(|error| (error.row, error.message))
        .collect();
    let named = answer
        .dropped
        .iter()
        .chain(&answer.provisional)
        .chain(errors.iter().map(|(row, _)| row));
    check_rows(named, rows)?;
    let cells = Cells::checked(answer.cells.bytes, answer.cells.ends, rows)?;
    Ok(Decoded {
        cells,
        dropped: answer.dropped,
        provisional: answer.provisional,
        errors,
    })
}

/// Checks and converts what `open` of a shaper declared.
pub(super) fn opened(
    answer: shaping::Opened,
) -> Result<(u32, Vec<ShapedFamily>, Vec<NumberSource>), OpenError> {
    if answer.families.is_empty() || answer.families.len() > MAX_FAMILIES {
        return Err(OpenError::Invalid(format!(
            "expected 1 to {MAX_FAMILIES} families, found {}",
            answer.families.len()
        )));
    }
    let families = answer
        .families
        .into_iter()
        .map(shaped_family)
        .collect::<Result<Vec<_>, _>>()?;
    let mut numbers: Vec<NumberSource> = answer
        .numbers
        .iter()
        .map(|number| NumberSource {
            offset: number.offset as usize,
            encoding: encoding(number.encoding),
        })
        .collect();
    if numbers.is_empty() {
        numbers.push(NumberSource {
            offset: 0,
            encoding: Encoding::U64,
        });
    }
    Ok((answer.shaper, families, numbers))
}

/// `families`: the bounds per family, as declared.
pub(super) fn placed(
    answer: shaping::Placed,
    rows: usize,
    shape: &ShapeLimits,
) -> Result<Placed, CallError> {
    let malformed = |what: String| Err(CallError::Malformed(what));
    let errors: Vec<(u32, String)> = answer
        .errors
        .into_iter()
        .map(|error| (error.row, error.message))
        .collect();
    check_rows(errors.iter().map(|(row, _)| row), rows)?;
    // Of the same size: the list is turned into the other one where it lies.
    let placements = answer.placements.into_iter();
    let placements = placements
        .map(|placement| checked_placement(&placement, rows, shape))
        .collect::<Result<_, _>>()?;
    if answer.labels.len() != shape.new_labels {
        return malformed(format!(
            "expected {} new label columns, found {}",
            shape.new_labels,
            answer.labels.len()
        ));
    }
    let labels = answer
        .labels
        .into_iter()
        .map(|column| Cells::checked(column.bytes, column.ends, rows))
        .collect::<Result<_, _>>()?;
    Ok(Placed {
        placements,
        labels,
        errors,
    })
}

/// The placements of one key that stand for those of all.
pub(super) fn uniform(
    answer: Vec<shaping::Placement>,
    shape: &ShapeLimits,
) -> Result<Vec<Placement>, CallError> {
    if !answer.is_empty() && shape.new_labels > 0 {
        return Err(CallError::Malformed(format!(
            "it places all keys alike and has {} labels of its own: it has to be asked for these",
            shape.new_labels
        )));
    }
    if answer.len() > MAX_UNIFORM {
        return Err(CallError::Malformed(format!(
            "{} placements for every key, the limit is {MAX_UNIFORM}",
            answer.len()
        )));
    }
    let placements = answer.iter();
    placements
        .map(|placement| checked_placement(placement, 1, shape))
        .collect()
}

#[inline]
fn checked_placement(
    placement: &shaping::Placement,
    rows: usize,
    shape: &ShapeLimits,
) -> Result<Placement, CallError> {
    let shaping::Placement {
        row,
        family,
        number,
        scale,
        ..
    } = *placement;
    let known = shape.families.get(family as usize);
    let part = match (placement.slot, known) {
        (shaping::Slot::None, Some(_)) => Some(SeriesPart::None),
        (shaping::Slot::Value, Some((kind, _))) if *kind != Kind::Histogram => {
            Some(SeriesPart::Value)
        }
        (shaping::Slot::Sum, Some((Kind::Histogram, _))) => Some(SeriesPart::Sum),
        (shaping::Slot::Bucket(bucket), Some((Kind::Histogram, bounds)))
            if bucket as usize <= *bounds =>
        {
            Some(SeriesPart::Bucket(bucket))
        }
        _ => None,
    };
    match part {
        Some(part)
            if (row as usize) < rows && (number as usize) < shape.numbers && scale.is_finite() =>
        {
            Ok(Placement {
                row,
                family,
                part,
                number,
                scale,
            })
        }
        _ => Err(malformed_placement(placement, rows, shape)),
    }
}

#[cold]
fn malformed_placement(
    placement: &shaping::Placement,
    rows: usize,
    shape: &ShapeLimits,
) -> CallError {
    if let Err(error) = check_rows([placement.row].iter(), rows) {
        return error;
    }
    CallError::Malformed(match shape.families.get(placement.family as usize) {
        None => format!(
            "a placement names family {}, there are {}",
            placement.family,
            shape.families.len()
        ),
        Some(_) if placement.number as usize >= shape.numbers => format!(
            "a placement names number {}, there are {}",
            placement.number, shape.numbers
        ),
        Some(_) if !placement.scale.is_finite() => {
            format!("a placement has the scale {}", placement.scale)
        }
        Some((kind, bounds)) => format!(
            "a placement puts {:?} into a family of kind {kind:?} with {bounds} bounds",
            placement.slot
        ),
    })
}

/// What a shaper's answers are checked against.
#[derive(Debug, Clone, Default)]
pub(super) struct ShapeLimits {
    /// Kind and number of bounds of each family.
    pub(super) families: Vec<(Kind, usize)>,
    pub(super) numbers: usize,
    /// Columns that `place_rows` has to add.
    pub(super) new_labels: usize,
}

fn check_rows<'a>(named: impl Iterator<Item = &'a u32>, rows: usize) -> Result<(), CallError> {
    for &row in named {
        if row as usize >= rows {
            return Err(CallError::Malformed(format!(
                "it names row {row} of a batch of {rows}"
            )));
        }
    }
    Ok(())
}

fn shaped_family(family: shaping::Family) -> Result<ShapedFamily, OpenError> {
    let kind = match family.kind {
        shaping::Kind::Counter => Kind::Counter,
        shaping::Kind::Gauge => Kind::Gauge,
        shaping::Kind::Histogram => Kind::Histogram,
        shaping::Kind::Summary => {
            return Err(OpenError::Invalid(format!(
                "family {}: a shape cannot make a summary",
                family.name
            )));
        }
        shaping::Kind::Info => Kind::Info,
        shaping::Kind::Unknown => Kind::Unknown,
    };
    let bounds = family.bounds;
    let invalid = |what: String| {
        Err(OpenError::Invalid(format!(
            "family {}: {what}",
            family.name
        )))
    };
    if bounds.len() > MAX_BOUNDS {
        return invalid(format!(
            "{} bounds, the limit is {MAX_BOUNDS}",
            bounds.len()
        ));
    }
    if !bounds.is_empty() && kind != Kind::Histogram {
        return invalid("only a histogram has bounds".into());
    }
    if bounds.iter().any(|bound| !bound.is_finite())
        || bounds.windows(2).any(|pair| pair[0] >= pair[1])
    {
        return invalid("the bounds are not finite numbers in strictly ascending order".into());
    }
    if family.labels.len() > MAX_LABELS {
        return invalid(format!(
            "{} labels, the limit is {MAX_LABELS}",
            family.labels.len()
        ));
    }
    let mut labels = family.labels.iter().enumerate();
    if let Some((_, twice)) = labels.find(|(index, label)| family.labels[..*index].contains(label))
    {
        return invalid(format!("the label `{twice}` is named twice"));
    }
    Ok(ShapedFamily {
        name: family.name,
        help: family.help,
        unit: family.unit,
        kind,
        labels: family.labels,
        bounds,
    })
}

fn encoding(encoding: shaping::NumberType) -> Encoding {
    match encoding {
        shaping::NumberType::U64 => Encoding::U64,
        shaping::NumberType::S64 => Encoding::S64,
        shaping::NumberType::U32 => Encoding::U32,
        shaping::NumberType::S32 => Encoding::S32,
        shaping::NumberType::F64 => Encoding::F64,
    }
}
