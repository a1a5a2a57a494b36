//! A body, written piece by piece: who sends it needs memory for one piece.

use super::family::Family;
use super::negotiate::Format;
use super::openmetrics;
use super::sample::{SampleWriter, Style};
use super::text;

/// How far a body is written.
pub(crate) struct BodyWriter {
    /// By family, in OpenMetrics only.
    heads: Option<Vec<openmetrics::Head>>,
    samples: SampleWriter,
    family: usize,
    sample: usize,
}

impl BodyWriter {
    /// `families` sorted by name, no two of one name: see `merge`. The same ones have to be given to each `write`.
    pub(crate) fn new(families: &[Family], format: Format) -> Self {
        let (heads, style) = match format {
            Format::Text004 => (None, Style::Text),
            Format::OpenMetrics001 | Format::OpenMetrics100 => {
                (Some(openmetrics::heads(families)), Style::OpenMetrics)
            }
        };
        Self {
            heads,
            samples: SampleWriter::new(style),
            family: 0,
            sample: 0,
        }
    }

    /// Appends to `out` until it has `enough` bytes, or a little more. True: that was the end.
    ///
    /// Families without samples are left out, as Go's client does.
    pub(crate) fn write(&mut self, families: &[Family], out: &mut String, enough: usize) -> bool {
        while let Some(family) = families.get(self.family) {
            if self.sample == 0 && !family.samples.is_empty() {
                match &self.heads {
                    None => text::head(out, &family.meta),
                    Some(heads) => openmetrics::head(out, heads.get(self.family), &family.meta),
                }
            }
            self.sample = self.samples.write(out, family, self.sample, enough);
            if self.sample < family.samples.len() {
                return false;
            }
            self.family += 1;
            self.sample = 0;
        }
        if self.heads.take().is_some() {
            openmetrics::end(out);
        }
        true
    }
}
