//! The shaper hits_misses: a map's value of two u64, hits and misses, becomes two counters.

use exporter_guest_sdk::shaper::{
    Family, Kind, Metric, Number, NumberType, Placed, Placement, Slot,
};
use exporter_guest_sdk::{Cells, Error, NoOptions, Shape, Shaper};

const NAME: &str = "hits_misses";

/// Families, and where in the value their numbers lie, in bytes.
const NUMBERS: [(&str, u32); 2] = [("hits", 0), ("misses", 8)];

/// The shaper.
#[derive(Debug)]
pub struct HitsMisses;

impl Shaper for HitsMisses {
    const NAME: &'static str = NAME;
    const SUMMARY: &'static str = "a value of two u64, hits and misses: two counters";
    type Options = NoOptions;

    fn open(_: NoOptions, metric: &Metric) -> Result<(Self, Shape), Error> {
        let families = NUMBERS.map(|(what, _)| Family {
            name: format!("{}_{what}_total", metric.name),
            ..Family::of(metric, Kind::Counter)
        });
        let numbers = NUMBERS.map(|(_, offset)| Number {
            offset,
            encoding: NumberType::U64,
        });
        let shape = Shape {
            families: families.into(),
            numbers: numbers.into(),
        };
        Ok((Self, shape))
    }

    fn place(&self, rows: u32, _keys: &Cells, _labels: &[Cells], out: &mut Placed) {
        // Number 0 of every row goes to family 0, number 1 to family 1.
        for row in 0..rows {
            for index in [0, 1] {
                out.place(Placement {
                    family: index,
                    number: index,
                    ..Placement::of(row, Slot::Value)
                });
            }
        }
    }
}

exporter_guest_sdk::export_plugin! { shapers: [HitsMisses] }

#[cfg(test)]
mod tests {
    use exporter_guest_sdk::testing::{open_shaper, place};

    use super::*;

    #[test]
    fn two_counters_with_the_metrics_labels() {
        let metric = r#"{"metric": {"name": "cache", "help": "Looks.", "labels": ["level"]}}"#;
        let (shaper, shape) = open_shaper::<HitsMisses>(metric).unwrap();
        let names = shape.families.iter().map(|family| family.name.as_str());
        assert_eq!(
            names.collect::<Vec<_>>(),
            ["cache_hits_total", "cache_misses_total"]
        );
        assert_eq!(shape.families[1].labels, ["level"]);

        let placed = place(&shaper, 2, &[["l1", "l2"].into_iter().collect()]);
        let places = placed.placements().iter();
        assert_eq!(
            places
                .map(|place| (place.row, place.family, place.number))
                .collect::<Vec<_>>(),
            [(0, 0, 0), (0, 1, 1), (1, 0, 0), (1, 1, 1)]
        );
    }

    #[test]
    fn there_are_no_options() {
        let options = r#"{"metric": {"name": "cache"}, "color": 1}"#;
        assert!(open_shaper::<HitsMisses>(options).is_err());
    }
}
