//! `value` of a metric: which number of a map's value it is, if the value is a struct.

use crate::config::yaml::{Diagnostics, Fields, Node, NodeValue, Schema, Span, shorten};
use crate::near;

pub(super) const VALUE: Schema = Schema {
    what: "a metric's `value`",
    known: &["member", "offset", "size", "type", "scale"],
    later: &[],
};

/// A map's values have some hundred KiB at most.
const MAX_OFFSET: i64 = 1 << 30;

/// The number of a map's value that is the metric's.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct ValueConfig {
    pub(crate) selector: ValueSelector,
    /// Finite, and not 0.
    pub(crate) scale: f64,
    pub(crate) at: Span,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum ValueSelector {
    /// All of it.
    Whole,
    /// Of the struct that the object's BTF says it is; nested ones with dots.
    Member(String),
    At {
        /// Bytes.
        offset: usize,
        kind: ValueType,
    },
}

/// Of a number, in the machine's byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum ValueType {
    U64,
    S64,
    U32,
    S32,
    U16,
    S16,
    U8,
    S8,
    F64,
    F32,
    Bool,
}

impl ValueType {
    const ALL: [Self; 11] = [
        Self::U64,
        Self::S64,
        Self::U32,
        Self::S32,
        Self::U16,
        Self::S16,
        Self::U8,
        Self::S8,
        Self::F64,
        Self::F32,
        Self::Bool,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::U64 => "u64",
            Self::S64 => "s64",
            Self::U32 => "u32",
            Self::S32 => "s32",
            Self::U16 => "u16",
            Self::S16 => "s16",
            Self::U8 => "u8",
            Self::S8 => "s8",
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::Bool => "bool",
        }
    }

    /// Bytes.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::U64 | Self::S64 | Self::F64 => 8,
            Self::U32 | Self::S32 | Self::F32 => 4,
            Self::U16 | Self::S16 => 2,
            Self::U8 | Self::S8 | Self::Bool => 1,
        }
    }
}

/// `Err`: it could not be read, which has been said.
pub(super) fn read(
    metric: &Fields<'_>,
    diagnostics: &mut Diagnostics,
) -> Result<Option<ValueConfig>, ()> {
    let Some(node) = metric.get("value") else {
        return Ok(None);
    };
    let at = diagnostics.position(node.at);
    match &node.value {
        NodeValue::Scalar(scalar) => Ok(Some(ValueConfig {
            selector: ValueSelector::Member(scalar.raw_text().to_owned()),
            scale: 1.0,
            at,
        })),
        _ => {
            let (selector, scale) = read_mapping(node, diagnostics).ok_or(())?;
            Ok(Some(ValueConfig {
                selector,
                scale,
                at,
            }))
        }
    }
}

fn read_mapping(node: &Node, diagnostics: &mut Diagnostics) -> Option<(ValueSelector, f64)> {
    let fields = Fields::of(node, &VALUE, diagnostics)?;
    let scale = match fields.get("scale") {
        None => Some(1.0),
        Some(node) => {
            let scale = fields.float("scale", diagnostics);
            if scale == Some(0.0) {
                diagnostics.error(node.at, "expected a number other than 0 for `scale`");
                None
            } else {
                scale
            }
        }
    };
    if let Some(node) = fields.get("member") {
        let by_offset = ["offset", "size", "type"]
            .into_iter()
            .find(|key| fields.get(key).is_some());
        if let Some(key) = by_offset {
            diagnostics.error(
                node.at,
                format!("expected `member` or `{key}`, found both: the member's place is known"),
            );
            return None;
        }
        let member = fields.text("member", diagnostics)?;
        return Some((ValueSelector::Member(member.to_owned()), scale?));
    }
    if fields.get("offset").is_none()
        && fields.get("size").is_none()
        && fields.get("type").is_none()
    {
        return Some((ValueSelector::Whole, scale?));
    }
    let offset = match fields.get("offset") {
        None => Some(0),
        Some(node) => {
            let offset = fields.integer("offset", diagnostics)?;
            let fits = usize::try_from(offset)
                .ok()
                .filter(|_| offset <= MAX_OFFSET);
            if fits.is_none() {
                diagnostics.error(
                    node.at,
                    format!(
                        "expected a number of bytes up to {MAX_OFFSET} for `offset`, found {offset}"
                    ),
                );
            }
            fits
        }
    };
    let size = match fields.get("size") {
        None => None,
        Some(node) => match fields.integer("size", diagnostics)? {
            size @ (1 | 2 | 4 | 8) => Some((node.at, size)),
            size => {
                diagnostics.error(
                    node.at,
                    format!("expected 1, 2, 4 or 8 bytes for `size`, found {size}"),
                );
                return None;
            }
        },
    };
    let kind = match fields.get("type") {
        None => match size {
            Some((_, 1)) => ValueType::U8,
            Some((_, 2)) => ValueType::U16,
            Some((_, 4)) => ValueType::U32,
            _ => ValueType::U64,
        },
        Some(node) => {
            let written = fields.text("type", diagnostics)?;
            let found = ValueType::ALL
                .into_iter()
                .find(|kind| kind.as_str() == written);
            let Some(kind) = found else {
                diagnostics.error(
                    node.at,
                    format!(
                        "unknown `type` of a value: `{}`{}",
                        shorten(written),
                        near::suggestion(written, &ValueType::ALL.map(ValueType::as_str))
                    ),
                );
                return None;
            };
            kind
        }
    };
    if let Some((at, size)) = size
        && usize::try_from(size) != Ok(kind.size())
    {
        diagnostics.error(
            at,
            format!(
                "expected {} bytes for the type `{}`, found {size}",
                kind.size(),
                kind.as_str()
            ),
        );
        return None;
    }
    Some((
        ValueSelector::At {
            offset: offset?,
            kind,
        },
        scale?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::diagnostics;
    use crate::config::testing::good;

    fn yaml(value: &str) -> String {
        format!("metrics:\n  counters:\n  - name: c\n    help: h\n    value: {value}\n")
    }

    #[test]
    fn members_and_places() {
        let at = |offset, kind| ValueSelector::At { offset, kind };
        for (value, selector, scale) in [
            ("total", ValueSelector::Member("total".to_owned()), 1.0),
            (
                "{member: a.b, scale: 1e-9}",
                ValueSelector::Member("a.b".to_owned()),
                1e-9,
            ),
            ("{offset: 8, type: s32}", at(8, ValueType::S32), 1.0),
            ("{offset: 0x10}", at(16, ValueType::U64), 1.0),
            ("{size: 4, scale: -1}", at(0, ValueType::U32), -1.0),
            ("{type: f64, size: 8}", at(0, ValueType::F64), 1.0),
            ("{scale: 0.001}", ValueSelector::Whole, 0.001),
        ] {
            let read = good(&yaml(value)).metrics.remove(0).value.unwrap();
            assert_eq!((read.selector, read.scale), (selector, scale), "{value}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_where_it_stands() {
        for (value, expected) in [
            (
                "[a]",
                ":5:12: error: expected a metric's `value` as a mapping of keys, found a list",
            ),
            (
                "{member: a, offset: 1}",
                ":5:21: error: expected `member` or `offset`, found both: the member's place is known",
            ),
            (
                "{offset: -1}",
                ":5:21: error: expected a number of bytes up to 1073741824 for `offset`, found -1",
            ),
            (
                "{type: u63}",
                ":5:19: error: unknown `type` of a value: `u63`, did you mean `u64`?",
            ),
            (
                "{size: 3}",
                ":5:19: error: expected 1, 2, 4 or 8 bytes for `size`, found 3",
            ),
            (
                "{type: s32, size: 8}",
                ":5:30: error: expected 4 bytes for the type `s32`, found 8",
            ),
            (
                "{scale: 0}",
                ":5:20: error: expected a number other than 0 for `scale`",
            ),
            (
                "{membr: a}",
                ":5:13: warning: unknown key `membr` in a metric's `value`, did you mean `member`?",
            ),
        ] {
            assert_eq!(diagnostics(&yaml(value)), expected, "{value}");
        }
        let samples = yaml("{scale: 2}\n    perf_event_array: true");
        assert_eq!(
            diagnostics(&samples),
            ":5:12: error: samples are counted, they have no `value`"
        );
        let histogram = yaml("{scale: 2}\n    bucket_type: exp2\n    bucket_max: 3\n    labels: [{name: b, size: 4, decoders: [{name: uint}]}]")
            .replace("counters", "histograms");
        assert_eq!(
            diagnostics(&histogram),
            ":5:12: error: the value of a histogram's bucket is a count, which has no `scale`: see `bucket_multiplier`"
        );
    }
}
