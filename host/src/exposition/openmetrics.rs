//! OpenMetrics 1.0: what the format asks of names, and the trailer.
//!
//! A counter's family is named without `_total`, an info's without `_info`, and no two families may share a sample name, reserved ones
//! (`_created`) included. A family that cannot be said so is written under its full name with a weaker type (`unknown`, `gauge`): its
//! series are the same in both formats, whatever happens.

use std::borrow::Cow;

use hashbrown::HashSet;

use super::escape;
use super::family::{Family, FamilyMeta, Kind, Number, Value};
use super::sample::{SampleWriter, Style};

/// Appends all families that have samples, and `# EOF`.
pub(super) fn write(out: &mut String, families: &[Family]) {
    let mut claimed = Claimed::by(families);
    let mut samples = SampleWriter::new(Style::OpenMetrics);
    for family in families.iter().filter(|family| !family.samples.is_empty()) {
        let head = claimed.head(family);
        head_lines(out, &head, &family.meta);
        samples.write(out, &family.meta.name, family);
    }
    out.push_str("# EOF\n");
}

/// How a family is called in this format.
struct Head<'a> {
    name: &'a str,
    kind: &'static str,
    with_unit: bool,
}

fn head_lines(out: &mut String, head: &Head<'_>, meta: &FamilyMeta) {
    if !meta.help.is_empty() {
        out.push_str("# HELP ");
        out.push_str(head.name);
        out.push(' ');
        escape::help_open_metrics(out, &meta.help);
        out.push('\n');
    }
    out.push_str("# TYPE ");
    out.push_str(head.name);
    out.push(' ');
    out.push_str(head.kind);
    out.push('\n');
    let before_unit = head.name.strip_suffix(meta.unit.as_str());
    let named_by_unit = before_unit.is_some_and(|start| start.len() > 1 && start.ends_with('_'));
    if head.with_unit && !meta.unit.is_empty() && named_by_unit {
        out.push_str("# UNIT ");
        out.push_str(head.name);
        out.push(' ');
        out.push_str(&meta.unit);
        out.push('\n');
    }
}

/// The names that families and samples of this body have.
struct Claimed<'a>(HashSet<Cow<'a, str>>);

impl<'a> Claimed<'a> {
    fn by(families: &'a [Family]) -> Self {
        let mut names = HashSet::with_capacity(families.len() * 2);
        for Family { meta, samples } in families {
            if samples.is_empty() {
                continue;
            }
            names.insert(Cow::Borrowed(meta.name.as_str()));
            if meta.kind == Kind::Histogram {
                for suffix in ["_bucket", "_sum", "_count", "_created"] {
                    names.insert(Cow::Owned(format!("{}{suffix}", meta.name)));
                }
            }
        }
        Self(names)
    }

    fn head(&mut self, family: &'a Family) -> Head<'a> {
        let full = family.meta.name.as_str();
        match family.meta.kind {
            Kind::Gauge => Head {
                name: full,
                kind: "gauge",
                with_unit: true,
            },
            Kind::Histogram => Head {
                name: full,
                kind: "histogram",
                with_unit: true,
            },
            Kind::Unknown => Head {
                name: full,
                kind: "unknown",
                with_unit: true,
            },
            Kind::Counter => match short_name(full, "_total") {
                Some(base) if self.take(base, true) && may_be_counter(family) => Head {
                    name: base,
                    kind: "counter",
                    with_unit: true,
                },
                _ => Head {
                    name: full,
                    kind: "unknown",
                    with_unit: true,
                },
            },
            Kind::Info => match short_name(full, "_info") {
                Some(base) if self.take(base, false) && may_be_info(family) => Head {
                    name: base,
                    kind: "info",
                    with_unit: false,
                },
                _ => Head {
                    name: full,
                    kind: "gauge",
                    with_unit: true,
                },
            },
        }
    }

    /// Claims `base`, and `base_created` as well; false if either is somebody's already.
    fn take(&mut self, base: &'a str, created: bool) -> bool {
        if self.0.contains(base) {
            return false;
        }
        if created {
            let created = format!("{base}_created");
            if self.0.contains(created.as_str()) {
                return false;
            }
            self.0.insert(Cow::Owned(created));
        }
        self.0.insert(Cow::Borrowed(base));
        true
    }
}

fn short_name<'a>(full: &'a str, suffix: &str) -> Option<&'a str> {
    full.strip_suffix(suffix).filter(|base| !base.is_empty())
}

/// Counters are neither negative nor NaN.
fn may_be_counter(family: &Family) -> bool {
    family.samples.iter().all(|sample| match sample.value {
        Value::Number(Number::Unsigned(_)) | Value::Histogram(_) => true,
        Value::Number(Number::Signed(value)) => value >= 0,
        Value::Number(Number::Float(value)) => value >= 0.0,
    })
}

/// An info's value is 1.
fn may_be_info(family: &Family) -> bool {
    family.samples.iter().all(|sample| match sample.value {
        Value::Number(Number::Unsigned(value)) => value == 1,
        Value::Number(Number::Signed(value)) => value == 1,
        Value::Number(Number::Float(value)) => value == 1.0,
        Value::Histogram(_) => false,
    })
}
