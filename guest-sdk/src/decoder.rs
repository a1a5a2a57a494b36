//! What an author implements to decode labels: [`Decoder`] cell by cell, [`BatchDecoder`] to see a
//! whole column at once.

use serde::de::DeserializeOwned;

use crate::cells::{Cells, RowError};
use crate::error::Error;
use crate::kernel::Kernel;

/// What a decoder says of one cell besides its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// This text belongs to these bytes for good: the host remembers it.
    Known,
    /// This text may change, as with an interface that has no name yet: the host asks again at the
    /// next scrape.
    Provisional,
    /// Leave the whole series out. What was written is thrown away.
    Drop,
}

/// Turns the bytes of one label into text (or into the bytes for the next decoder of the chain),
/// one cell at a time.
///
/// ```
/// use exporter_guest_sdk::{Answer, Decoder, Error, NoOptions};
///
/// struct Yes;
///
/// impl Decoder for Yes {
///     const NAME: &'static str = "yes";
///     const SUMMARY: &'static str = "one byte: yes or no";
///     type Options = NoOptions;
///
///     fn open(_: NoOptions) -> Result<Self, Error> {
///         Ok(Self)
///     }
///
///     fn decode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<Answer, Error> {
///         out.extend_from_slice(match input {
///             [0] => b"no",
///             [_] => b"yes",
///             _ => return Err(format!("yes wants 1 byte, got {}", input.len()).into()),
///         });
///         Ok(Answer::Known)
///     }
/// }
/// ```
pub trait Decoder: Sized + 'static {
    /// The name in the YAML.
    const NAME: &'static str;
    /// One line for the catalogue: what goes in, what comes out.
    const SUMMARY: &'static str;
    /// A JSON schema of the options; empty: there are none.
    const OPTIONS_SCHEMA: &'static str = "";
    /// The decoder's YAML less its name. A field that this type does not name is an error that the
    /// SDK reports.
    type Options: DeserializeOwned;

    /// Called once per use in a config. An error is shown to the operator beside the place in the
    /// YAML.
    fn open(options: Self::Options) -> Result<Self, Error>;

    /// Writes the text of `input` to `out`, which comes empty. An error leaves this row out and no
    /// other one.
    fn decode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<Answer, Error>;
}

/// As [`Decoder`], a whole column at a time: for decoders that ask the kernel, so that one call
/// serves the batch. Every [`Decoder`] is one.
///
/// ```
/// use exporter_guest_sdk::kernel::Answers;
/// use exporter_guest_sdk::{Answer, BatchDecoder, Cells, Decoded, Error, Kernel, NoOptions};
///
/// struct Interface;
///
/// impl BatchDecoder for Interface {
///     const NAME: &'static str = "interface";
///     const SUMMARY: &'static str = "one byte, an interface index: its name";
///     type Options = NoOptions;
///
///     fn open(_: NoOptions) -> Result<Self, Error> {
///         Ok(Self)
///     }
///
///     fn decode_batch(&self, kernel: &impl Kernel, input: &Cells, out: &mut Decoded) {
///         let index = |cell: &[u8]| cell.first().map(|&index| u32::from(index));
///         let names = Answers::ask(input.iter().filter_map(index), |indexes| kernel.interface_names(indexes));
///         for cell in input.iter() {
///             out.row(|text| {
///                 let index = index(cell).ok_or("an interface index is one byte, got none")?;
///                 let Some(name) = names.get(index) else { return Ok(Answer::Provisional) };
///                 text.extend_from_slice(name.as_bytes());
///                 Ok(Answer::Known)
///             });
///         }
///     }
/// }
/// ```
pub trait BatchDecoder: Sized + 'static {
    /// See [`Decoder::NAME`].
    const NAME: &'static str;
    /// See [`Decoder::SUMMARY`].
    const SUMMARY: &'static str;
    /// See [`Decoder::OPTIONS_SCHEMA`].
    const OPTIONS_SCHEMA: &'static str = "";
    /// See [`Decoder::Options`].
    type Options: DeserializeOwned;

    /// See [`Decoder::open`].
    fn open(options: Self::Options) -> Result<Self, Error>;

    /// Calls [`Decoded::row`] or [`Decoded::known`] once per cell of `input`, in order.
    ///
    /// `kernel` is a type parameter and no trait object so that a plugin that never asks does not
    /// import the kernel interface.
    fn decode_batch(&self, kernel: &impl Kernel, input: &Cells, out: &mut Decoded);
}

/// The answers to one batch.
#[derive(Debug, Default)]
pub struct Decoded {
    cells: Cells,
    /// What a row is written to first: whatever an author does to it, the rows before stay. One
    /// buffer serves the batch.
    scratch: Vec<u8>,
    dropped: Vec<u32>,
    provisional: Vec<u32>,
    errors: Vec<RowError>,
}

// === impl BatchDecoder ===

impl<D: Decoder> BatchDecoder for D {
    const NAME: &'static str = D::NAME;
    const SUMMARY: &'static str = D::SUMMARY;
    const OPTIONS_SCHEMA: &'static str = D::OPTIONS_SCHEMA;
    type Options = D::Options;

    fn open(options: Self::Options) -> Result<Self, Error> {
        Decoder::open(options)
    }

    fn decode_batch(&self, _: &impl Kernel, input: &Cells, out: &mut Decoded) {
        for cell in input.iter() {
            out.row(|text| self.decode(cell, text));
        }
    }
}

// === impl Decoded ===

impl Decoded {
    /// Room for the answers to `input`.
    pub fn for_input(input: &Cells) -> Self {
        // Text is mostly a little longer than the bytes it stands for; one growth more is cheap.
        Self {
            cells: Cells::with_capacity(input.len(), input.byte_len() + input.len() * 8),
            ..Self::default()
        }
    }

    /// Answers the next row: `write` is given an empty buffer for its text. After an error or
    /// [`Answer::Drop`] the text is thrown away.
    #[inline]
    pub fn row(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<Answer, Error>) {
        self.scratch.clear();
        let answer = write(&mut self.scratch);
        let row = u32::try_from(self.cells.len()).unwrap_or(u32::MAX);
        match answer {
            Ok(Answer::Known) => {}
            Ok(Answer::Provisional) => self.provisional.push(row),
            Ok(Answer::Drop) => {
                self.dropped.push(row);
                self.scratch.clear();
            }
            Err(error) => {
                self.errors.push(RowError {
                    row,
                    message: error.into(),
                });
                self.scratch.clear();
            }
        }
        self.cells.push(&self.scratch);
    }

    /// Answers the next row with [`Answer::Known`]: as `row`, in one copy.
    #[inline]
    pub fn known(&mut self, text: &[u8]) {
        self.cells.push(text);
    }

    /// The text of each row; empty for rows without an answer.
    pub fn cells(&self) -> &Cells {
        &self.cells
    }

    /// Rows whose series is left out.
    pub fn dropped(&self) -> &[u32] {
        &self.dropped
    }

    /// Rows to ask again at the next scrape.
    pub fn provisional(&self) -> &[u32] {
        &self.provisional
    }

    /// Rows that got no answer.
    pub fn errors(&self) -> &[RowError] {
        &self.errors
    }

    /// cells, dropped, provisional, errors.
    #[doc(hidden)]
    pub fn into_parts(self) -> (Cells, Vec<u32>, Vec<u32>, Vec<RowError>) {
        (self.cells, self.dropped, self.provisional, self.errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_order_and_lose_what_was_written_before_an_error() {
        let mut decoded = Decoded::default();
        decoded.row(|text| {
            text.extend_from_slice(b"a");
            Ok(Answer::Known)
        });
        decoded.row(|text| {
            text.extend_from_slice(b"half");
            Err("no".into())
        });
        decoded.row(|text| {
            text.extend_from_slice(b"gone");
            Ok(Answer::Drop)
        });
        decoded.row(|text| {
            text.extend_from_slice(b"?");
            Ok(Answer::Provisional)
        });
        let (cells, dropped, provisional, errors) = decoded.into_parts();
        assert_eq!(cells, ["a", "", "", "?"].into_iter().collect());
        assert_eq!((dropped, provisional), (vec![2], vec![3]));
        assert_eq!(
            errors,
            [RowError {
                row: 1,
                message: "no".to_owned()
            }]
        );
    }
}
