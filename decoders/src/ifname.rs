//! `ifname`: network interfaces by index.

use exporter_guest_sdk::kernel::Answers;
use exporter_guest_sdk::text::{push_number, read_u32};
use exporter_guest_sdk::{Answer, BatchDecoder, Cells, Decoded, Error, Kernel, NoOptions};

/// The first 4 bytes are an interface index of the host's network namespace.
#[derive(Debug)]
pub struct Ifname;

impl BatchDecoder for Ifname {
    const NAME: &'static str = "ifname";
    const SUMMARY: &'static str = "4 bytes, an interface index: the interface's name";
    type Options = NoOptions;

    fn open(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }

    fn decode_batch(&self, kernel: &impl Kernel, input: &Cells, out: &mut Decoded) {
        let names = Answers::ask(input.iter().filter_map(read_u32), |indexes| {
            kernel.interface_names(indexes)
        });
        for cell in input.iter() {
            out.row(|text| {
                let index = read_u32(cell)
                    .ok_or_else(|| format!("ifname wants 4 bytes, got {}", cell.len()))?;
                if let Some(name) = names.get(index) {
                    text.extend_from_slice(name.as_bytes());
                    return Ok(Answer::Known);
                }
                text.extend_from_slice(b"unknown:");
                push_number(text, index);
                Ok(Answer::Provisional)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use exporter_guest_sdk::testing::{FakeKernel, decode};

    use super::*;
    use crate::testing::say;

    #[test]
    fn interfaces_by_index() {
        let kernel = FakeKernel {
            interfaces: [(2, "eth0")].into(),
            ..FakeKernel::default()
        };
        assert_eq!(say(&Ifname, &kernel, &2_u32.to_ne_bytes()), "eth0");
        assert_eq!(
            say(&Ifname, &kernel, &[2_u32.to_ne_bytes(), [0; 4]].concat()),
            "eth0"
        );
        assert_eq!(say(&Ifname, &kernel, &7_u32.to_ne_bytes()), "~ unknown:7");
        assert_eq!(
            say(&Ifname, &kernel, &[2, 0]),
            "! ifname wants 4 bytes, got 2"
        );
    }

    #[test]
    fn one_call_serves_a_batch() {
        let kernel = FakeKernel {
            interfaces: [(2, "eth0")].into(),
            ..FakeKernel::default()
        };
        let decoded = decode(
            &Ifname,
            &kernel,
            &[[2, 0, 0, 0], [3, 0, 0, 0], [2, 0, 0, 0]],
        );
        assert_eq!(
            decoded.cells(),
            &["eth0", "unknown:3", "eth0"].into_iter().collect()
        );
        assert_eq!((decoded.provisional(), kernel.calls.get()), (&[1][..], 1));
    }
}
