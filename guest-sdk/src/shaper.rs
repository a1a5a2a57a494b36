//! What an author implements to shape maps: told once per key where its number goes; the host does
//! the adding, every scrape.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cells::{Cells, RowError};
use crate::error::Error;
pub use crate::families::Kind;

/// Says which family, and which slot of it, the number of a key belongs to.
///
/// ```
/// use exporter_guest_sdk::shaper::{Family, Kind, Metric, Placed, Placement, Slot};
/// use exporter_guest_sdk::{Cells, Error, NoOptions, Shape, Shaper};
///
/// /// A counter of milliseconds, in seconds.
/// struct Milliseconds;
///
/// impl Shaper for Milliseconds {
///     const NAME: &'static str = "milliseconds";
///     const SUMMARY: &'static str = "a counter of milliseconds, exported in seconds";
///     type Options = NoOptions;
///
///     fn open(_: NoOptions, metric: &Metric) -> Result<(Self, Shape), Error> {
///         Ok((Self, Shape::of(Family::of(metric, Kind::Counter))))
///     }
///
///     fn place(&self, rows: u32, _keys: &Cells, _labels: &[Cells], out: &mut Placed) {
///         for row in 0..rows {
///             out.place(Placement { scale: 0.001, ..Placement::of(row, Slot::Value) });
///         }
///     }
/// }
/// ```
pub trait Shaper: Sized + 'static {
    /// The name in the YAML.
    const NAME: &'static str;
    /// One line for the catalogue.
    const SUMMARY: &'static str;
    /// A JSON schema of the options; empty: there are none.
    const OPTIONS_SCHEMA: &'static str = "";
    /// The shape's options. A field that this type does not name is an error that the SDK reports.
    type Options: DeserializeOwned;

    /// Called once per metric. An error is shown to the operator beside the place in the YAML.
    fn open(options: Self::Options, metric: &Metric) -> Result<(Self, Shape), Error>;

    /// Where the number of every key goes, if that is the same for all: then [`Shaper::place`] is
    /// not called. The `row` of these placements means nothing.
    fn uniform(&self) -> Vec<Placement> {
        Vec::new()
    }

    /// Places a batch of new keys. `labels` has one column per label of the metric; a column may be
    /// missing only if the metric has no such label.
    fn place(&self, rows: u32, keys: &Cells, labels: &[Cells], out: &mut Placed);
}

/// What the host knows of the metric that is shaped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Metric {
    /// Its name, without the namespace.
    pub name: String,
    /// Its HELP.
    #[serde(default)]
    pub help: String,
    /// The names of its decoded labels, in the order of the columns.
    #[serde(default)]
    pub labels: Vec<String>,
}

/// What comes out of a shaper: families, and where in the value their numbers lie.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// [`Placement::family`] is an index into this.
    pub families: Vec<Family>,
    /// [`Placement::number`] is an index into this. Empty: one number, the u64 at offset 0.
    pub numbers: Vec<Number>,
}

/// One family that comes out.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// Its name, without the namespace.
    pub name: String,
    /// Its HELP.
    pub help: String,
    /// Its UNIT; mostly empty.
    pub unit: String,
    /// Its TYPE; a summary is for collectors only.
    pub kind: Kind,
    /// The labels of its series: decoded ones, or ones of [`Placed::add_label`].
    pub labels: Vec<String>,
    /// Upper bounds of a histogram's finite buckets, strictly ascending; +Inf is implied.
    pub bounds: Vec<f64>,
}

/// How a number is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum NumberType {
    U64,
    S64,
    U32,
    S32,
    F64,
}

/// A number inside the map's value, in the machine's byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    /// In bytes from the start of the value.
    pub offset: u32,
    /// How it is laid out.
    pub encoding: NumberType,
}

/// What a number is to the series it goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The value of a counter or gauge.
    Value,
    /// Observations in this bucket alone, not cumulated; the number of bounds means the +Inf
    /// bucket.
    Bucket(u32),
    /// The sum of a histogram.
    Sum,
    /// The row is known and goes nowhere.
    None,
}

/// `number x scale` is added to `slot` of the series of `family` that the row's labels name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// Index into the batch.
    pub row: u32,
    /// Index into [`Shape::families`].
    pub family: u32,
    /// Where in the series.
    pub slot: Slot,
    /// Index into [`Shape::numbers`].
    pub number: u32,
    /// What the number is multiplied with.
    pub scale: f64,
}

/// The answers to one batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Placed {
    placements: Vec<Placement>,
    labels: Vec<Cells>,
    errors: Vec<RowError>,
}

// === impl Shape ===

impl Shape {
    /// One family, of the u64 that is the map's value.
    pub fn of(family: Family) -> Self {
        Self {
            families: vec![family],
            numbers: Vec::new(),
        }
    }
}

// === impl Family ===

impl Family {
    /// A family with the metric's own name, HELP and labels.
    pub fn of(metric: &Metric, kind: Kind) -> Self {
        Self {
            name: metric.name.clone(),
            help: metric.help.clone(),
            unit: String::new(),
            kind,
            labels: metric.labels.clone(),
            bounds: Vec::new(),
        }
    }
}

// === impl Placement ===

impl Placement {
    /// The first number, unscaled, into `slot` of the first family.
    pub const fn of(row: u32, slot: Slot) -> Self {
        Self {
            row,
            family: 0,
            slot,
            number: 0,
            scale: 1.0,
        }
    }
}

// === impl Placed ===

impl Placed {
    /// Room for one placement a row.
    pub fn with_capacity(rows: u32) -> Self {
        Self {
            placements: Vec::with_capacity(rows as usize),
            ..Self::default()
        }
    }

    /// Places one number of one row.
    pub fn place(&mut self, placement: Placement) {
        self.placements.push(placement);
    }

    /// Leaves one row out, saying why.
    pub fn fail(&mut self, row: u32, error: impl Into<Error>) {
        self.errors.push(RowError {
            row,
            message: error.into().into(),
        });
    }

    /// Adds a label column of the shaper's own: one cell per row. One for each family label that is
    /// no decoded label, in the order in which the families first name them.
    pub fn add_label(&mut self, column: Cells) {
        self.labels.push(column);
    }

    /// What was placed.
    pub fn placements(&self) -> &[Placement] {
        &self.placements
    }

    /// Rows that got no answer.
    pub fn errors(&self) -> &[RowError] {
        &self.errors
    }

    /// placements, labels, errors.
    #[doc(hidden)]
    pub fn into_parts(self) -> (Vec<Placement>, Vec<Cells>, Vec<RowError>) {
        (self.placements, self.labels, self.errors)
    }
}
