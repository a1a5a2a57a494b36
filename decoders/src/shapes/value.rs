//! `counter` and `gauge`: one number per key.

use exporter_guest_sdk::shaper::{Family, Kind, Metric, Placed, Placement, Slot};
use exporter_guest_sdk::{Cells, Error, Shape, Shaper};
use serde::Deserialize;

use super::number::{self, Place};

/// Options of both.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Options {
    value: Option<Place>,
    scale: Option<f64>,
}

const OPTIONS_SCHEMA: &str =
    r#"{"type":"object","properties":{"value":{"type":"object"},"scale":{"type":"number"}}}"#;

/// A counter with the metric's labels.
#[derive(Debug)]
pub struct Counter(Values);

/// A gauge with the metric's labels.
#[derive(Debug)]
pub struct Gauge(Values);

impl Shaper for Counter {
    const NAME: &'static str = "counter";
    const SUMMARY: &'static str = "a number that only grows, per key";
    const OPTIONS_SCHEMA: &'static str = OPTIONS_SCHEMA;
    type Options = Options;

    fn open(options: Options, metric: &Metric) -> Result<(Self, Shape), Error> {
        let (values, shape) = Values::open(&options, metric, Kind::Counter)?;
        Ok((Self(values), shape))
    }

    fn uniform(&self) -> Vec<Placement> {
        vec![self.0.placement(0)]
    }

    fn place(&self, rows: u32, _: &Cells, _: &[Cells], out: &mut Placed) {
        self.0.place(rows, out);
    }
}

impl Shaper for Gauge {
    const NAME: &'static str = "gauge";
    const SUMMARY: &'static str = "a number that goes up and down, per key";
    const OPTIONS_SCHEMA: &'static str = OPTIONS_SCHEMA;
    type Options = Options;

    fn open(options: Options, metric: &Metric) -> Result<(Self, Shape), Error> {
        let (values, shape) = Values::open(&options, metric, Kind::Gauge)?;
        Ok((Self(values), shape))
    }

    fn uniform(&self) -> Vec<Placement> {
        vec![self.0.placement(0)]
    }

    fn place(&self, rows: u32, _: &Cells, _: &[Cells], out: &mut Placed) {
        self.0.place(rows, out);
    }
}

/// What the two have in common.
#[derive(Debug)]
struct Values {
    scale: f64,
}

impl Values {
    fn open(options: &Options, metric: &Metric, kind: Kind) -> Result<(Self, Shape), Error> {
        let scale = options.scale.unwrap_or(1.0);
        if !scale.is_finite() || scale == 0.0 {
            return Err(format!("scale must be a number other than 0, found {scale}").into());
        }
        let shape = Shape {
            numbers: number::numbers(options.value),
            ..Shape::of(Family::of(metric, kind))
        };
        Ok((Self { scale }, shape))
    }

    fn placement(&self, row: u32) -> Placement {
        Placement {
            scale: self.scale,
            ..Placement::of(row, Slot::Value)
        }
    }

    fn place(&self, rows: u32, out: &mut Placed) {
        for row in 0..rows {
            out.place(self.placement(row));
        }
    }
}

#[cfg(test)]
mod tests {
    use exporter_guest_sdk::shaper::{Number, NumberType};
    use exporter_guest_sdk::testing::{open_shaper, place};

    use super::*;

    #[test]
    fn every_row_is_a_value_of_the_metrics_family() {
        let options = r#"{"metric": {"name": "calls", "help": "Calls", "labels": ["a", "b"]}}"#;
        let (counter, shape) = open_shaper::<Counter>(options).unwrap();
        let (_, gauge) = open_shaper::<Gauge>(options).unwrap();
        let kinds = [shape.families[0].kind, gauge.families[0].kind];
        assert_eq!(kinds, [Kind::Counter, Kind::Gauge]);
        let family = &shape.families[0];
        assert_eq!(
            (family.name.as_str(), family.help.as_str()),
            ("calls", "Calls")
        );
        assert_eq!((family.labels.len(), shape.numbers.len()), (2, 0));
        assert_eq!(counter.uniform(), [Placement::of(0, Slot::Value)]);
        let placed = place(&counter, 2, &[]);
        let expected = [Placement::of(0, Slot::Value), Placement::of(1, Slot::Value)];
        assert_eq!(placed.placements(), expected);
    }

    #[test]
    fn a_number_may_lie_anywhere_and_be_scaled() {
        let metric = r#""metric": {"name": "t", "help": "T", "labels": []}"#;
        let options =
            format!(r#"{{"value": {{"offset": 8, "type": "s32"}}, "scale": 0.5, {metric}}}"#);
        let (gauge, shape) = open_shaper::<Gauge>(&options).unwrap();
        let number = Number {
            offset: 8,
            encoding: NumberType::S32,
        };
        assert_eq!(shape.numbers, [number]);
        assert_eq!(place(&gauge, 1, &[]).placements()[0].scale, 0.5);
        for (options, why) in [
            (r#""scale": 0"#, "scale must be a number other than 0"),
            (r#""value": {"offset": 8}"#, "type"),
            (r#""value": {"offset": -1, "type": "u64"}"#, "value"),
            (r#""value": {"offset": 0, "type": "u16"}"#, "u16"),
        ] {
            let error = open_shaper::<Counter>(&format!("{{{options}, {metric}}}"));
            let error = error.unwrap_err().to_string();
            assert!(error.contains(why), "{options}: {error}");
        }
    }
}
