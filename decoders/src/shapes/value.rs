//! `counter` and `gauge`: one number per key.

use exporter_guest_sdk::shaper::{Family, Kind, Metric, Placed, Placement, Slot};
use exporter_guest_sdk::{Cells, Error, NoOptions, Shape, Shaper};

/// A counter with the metric's labels.
#[derive(Debug)]
pub struct Counter;

/// A gauge with the metric's labels.
#[derive(Debug)]
pub struct Gauge;

impl Shaper for Counter {
    const NAME: &'static str = "counter";
    const SUMMARY: &'static str = "a number that only grows, per key";
    type Options = NoOptions;

    fn open(_: NoOptions, metric: &Metric) -> Result<(Self, Shape), Error> {
        Ok((Self, Shape::of(Family::of(metric, Kind::Counter))))
    }

    fn place(&self, rows: u32, _: &Cells, _: &[Cells], out: &mut Placed) {
        place_values(rows, out);
    }
}

impl Shaper for Gauge {
    const NAME: &'static str = "gauge";
    const SUMMARY: &'static str = "a number that goes up and down, per key";
    type Options = NoOptions;

    fn open(_: NoOptions, metric: &Metric) -> Result<(Self, Shape), Error> {
        Ok((Self, Shape::of(Family::of(metric, Kind::Gauge))))
    }

    fn place(&self, rows: u32, _: &Cells, _: &[Cells], out: &mut Placed) {
        place_values(rows, out);
    }
}

fn place_values(rows: u32, out: &mut Placed) {
    for row in 0..rows {
        out.place(Placement::of(row, Slot::Value));
    }
}

#[cfg(test)]
mod tests {
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
        let placed = place(&counter, 2, &[]);
        let expected = [Placement::of(0, Slot::Value), Placement::of(1, Slot::Value)];
        assert_eq!(placed.placements(), expected);
    }
}
