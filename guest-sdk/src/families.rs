//! A collector's answer: families with samples, built one by one.

use std::collections::BTreeMap;

/// What a family is, in OpenMetrics' terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "OpenMetrics says what they are")]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
    Summary,
    Info,
    Unknown,
}

/// The families of one answer, in the order in which they were first named.
///
/// Naming a family again adds to it: parts of a collector need not know of each other. Names are
/// given in full, as they appear in text format 0.0.4: a counter's with `_total`, an info's with
/// `_info`.
///
/// ```
/// use exporter_guest_sdk::Families;
///
/// let mut families = Families::default();
/// let mut seconds = families.counter("cpu_seconds_total", "Time spent.");
/// for (mode, value) in [("user", 1.5), ("idle", 20.0)] {
///     seconds.sample(&[("cpu", "0"), ("mode", mode)], value);
/// }
/// families.gauge("up_bytes", "Bytes.").unit("bytes").sample(&[], 7_u64);
/// assert_eq!(families.sample_count(), 3);
/// ```
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Families {
    families: Vec<Family>,
    by_name: BTreeMap<String, usize>,
    mistake: Option<String>,
}

/// One family.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// In full.
    pub name: String,
    /// Its HELP.
    pub help: String,
    /// Its UNIT; mostly empty.
    pub unit: String,
    /// Its TYPE.
    pub kind: Kind,
    /// The names of its samples' labels.
    pub label_names: Vec<String>,
    /// Its samples, in the order in which they were added.
    pub samples: Vec<Sample>,
}

/// One sample; an empty label value is as good as no label.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// As many as the family has label names.
    pub label_values: Vec<String>,
    /// What it is.
    pub value: Value,
}

/// What a sample is.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Value {
    Unsigned(u64),
    Signed(i64),
    Real(f64),
    Histogram(Histogram),
    Summary(Summary),
}

/// Observations by size.
///
/// ```
/// use exporter_guest_sdk::families::Histogram;
///
/// let mut sizes = Histogram::new(&[1.0, 10.0]);
/// for size in [0.5, 1.0, 3.0, 100.0] {
///     sizes.observe(size);
/// }
/// assert_eq!(sizes.buckets, [(1.0, 2), (10.0, 3)]);
/// assert_eq!((sizes.count, sizes.sum), (4, 104.5));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// Finite upper bounds, ascending, each with the number of observations up to it, those of the
    /// buckets before included.
    pub buckets: Vec<(f64, u64)>,
    /// Of all observations.
    pub sum: f64,
    /// Observations; what +Inf's bucket says.
    pub count: u64,
}

/// Observations by quantile.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// Quantiles (0 to 1) with their values.
    pub quantiles: Vec<(f64, f64)>,
    /// Of all observations.
    pub sum: f64,
    /// Observations.
    pub count: u64,
}

/// A family that is being added to.
#[derive(Debug)]
pub struct FamilyMut<'a> {
    family: &'a mut Family,
    mistake: &'a mut Option<String>,
}

// === impl Families ===

impl Families {
    /// A counter; `name` ends with `_total`.
    pub fn counter(&mut self, name: &str, help: &str) -> FamilyMut<'_> {
        self.family(Kind::Counter, name, help)
    }

    /// A gauge.
    pub fn gauge(&mut self, name: &str, help: &str) -> FamilyMut<'_> {
        self.family(Kind::Gauge, name, help)
    }

    /// A histogram: its samples are [`Histogram`]s.
    pub fn histogram(&mut self, name: &str, help: &str) -> FamilyMut<'_> {
        self.family(Kind::Histogram, name, help)
    }

    /// A summary: its samples are [`Summary`]s.
    pub fn summary(&mut self, name: &str, help: &str) -> FamilyMut<'_> {
        self.family(Kind::Summary, name, help)
    }

    /// An info; `name` ends with `_info`, its samples are 1.
    pub fn info(&mut self, name: &str, help: &str) -> FamilyMut<'_> {
        self.family(Kind::Info, name, help)
    }

    /// A family of unknown type (`untyped`).
    pub fn unknown(&mut self, name: &str, help: &str) -> FamilyMut<'_> {
        self.family(Kind::Unknown, name, help)
    }

    /// A family of a type that is only known at run time.
    pub fn family(&mut self, kind: Kind, name: &str, help: &str) -> FamilyMut<'_> {
        let index = match self.by_name.get(name) {
            Some(index) => *index,
            None => {
                self.by_name.insert(name.to_owned(), self.families.len());
                self.families.push(Family {
                    name: name.to_owned(),
                    help: help.to_owned(),
                    unit: String::new(),
                    kind,
                    label_names: Vec::new(),
                    samples: Vec::new(),
                });
                self.families.len() - 1
            }
        };
        // The index is of an entry that was pushed and never removed.
        let family = &mut self.families[index];
        if family.kind != kind && self.mistake.is_none() {
            self.mistake = Some(format!(
                "family {name} is added as {:?} and as {kind:?}",
                family.kind
            ));
        }
        FamilyMut {
            family,
            mistake: &mut self.mistake,
        }
    }

    /// What is there so far.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// Samples so far, of all families.
    pub fn sample_count(&self) -> usize {
        self.families
            .iter()
            .map(|family| family.samples.len())
            .sum()
    }

    /// The families, or the first mistake of the author's that makes them unusable as a whole.
    #[doc(hidden)]
    pub fn finish(self) -> Result<Vec<Family>, String> {
        match self.mistake {
            Some(mistake) => Err(mistake),
            None => Ok(self.families),
        }
    }
}

// === impl FamilyMut ===

impl FamilyMut<'_> {
    /// Sets the UNIT; the family's name has to end with it (before `_total`).
    pub fn unit(&mut self, unit: &str) -> &mut Self {
        unit.clone_into(&mut self.family.unit);
        self
    }

    /// Adds a sample with labels as (name, value). The order of the names is that of the first
    /// sample; a name that another sample lacks is empty there, which is the same as absent.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Into<Value>) -> &mut Self {
        let value = value.into();
        if !value.fits(self.family.kind) && self.mistake.is_none() {
            *self.mistake = Some(format!(
                "family {} is a {:?}, its sample is {value:?}",
                self.family.name, self.family.kind
            ));
        }
        let label_values = self.values(labels);
        self.family.samples.push(Sample {
            label_values,
            value,
        });
        self
    }

    /// The values in the order of the family's names.
    fn values(&mut self, labels: &[(&str, &str)]) -> Vec<String> {
        let names = &self.family.label_names;
        if names.len() == labels.len() && names.iter().zip(labels).all(|(a, (b, _))| a == b) {
            return labels
                .iter()
                .map(|(_, value)| (*value).to_owned())
                .collect();
        }
        let mut values = vec![String::new(); names.len()];
        for (name, value) in labels {
            match self
                .family
                .label_names
                .iter()
                .position(|known| known == name)
            {
                Some(index) => (*value).clone_into(&mut values[index]),
                None => {
                    self.family.label_names.push((*name).to_owned());
                    for sample in &mut self.family.samples {
                        sample.label_values.push(String::new());
                    }
                    values.push((*value).to_owned());
                }
            }
        }
        values
    }
}

// === impl Value ===

impl Value {
    fn fits(&self, kind: Kind) -> bool {
        match self {
            Self::Histogram(_) => kind == Kind::Histogram,
            Self::Summary(_) => kind == Kind::Summary,
            Self::Unsigned(_) | Self::Signed(_) | Self::Real(_) => {
                !matches!(kind, Kind::Histogram | Kind::Summary)
            }
        }
    }
}

macro_rules! value_from {
    ($($number:ty => $variant:ident),+ $(,)?) => {
        $(impl From<$number> for Value {
            fn from(number: $number) -> Self {
                Self::$variant(number.into())
            }
        })+
    };
}

value_from! {
    u64 => Unsigned, u32 => Unsigned, u16 => Unsigned, u8 => Unsigned, bool => Unsigned,
    i64 => Signed, i32 => Signed,
    f64 => Real, f32 => Real,
    Histogram => Histogram, Summary => Summary,
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Unsigned(number as u64)
    }
}

// === impl Histogram ===

impl Histogram {
    /// No observations yet; `bounds` are finite and ascend.
    pub fn new(bounds: &[f64]) -> Self {
        Self {
            buckets: bounds.iter().map(|bound| (*bound, 0)).collect(),
            ..Self::default()
        }
    }

    /// Adds one observation.
    pub fn observe(&mut self, value: f64) {
        for (bound, count) in &mut self.buckets {
            if value <= *bound {
                *count += 1;
            }
        }
        self.sum += value;
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_named_again_is_added_to() {
        let mut families = Families::default();
        families.gauge("a", "A.").sample(&[], 1_u64);
        families.gauge("b", "B.").sample(&[], 2_u64);
        families.gauge("a", "other").sample(&[("x", "1")], -3_i64);
        let families = families.finish().unwrap();
        let names: Vec<&str> = families.iter().map(|family| &*family.name).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!((&*families[0].help, families[0].samples.len()), ("A.", 2));
    }

    #[test]
    fn labels_find_their_place_by_name() {
        let mut families = Families::default();
        let mut family = families.gauge("a", "");
        family.sample(&[("x", "1"), ("y", "2")], 0.0);
        family.sample(&[("y", "3"), ("x", "4")], 0.0);
        family.sample(&[("z", "5")], 0.0);
        let family = &families.families()[0];
        assert_eq!(family.label_names, ["x", "y", "z"]);
        let values: Vec<String> = family
            .samples
            .iter()
            .map(|sample| sample.label_values.join(","))
            .collect();
        assert_eq!(values, ["1,2,", "4,3,", ",,5"]);
    }

    #[test]
    fn a_family_is_of_one_kind() {
        let mut families = Families::default();
        families.gauge("a", "").sample(&[], 1_u64);
        families.counter("a", "").sample(&[], 1_u64);
        assert_eq!(
            families.finish().unwrap_err(),
            "family a is added as Gauge and as Counter"
        );
        let mut families = Families::default();
        families.histogram("h", "").sample(&[], 1_u64);
        assert_eq!(
            families.finish().unwrap_err(),
            "family h is a Histogram, its sample is Unsigned(1)"
        );
    }
}
