//! Which number of a map's value is a metric's.

use crate::bpf::{CType, MapInfo};
use crate::config::{MetricConfig, MetricSource, ValueSelector, ValueType};
use crate::plugin::{Encoding, NumberSource};

/// A value that nobody says anything about: one u64.
const WHOLE: usize = 8;

/// `types`: the value's, as far as the object says it. None: the shaper knows, or it is a u64 that
/// is all of the value.
pub(super) fn resolve(
    metric: &MetricConfig,
    map: &MapInfo,
    types: Option<&CType>,
) -> Result<Option<NumberSource>, String> {
    if metric.any_value || metric.source != MetricSource::Map {
        return Ok(None);
    }
    let name = &map.name;
    let whole = || {
        if map.value_size == WHOLE {
            return Ok(None);
        }
        let hint = match types {
            Some(ty @ CType::Struct { .. }) => {
                format!(
                    ", or say with `value` which member it is of {}",
                    ty.describe()
                )
            }
            Some(ty) => match encoding(ty) {
                Some(kind) => format!(", or write `value: {{type: {}}}`", kind.as_str()),
                None => String::new(),
            },
            None => ", or say with `value: {offset, type}` where the number is".to_owned(),
        };
        Err(format!(
            "the values of map `{name}` have {} bytes, expected {WHOLE}: make its value type u64{hint}",
            map.value_size
        ))
    };
    let Some(value) = &metric.value else {
        return whole();
    };
    let (offset, kind) = match &value.selector {
        ValueSelector::Whole => return whole(),
        ValueSelector::At { offset, kind } => (*offset, *kind),
        ValueSelector::Member(member) => {
            let Some(ty) = types else {
                return Err(format!(
                    "the object does not say of which type the values of map `{name}` are: declare them with `__type(value, struct …)` and compile with -g, \
                     or write `value: {{offset, type}}`"
                ));
            };
            let (offset, ty) = ty
                .member(member)
                .map_err(|why| format!("the value of map `{name}` {why}"))?;
            let Some(kind) = encoding(ty) else {
                return Err(format!(
                    "`{member}` in the values of map `{name}` is {}: expected an integer of 1, 2, 4 or 8 bytes, a bool, a float or a double",
                    ty.describe()
                ));
            };
            (offset, kind)
        }
    };
    let end = offset + kind.size();
    if end > map.value_size {
        return Err(format!(
            "the number would be in bytes {offset} to {end} of a value, those of map `{name}` have {} bytes",
            map.value_size
        ));
    }
    Ok(Some(source(offset, kind)))
}

fn source(offset: usize, kind: ValueType) -> NumberSource {
    let encoding = match kind {
        ValueType::U64 => Encoding::U64,
        ValueType::S64 => Encoding::S64,
        ValueType::U32 => Encoding::U32,
        ValueType::S32 => Encoding::S32,
        ValueType::U16 => Encoding::U16,
        ValueType::S16 => Encoding::S16,
        ValueType::U8 | ValueType::Bool => Encoding::U8,
        ValueType::S8 => Encoding::S8,
        ValueType::F64 => Encoding::F64,
        ValueType::F32 => Encoding::F32,
    };
    NumberSource { offset, encoding }
}

fn encoding(ty: &CType) -> Option<ValueType> {
    match ty {
        CType::Int(int) if int.boolean => (int.size == 1).then_some(ValueType::Bool),
        CType::Int(int) | CType::Enum { int, .. } => match (int.size, int.signed) {
            (8, false) => Some(ValueType::U64),
            (8, true) => Some(ValueType::S64),
            (4, false) => Some(ValueType::U32),
            (4, true) => Some(ValueType::S32),
            (2, false) => Some(ValueType::U16),
            (2, true) => Some(ValueType::S16),
            (1, false) => Some(ValueType::U8),
            (1, true) => Some(ValueType::S8),
            _ => None,
        },
        CType::Float { size: 8 } => Some(ValueType::F64),
        CType::Float { size: 4 } => Some(ValueType::F32),
        _ => None,
    }
}
