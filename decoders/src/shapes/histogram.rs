//! `exp2`, `exp2zero`, `linear`, `fixed`: the last label of the key says which bucket a count
//! belongs to.

use exporter_guest_sdk::shaper::{Family, Kind, Metric, Placed, Placement, Slot};
use exporter_guest_sdk::{Cells, Error, Shape, Shaper, log};

use super::bucket::{Buckets, OPTIONS_SCHEMA, Options, Scale};
use super::key;
use super::number::{self, Place};

/// Bucket i holds values up to 2^i.
#[derive(Debug)]
pub struct Exp2(Histogram);

/// Bucket 0 holds zeros, bucket i values up to 2^(i-1).
#[derive(Debug)]
pub struct Exp2Zero(Histogram);

/// Bucket i holds values up to i.
#[derive(Debug)]
pub struct Linear(Histogram);

/// Bucket k holds values up to k, for listed k.
#[derive(Debug)]
pub struct Fixed(Histogram);

/// What the four have in common.
#[derive(Debug)]
struct Histogram {
    buckets: Buckets,
    /// Which label is the bucket: the last one.
    column: usize,
}

impl Histogram {
    fn open(
        metric: &Metric,
        buckets: Buckets,
        value: Option<Place>,
    ) -> Result<(Self, Shape), Error> {
        let mut family = Family::of(metric, Kind::Histogram);
        if family.labels.pop().is_none() {
            return Err("a histogram needs at least one label: the last one is the bucket".into());
        }
        if buckets.bounds.is_empty() {
            log::warn(&format!(
                "{}: bucket_max is below bucket_min, so there are no buckets",
                metric.name
            ));
        }
        family.bounds.clone_from(&buckets.bounds);
        let column = family.labels.len();
        let shape = Shape {
            numbers: number::numbers(value),
            ..Shape::of(family)
        };
        Ok((Self { buckets, column }, shape))
    }

    fn place(&self, rows: u32, labels: &[Cells], out: &mut Placed) {
        let Some(column) = labels.get(self.column) else {
            // Only a host that broke its word comes here.
            return (0..rows)
                .for_each(|row| out.fail(row, "the column of bucket labels is missing"));
        };
        for (row, cell) in (0..rows).zip(column.iter()) {
            match key::parse(cell) {
                Some(key) => out.place(self.placement(row, key)),
                None => out.fail(
                    row,
                    format!(
                        "the bucket label `{}` is no unsigned number",
                        String::from_utf8_lossy(cell)
                    ),
                ),
            }
        }
    }

    fn placement(&self, row: u32, key: u64) -> Placement {
        match self.buckets.slot(key) {
            Slot::Sum => Placement {
                scale: self.buckets.multiplier,
                ..Placement::of(row, Slot::Sum)
            },
            slot => Placement::of(row, slot),
        }
    }
}

impl Shaper for Exp2 {
    const NAME: &'static str = "exp2";
    const SUMMARY: &'static str = "a histogram whose bucket i holds values up to 2^i";
    const OPTIONS_SCHEMA: &'static str = OPTIONS_SCHEMA;
    type Options = Options;

    fn open(options: Options, metric: &Metric) -> Result<(Self, Shape), Error> {
        let (histogram, shape) = Histogram::open(
            metric,
            Buckets::range(Scale::Exp2, &options)?,
            options.value,
        )?;
        Ok((Self(histogram), shape))
    }

    fn place(&self, rows: u32, _: &Cells, labels: &[Cells], out: &mut Placed) {
        self.0.place(rows, labels, out);
    }
}

impl Shaper for Exp2Zero {
    const NAME: &'static str = "exp2zero";
    const SUMMARY: &'static str =
        "a histogram whose bucket 0 holds zeros and bucket i values up to 2^(i-1)";
    const OPTIONS_SCHEMA: &'static str = OPTIONS_SCHEMA;
    type Options = Options;

    fn open(options: Options, metric: &Metric) -> Result<(Self, Shape), Error> {
        let (histogram, shape) = Histogram::open(
            metric,
            Buckets::range(Scale::Exp2Zero, &options)?,
            options.value,
        )?;
        Ok((Self(histogram), shape))
    }

    fn place(&self, rows: u32, _: &Cells, labels: &[Cells], out: &mut Placed) {
        self.0.place(rows, labels, out);
    }
}

impl Shaper for Linear {
    const NAME: &'static str = "linear";
    const SUMMARY: &'static str = "a histogram whose bucket i holds values up to i";
    const OPTIONS_SCHEMA: &'static str = OPTIONS_SCHEMA;
    type Options = Options;

    fn open(options: Options, metric: &Metric) -> Result<(Self, Shape), Error> {
        let (histogram, shape) = Histogram::open(
            metric,
            Buckets::range(Scale::Linear, &options)?,
            options.value,
        )?;
        Ok((Self(histogram), shape))
    }

    fn place(&self, rows: u32, _: &Cells, labels: &[Cells], out: &mut Placed) {
        self.0.place(rows, labels, out);
    }
}

impl Shaper for Fixed {
    const NAME: &'static str = "fixed";
    const SUMMARY: &'static str =
        "a histogram whose bucket k holds values up to k, for the keys that are listed";
    const OPTIONS_SCHEMA: &'static str = OPTIONS_SCHEMA;
    type Options = Options;

    fn open(options: Options, metric: &Metric) -> Result<(Self, Shape), Error> {
        let (histogram, shape) = Histogram::open(metric, Buckets::list(&options)?, options.value)?;
        Ok((Self(histogram), shape))
    }

    fn place(&self, rows: u32, _: &Cells, labels: &[Cells], out: &mut Placed) {
        self.0.place(rows, labels, out);
    }
}

#[cfg(test)]
mod tests {
    use exporter_guest_sdk::log::Level;
    use exporter_guest_sdk::testing::{open_shaper, place, take_log};

    use super::*;

    const METRIC: &str =
        r#""metric": {"name": "lat", "help": "Latency", "labels": ["disk", "bucket"]}"#;

    fn open<S: Shaper>(options: &str) -> (S, Shape) {
        open_shaper(&format!("{{{options}, {METRIC}}}")).unwrap()
    }

    fn column(cells: &[&str]) -> Cells {
        cells.iter().collect()
    }

    #[test]
    fn the_last_label_is_the_bucket() {
        let (exp2, shape) =
            open::<Exp2>(r#""bucket_min": 0, "bucket_max": 3, "bucket_multiplier": 0.5"#);
        let [family] = &shape.families[..] else {
            panic!("one family")
        };
        assert_eq!(
            (family.name.as_str(), family.kind),
            ("lat", Kind::Histogram)
        );
        assert_eq!(family.labels, ["disk"]);
        assert_eq!(family.bounds, [0.5, 1.0, 2.0, 4.0]);
        let labels = [
            column(&["sda", "sda", "sdb", "sdb"]),
            column(&["0", "0x3", "4", "5"]),
        ];
        let placed = place(&exp2, 4, &labels);
        let expected = [
            Placement::of(0, Slot::Bucket(0)),
            Placement::of(1, Slot::Bucket(3)),
            Placement {
                scale: 0.5,
                ..Placement::of(2, Slot::Sum)
            },
            Placement::of(3, Slot::None),
        ];
        assert_eq!(placed.placements(), expected);
        assert!(placed.errors().is_empty());
    }

    #[test]
    fn a_bad_bucket_label_costs_its_row_only() {
        let (linear, _) = open::<Linear>(r#""bucket_max": 3"#);
        let labels = [column(&["a", "a", "a"]), column(&["1", "x", ""])];
        let placed = place(&linear, 3, &labels);
        assert_eq!(placed.placements(), [Placement::of(0, Slot::Bucket(1))]);
        let errors: Vec<_> = placed
            .errors()
            .iter()
            .map(|error| (error.row, error.message.as_str()))
            .collect();
        let expected = [
            (1, "the bucket label `x` is no unsigned number"),
            (2, "the bucket label `` is no unsigned number"),
        ];
        assert_eq!(errors, expected);
    }

    #[test]
    fn each_kind_has_its_formula() {
        let range = r#""bucket_min": 0, "bucket_max": 2, "bucket_keys": [7]"#;
        assert_eq!(open::<Exp2>(range).1.families[0].bounds, [1.0, 2.0, 4.0]);
        assert_eq!(
            open::<Exp2Zero>(range).1.families[0].bounds,
            [0.0, 1.0, 2.0]
        );
        assert_eq!(open::<Linear>(range).1.families[0].bounds, [0.0, 1.0, 2.0]);
        let list = r#""bucket_keys": [1, 2, 4.5], "bucket_min": 0, "bucket_max": 0"#;
        assert_eq!(open::<Fixed>(list).1.families[0].bounds, [1.0, 2.0, 4.5]);
    }

    #[test]
    fn what_cannot_be_opened_says_why() {
        let error = |options: &str| open_shaper::<Exp2>(options).unwrap_err().to_string();
        assert_eq!(
            error(r#"{"bucket_max": 3, "metric": {"name": "m"}}"#),
            "a histogram needs at least one label: the last one is the bucket"
        );
        assert!(error(&format!("{{{METRIC}}}")).contains("are both 0"));
        assert!(
            error(&format!(r#"{{"buckets": 1, {METRIC}}}"#)).contains("has no option `buckets`")
        );
        assert!(
            error(&format!(r#"{{"bucket_max": "3", {METRIC}}}"#)).contains("option `bucket_max`")
        );
    }

    #[test]
    fn a_range_upside_down_is_logged() {
        take_log();
        let (linear, shape) = open::<Linear>(r#""bucket_min": 5, "bucket_max": 3"#);
        assert!(shape.families[0].bounds.is_empty());
        assert_eq!(take_log()[0].0, Level::Warn);
        let placed = place(&linear, 1, &[column(&["a"]), column(&["4"])]);
        assert_eq!(placed.placements(), [Placement::of(0, Slot::Sum)]);
    }
}
