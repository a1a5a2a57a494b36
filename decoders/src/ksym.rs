//! `ksym` and `kstack`: kernel symbols by address.

use exporter_guest_sdk::kernel::Answers;
use exporter_guest_sdk::text::{push_hex, read_u64};
use exporter_guest_sdk::{Answer, BatchDecoder, Cells, Decoded, Error, Kernel, NoOptions};

/// `ksym`: the symbol that starts at this very address.
#[derive(Debug)]
pub struct Ksym;

/// `kstack`: the functions of a stack as bpf_get_stack leaves it, innermost first, one per line.
#[derive(Debug)]
pub struct Kstack;

impl BatchDecoder for Ksym {
    const NAME: &'static str = "ksym";
    const SUMMARY: &'static str = "8 bytes, a kernel address: the symbol that starts there";
    type Options = NoOptions;

    fn open(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }

    fn decode_batch(&self, kernel: &impl Kernel, input: &Cells, out: &mut Decoded) {
        let addresses = input.iter().filter_map(read_u64);
        let symbols = Answers::ask(addresses, |addresses| kernel.symbols(addresses));
        for cell in input.iter() {
            out.row(|text| {
                let address = read_u64(cell)
                    .ok_or_else(|| format!("ksym wants 8 bytes, got {}", cell.len()))?;
                if let Some(symbol) = symbols.get(address).filter(|symbol| symbol.offset == 0) {
                    text.extend_from_slice(symbol.name.as_bytes());
                    return Ok(Answer::Known);
                }
                text.extend_from_slice(b"unknown_addr:0x");
                push_hex(text, address, 1);
                Ok(Answer::Provisional)
            });
        }
    }
}

impl BatchDecoder for Kstack {
    const NAME: &'static str = "kstack";
    const SUMMARY: &'static str = "8 bytes a frame: the functions of a kernel stack, one a line";
    type Options = NoOptions;

    fn open(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }

    fn decode_batch(&self, kernel: &impl Kernel, input: &Cells, out: &mut Decoded) {
        let addresses = input.iter().flat_map(frames);
        let symbols = Answers::ask(addresses, |addresses| kernel.symbols(addresses));
        for cell in input.iter() {
            out.row(|text| {
                let mut answer = Answer::Known;
                let mut end = 0;
                for address in frames(cell) {
                    if end > 0 {
                        text.push(b'\n');
                    }
                    end += FRAME;
                    match symbols.get(address) {
                        Some(symbol) => text.extend_from_slice(symbol.name.as_bytes()),
                        None => {
                            text.extend_from_slice(b"??");
                            answer = Answer::Provisional;
                        }
                    }
                }
                // The frames ended at a zero, or at the end of the cell: a part of a frame is
                // neither.
                match cell.len() - end {
                    1..FRAME => {
                        Err(format!("kstack wants 8 bytes a frame, got {}", cell.len()).into())
                    }
                    _ => Ok(answer),
                }
            });
        }
    }
}

const FRAME: usize = size_of::<u64>();

/// The frames before the first zero: the buffer is as long as the deepest stack may be.
fn frames(cell: &[u8]) -> impl Iterator<Item = u64> {
    let (frames, _) = cell.as_chunks::<FRAME>();
    frames
        .iter()
        .map(|frame| u64::from_ne_bytes(*frame))
        .take_while(|&address| address != 0)
}

#[cfg(test)]
mod tests {
    use exporter_guest_sdk::testing::{FakeKernel, decode};

    use super::*;
    use crate::testing::say;

    fn kernel() -> FakeKernel {
        FakeKernel {
            symbols: vec![
                (0x1000, "start"),
                (0x2000, "do_work"),
                (0x3000, "mod_fn\t[mod]"),
            ],
            ..FakeKernel::default()
        }
    }

    fn stack(addresses: &[u64]) -> Vec<u8> {
        addresses
            .iter()
            .flat_map(|address| address.to_ne_bytes())
            .collect()
    }

    #[test]
    fn a_symbol_needs_the_exact_address() {
        let say = |address| say(&Ksym, &kernel(), &stack(&[address]));
        assert_eq!(say(0x2000), "do_work");
        assert_eq!(say(0x3000), "mod_fn\t[mod]");
        assert_eq!(say(0x2001), "~ unknown_addr:0x2001");
        assert_eq!(say(0), "~ unknown_addr:0x0");
        assert_eq!(
            say(0xffff_ffff_8100_0000),
            "~ unknown_addr:0xffffffff81000000"
        );
    }

    #[test]
    fn a_symbol_needs_8_bytes() {
        assert_eq!(
            say(&Ksym, &kernel(), &[0; 7]),
            "! ksym wants 8 bytes, got 7"
        );
        assert_eq!(say(&Ksym, &kernel(), b""), "! ksym wants 8 bytes, got 0");
    }

    #[test]
    fn a_stack_is_the_nearest_symbols_up_to_the_first_zero() {
        let say = |addresses: &[u64]| say(&Kstack, &kernel(), &stack(addresses));
        assert_eq!(
            say(&[0x2010, 0x1000, 0x3fff]),
            "do_work\nstart\nmod_fn\t[mod]"
        );
        assert_eq!(say(&[0x2010, 0, 0x3000]), "do_work");
        assert_eq!(say(&[0, 0x2000]), "");
        assert_eq!(say(&[]), "");
        assert_eq!(say(&[0x2000, 0x10]), "~ do_work\n??");
    }

    #[test]
    fn a_part_of_a_frame_is_an_error_unless_the_stack_ended_before() {
        let mut bytes = stack(&[0x2000]);
        bytes.push(1);
        assert_eq!(
            say(&Kstack, &kernel(), &bytes),
            "! kstack wants 8 bytes a frame, got 9"
        );
        assert_eq!(
            say(&Kstack, &kernel(), &[1, 2, 3]),
            "! kstack wants 8 bytes a frame, got 3"
        );
        let mut bytes = stack(&[0x2000, 0]);
        bytes.push(1);
        assert_eq!(say(&Kstack, &kernel(), &bytes), "do_work");
    }

    #[test]
    fn stacks_share_one_call() {
        let kernel = kernel();
        let decoded = decode(
            &Kstack,
            &kernel,
            &[stack(&[0x2000, 0x1000]), stack(&[0x1000])],
        );
        assert_eq!(
            decoded.cells(),
            &["do_work\nstart", "start"].into_iter().collect()
        );
        assert_eq!(kernel.calls.get(), 1);
    }
}
