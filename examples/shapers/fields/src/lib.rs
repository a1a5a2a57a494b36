//! The shaper `fields`: the members of a struct become families of their own, as the options say.
//!
//! A ratio is left to the query, where it belongs: a `mean` is a family with a sum and a count (a
//! histogram with no bucket but +Inf, as a shaper cannot declare a summary), and
//! `rate(x_sum[5m]) / rate(x_count[5m])` is the mean over any time and any group of series.

use exporter_guest_sdk::shaper::{
    Family, Kind, Metric, Number, NumberType, Placed, Placement, Slot,
};
use exporter_guest_sdk::{Cells, Error, Shape, Shaper};
use serde::Deserialize;

/// What the YAML says.
#[derive(Debug, Deserialize)]
pub struct Options {
    fields: Vec<Field>,
}

/// A family.
#[derive(Debug, Deserialize)]
struct Field {
    /// Comes after the metric's name and a `_`.
    name: String,
    /// The metric's, if there is none.
    help: Option<String>,
    /// Such as `seconds`, which the name has to end in.
    #[serde(default)]
    unit: String,
    kind: FieldKind,
    /// Of a mean: its sum.
    #[serde(flatten)]
    number: Member,
    /// Of a mean.
    count: Option<Member>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FieldKind {
    Counter,
    Gauge,
    Mean,
}

/// A number in the struct.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Member {
    /// In bytes.
    offset: u32,
    #[serde(default, rename = "type")]
    encoding: Encoding,
    #[serde(default = "one")]
    scale: f64,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    U64,
    S64,
    U32,
    S32,
    F64,
}

fn one() -> f64 {
    1.0
}

/// The shaper: what each row adds to.
#[derive(Debug)]
pub struct Fields {
    /// Family and number have the indexes that the host knows them by; `row` is set for each.
    placements: Vec<Placement>,
}

impl Shaper for Fields {
    const NAME: &'static str = "fields";
    const SUMMARY: &'static str = "members of a struct: counters, gauges and means (sum and count)";
    const OPTIONS_SCHEMA: &'static str = r#"{"type":"object","required":["fields"],"properties":{"fields":{"type":"array","items":{"type":"object","required":["name","kind","offset"],"properties":{"name":{"type":"string"},"help":{"type":"string"},"unit":{"type":"string"},"kind":{"enum":["counter","gauge","mean"]},"offset":{"type":"integer"},"type":{"enum":["u64","s64","u32","s32","f64"],"default":"u64"},"scale":{"type":"number","default":1},"count":{"type":"object","required":["offset"],"properties":{"offset":{"type":"integer"},"type":{"enum":["u64","s64","u32","s32"],"default":"u64"}}}}}}}}"#;
    type Options = Options;

    fn open(options: Options, metric: &Metric) -> Result<(Self, Shape), Error> {
        if options.fields.is_empty() {
            return Err("fields wants at least one member in `fields`".into());
        }
        let mut placements = Vec::new();
        let (mut families, mut numbers) = (Vec::new(), Vec::new());
        for field in options.fields {
            let family = u32::try_from(families.len()).unwrap_or(u32::MAX);
            let mut place = |slot: Slot, member: Member| {
                placements.push(Placement {
                    family,
                    number: u32::try_from(numbers.len()).unwrap_or(u32::MAX),
                    scale: member.scale,
                    ..Placement::of(0, slot)
                });
                numbers.push(Number {
                    offset: member.offset,
                    encoding: member.encoding.into(),
                });
            };
            match (field.kind, field.count) {
                (FieldKind::Mean, Some(count)) => {
                    place(Slot::Sum, field.number);
                    // The only bucket: +Inf's.
                    place(Slot::Bucket(0), count);
                }
                (FieldKind::Mean, None) => {
                    return Err(format!("the mean `{}` needs a `count`", field.name).into());
                }
                (_, Some(_)) => {
                    return Err(
                        format!("`{}` has a `count`, which only a mean has", field.name).into(),
                    );
                }
                (FieldKind::Counter | FieldKind::Gauge, None) => place(Slot::Value, field.number),
            }
            families.push(Family {
                name: format!("{}_{}", metric.name, field.name),
                help: field.help.unwrap_or_else(|| metric.help.clone()),
                unit: field.unit,
                ..Family::of(metric, field.kind.into())
            });
        }
        Ok((Self { placements }, Shape { families, numbers }))
    }

    fn place(&self, rows: u32, _: &Cells, _: &[Cells], out: &mut Placed) {
        for row in 0..rows {
            for placement in &self.placements {
                out.place(Placement { row, ..*placement });
            }
        }
    }
}

impl From<FieldKind> for Kind {
    fn from(kind: FieldKind) -> Self {
        match kind {
            FieldKind::Counter => Self::Counter,
            FieldKind::Gauge => Self::Gauge,
            FieldKind::Mean => Self::Histogram,
        }
    }
}

impl From<Encoding> for NumberType {
    fn from(encoding: Encoding) -> Self {
        match encoding {
            Encoding::U64 => Self::U64,
            Encoding::S64 => Self::S64,
            Encoding::U32 => Self::U32,
            Encoding::S32 => Self::S32,
            Encoding::F64 => Self::F64,
        }
    }
}

exporter_guest_sdk::export_plugin! { shapers: [Fields] }

#[cfg(test)]
mod tests {
    use exporter_guest_sdk::testing::{open_shaper, place};

    use super::*;

    const METRIC: &str =
        r#""metric": {"name": "requests", "help": "Requests.", "labels": ["server"]}"#;

    fn open(fields: &str) -> Result<(Fields, Shape), Error> {
        open_shaper(&format!("{{\"fields\": {fields}, {METRIC}}}"))
    }

    #[test]
    fn members_become_families() {
        let (shaper, shape) = open(
            r#"[{"name": "total", "kind": "counter", "offset": 0},
                {"name": "in_flight", "kind": "gauge", "offset": 8, "type": "s32", "help": "Now."},
                {"name": "seconds", "kind": "mean", "unit": "seconds", "offset": 16, "scale": 1e-9, "count": {"offset": 0}}]"#,
        )
        .unwrap();
        let families: Vec<_> = shape
            .families
            .iter()
            .map(|one| (one.name.as_str(), one.kind))
            .collect();
        assert_eq!(
            families,
            [
                ("requests_total", Kind::Counter),
                ("requests_in_flight", Kind::Gauge),
                ("requests_seconds", Kind::Histogram)
            ]
        );
        assert_eq!(shape.families[1].help, "Now.");
        assert_eq!(shape.families[2].unit, "seconds");
        assert!(
            shape
                .families
                .iter()
                .all(|one| one.labels == ["server"] && one.bounds.is_empty())
        );
        let offsets: Vec<u32> = shape.numbers.iter().map(|number| number.offset).collect();
        assert_eq!(offsets, [0, 8, 16, 0]);

        let placed = place(&shaper, 2, &[["a", "b"].into_iter().collect()]);
        let of_second: Vec<_> = placed
            .placements()
            .iter()
            .filter(|place| place.row == 1)
            .map(|place| (place.family, place.slot, place.number, place.scale))
            .collect();
        assert_eq!(
            of_second,
            [
                (0, Slot::Value, 0, 1.0),
                (1, Slot::Value, 1, 1.0),
                (2, Slot::Sum, 2, 1e-9),
                (2, Slot::Bucket(0), 3, 1.0)
            ]
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let why = |fields: &str| open(fields).unwrap_err().to_string();
        assert!(why("[]").contains("at least one"));
        assert!(why(r#"[{"name": "x", "kind": "mean", "offset": 0}]"#).contains("needs a `count`"));
        assert!(
            why(r#"[{"name": "x", "kind": "gauge", "offset": 0, "count": {"offset": 8}}]"#)
                .contains("only a mean")
        );
        assert!(open(r#"[{"name": "x", "kind": "rate", "offset": 0}]"#).is_err());
    }
}
