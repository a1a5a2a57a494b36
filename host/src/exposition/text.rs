//! Text format 0.0.4: names as they are, numbers as Go prints them.

use super::escape;
use super::family::{Family, Kind};
use super::sample::{SampleWriter, Style};

/// Appends all families. Those without samples are left out, as Go's client does.
pub(super) fn write(out: &mut String, families: &[Family]) {
    let mut samples = SampleWriter::new(Style::Text);
    for family in families.iter().filter(|family| !family.samples.is_empty()) {
        let meta = &family.meta;
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
            Kind::Unknown => " untyped\n",
        });
        samples.write(out, &meta.name, family);
    }
}
