//! A body, written chunk by chunk: who sends it needs memory for one chunk.

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
    /// Say when series were 0.
    created: bool,
    family: usize,
    /// Whether the head of `family` is written: a chunk may end right after it.
    headed: bool,
    sample: usize,
}

impl BodyWriter {
    /// `families` sorted by name, no two of one name: see `merge`. The same ones have to be given
    /// to each `write`.
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
            created: false,
            family: 0,
            headed: false,
            sample: 0,
        }
    }

    /// OpenMetrics 1.0 has a line `_created` after each counter, histogram and summary of which it
    /// is known.
    pub(crate) fn with_created(self, format: Format) -> Self {
        Self {
            created: format == Format::OpenMetrics100,
            ..self
        }
    }

    /// Appends to `out` until it has `enough` bytes, or a little more. True: that was the end.
    ///
    /// Families without samples are left out, as Go's client does.
    pub(crate) fn write(&mut self, families: &[Family], out: &mut String, enough: usize) -> bool {
        while let Some(family) = families.get(self.family) {
            if !self.headed && !family.samples.is_empty() {
                match &self.heads {
                    None => text::head(out, &family.meta),
                    Some(heads) => openmetrics::head(out, heads.get(self.family), &family.meta),
                }
            }
            self.headed = true;
            let heads = self.heads.as_ref().filter(|_| self.created);
            let head = heads.and_then(|heads| heads.get(self.family));
            let base = head.and_then(|head| head.created(&family.meta));
            self.sample = self.samples.write(out, family, self.sample, enough, base);
            if self.sample < family.samples.len() {
                return false;
            }
            self.family += 1;
            self.headed = false;
            self.sample = 0;
        }
        if self.heads.take().is_some() {
            openmetrics::end(out);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::everything;
    use super::*;

    /// Whatever a chunk ends with: a head, a sample, a family.
    #[test]
    fn chunks_of_any_size_are_the_whole() {
        let families = everything();
        for format in [Format::Text004, Format::OpenMetrics100] {
            let mut whole = String::new();
            assert!(BodyWriter::new(&families, format).write(&families, &mut whole, usize::MAX));
            for enough in 1..whole.len() {
                let mut writer = BodyWriter::new(&families, format);
                let mut body = String::new();
                loop {
                    let mut chunk = String::new();
                    let done = writer.write(&families, &mut chunk, enough);
                    body.push_str(&chunk);
                    if done {
                        break;
                    }
                }
                assert_eq!(body, whole, "chunks of {enough}");
            }
        }
    }
}
