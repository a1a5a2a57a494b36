//! Text format 0.0.4: names as they are, numbers as Go prints them.

use super::escape;
use super::family::{FamilyMeta, Kind};

/// Appends a family's HELP and TYPE.
pub(super) fn head(out: &mut String, meta: &FamilyMeta) {
    if !meta.help.is_empty() {
        out.push_str("# HELP ");
        out.push_str(&meta.name);
        out.push(' ');
        escape::help_text(out, &meta.help);
        out.push('\n');
    }
    out.push_str("# TYPE ");
    out.push_str(&meta.name);
    out.push_str(match meta.kind {
        Kind::Counter => " counter\n",
        Kind::Gauge | Kind::Info => " gauge\n",
        Kind::Histogram => " histogram\n",
        Kind::Summary => " summary\n",
        Kind::Unknown => " untyped\n",
    });
}
