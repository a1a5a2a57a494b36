//! Where in a map's value a metric's number lies, if the value is more than that number.

use exporter_guest_sdk::shaper::{Number, NumberType};
use serde::Deserialize;

/// A place in the value.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Place {
    offset: u32,
    r#type: Type,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Type {
    U64,
    S64,
    U32,
    S32,
    F64,
}

impl From<Place> for Number {
    fn from(place: Place) -> Self {
        Self {
            offset: place.offset,
            encoding: match place.r#type {
                Type::U64 => NumberType::U64,
                Type::S64 => NumberType::S64,
                Type::U32 => NumberType::U32,
                Type::S32 => NumberType::S32,
                Type::F64 => NumberType::F64,
            },
        }
    }
}

/// Without a place: the u64 that is the value.
pub(super) fn numbers(place: Option<Place>) -> Vec<Number> {
    place.map(Number::from).into_iter().collect()
}
