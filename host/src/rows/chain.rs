//! Whether the decoders of the standard plugin can read what they are given in a chain at all:
//! tried with some bytes, so that a wrong size or order is found before there is a key.

use crate::config::{Diagnostic, PluginUse};
use crate::plugin::{Cells, Offer, Registry, STANDARD_NAME};

/// What a label's bytes are tried with: where each of them is refused, all are.
const SAMPLES: [u8; 4] = [0, 1, 0x7f, 0xff];
/// A number as `uint` and `int` write it.
const NUMBER: &[u8] = b"1000000";

/// Decoders whose text is a decimal number, so that it is known what the next one gets.
const NUMBERS: [&str; 2] = ["uint", "int"];

/// What is wrong with the chain of a label of so many bytes. None: nothing, as far as that can be
/// told. Runs the standard plugin.
pub(crate) fn check_chain(
    label: &str,
    size: usize,
    chain: &[PluginUse],
    registry: &Registry,
) -> Option<Diagnostic> {
    let mut input: Vec<Vec<u8>> = SAMPLES.map(|byte| vec![byte; size]).into();
    let mut given = format!("the {size} bytes of the label `{label}`");
    for wanted in chain {
        let (plugin, bare) = registry.find(Offer::Decoder, &wanted.name).ok()?;
        if plugin.name() != STANDARD_NAME {
            return None;
        }
        let mut session = registry.session(plugin);
        let options = wanted.options.to_string();
        let decoder = session.open_decoder(bare, &options).ok()?;
        let cells: Cells = input.iter().map(Vec::as_slice).collect();
        let decoded = session.decode(decoder, &cells).ok()?;
        if decoded.errors.len() == input.len()
            && let Some((_, why)) = decoded.errors.first()
        {
            let message = format!("the decoder `{}` cannot read {given}: {why}", wanted.name);
            return Some(Diagnostic::error(wanted.at.clone(), message));
        }
        if !NUMBERS.contains(&bare) {
            return None;
        }
        input = vec![NUMBER.to_vec()];
        given = format!("the text of `{}`", wanted.name);
    }
    None
}
