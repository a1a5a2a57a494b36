//! OpenMetrics 1.0: what the format asks of names, and the trailer.
//!
//! A counter's family is named without `_total`, an info's without `_info`, and no two families may
//! share a sample name, reserved ones (`_created`) included. A family that cannot be said so is
//! written under its full name with a weaker type (`unknown`, `gauge`): its series are the same in
//! both formats, whatever happens.

use std::borrow::Cow;

use hashbrown::HashSet;

use super::escape;
use super::family::{Family, FamilyMeta, Kind};
use super::samples::ValueRef;
use super::value::Number;

/// The families' heads, in their order.
pub(super) fn heads(families: &[Family]) -> Vec<Head> {
    let mut claimed = Claimed::by(families);
    let head = |family| claimed.head(family);
    families.iter().map(head).collect()
}

/// Ends a body.
pub(super) fn end(out: &mut String) {
    out.push_str("# EOF\n");
}

/// How a family is called in this format.
#[derive(Debug)]
pub(super) struct Head {
    /// So much of the full name.
    name_len: usize,
    kind: &'static str,
    with_unit: bool,
}

impl Head {
    /// What the lines `_created` are named after; None: this type has none.
    pub(super) fn created<'a>(&self, meta: &'a FamilyMeta) -> Option<&'a str> {
        matches!(self.kind, "counter" | "histogram" | "summary")
            .then(|| meta.name.get(..self.name_len))
            .flatten()
    }
}

/// Appends a family's TYPE, HELP and UNIT.
pub(super) fn head(out: &mut String, head: Option<&Head>, meta: &FamilyMeta) {
    let Some(head) = head else { return };
    let name = meta.name.get(..head.name_len).unwrap_or(&meta.name);
    if !meta.help.is_empty() {
        out.push_str("# HELP ");
        out.push_str(name);
        out.push(' ');
        escape::help_open_metrics(out, &meta.help);
        out.push('\n');
    }
    out.push_str("# TYPE ");
    out.push_str(name);
    out.push(' ');
    out.push_str(head.kind);
    out.push('\n');
    let before_unit = name.strip_suffix(meta.unit.as_str());
    let named_by_unit = before_unit.is_some_and(|start| start.len() > 1 && start.ends_with('_'));
    if head.with_unit && !meta.unit.is_empty() && named_by_unit {
        out.push_str("# UNIT ");
        out.push_str(name);
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
            for suffix in meta.kind.reserved_suffixes() {
                names.insert(Cow::Owned(format!("{}{suffix}", meta.name)));
            }
        }
        Self(names)
    }

    fn head(&mut self, family: &'a Family) -> Head {
        let full = family.meta.name.as_str();
        let name_len = full.len();
        if family.samples.is_empty() {
            return Head {
                name_len,
                kind: "unknown",
                with_unit: false,
            };
        }
        match family.meta.kind {
            Kind::Gauge => Head {
                name_len,
                kind: "gauge",
                with_unit: true,
            },
            Kind::Histogram => Head {
                name_len,
                kind: "histogram",
                with_unit: true,
            },
            Kind::Summary => Head {
                name_len,
                kind: "summary",
                with_unit: true,
            },
            Kind::Unknown => Head {
                name_len,
                kind: "unknown",
                with_unit: true,
            },
            Kind::Counter => match short_name(full, "_total") {
                Some(base) if self.take(base, true) && may_be_counter(family) => Head {
                    name_len: base.len(),
                    kind: "counter",
                    with_unit: true,
                },
                _ => Head {
                    name_len,
                    kind: "unknown",
                    with_unit: true,
                },
            },
            Kind::Info => match short_name(full, "_info") {
                Some(base) if self.take(base, false) && may_be_info(family) => Head {
                    name_len: base.len(),
                    kind: "info",
                    with_unit: false,
                },
                _ => Head {
                    name_len,
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
    family.samples.values().all(|value| match value {
        ValueRef::Number(Number::Unsigned(_)) | ValueRef::Histogram(_) | ValueRef::Summary(_) => {
            true
        }
        ValueRef::Number(Number::Signed(value)) => value >= 0,
        ValueRef::Number(Number::Float(value)) => value >= 0.0,
        ValueRef::Number(Number::Shifted { negative, .. }) => !negative,
    })
}

/// An info's value is 1.
fn may_be_info(family: &Family) -> bool {
    family.samples.values().all(|value| match value {
        ValueRef::Number(number) => number.to_f64() == 1.0,
        ValueRef::Histogram(_) | ValueRef::Summary(_) => false,
    })
}
