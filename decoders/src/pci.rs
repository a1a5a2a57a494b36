//! `pci_vendor`, `pci_device`, `pci_class`, `pci_subclass`: names from pci.ids.

use exporter_guest_sdk::kernel::{Answers, PciKind};
use exporter_guest_sdk::text::{parse_signed, push_hex};
use exporter_guest_sdk::{Answer, BatchDecoder, Cells, Decoded, Error, Kernel, NoOptions};

/// `pci_vendor`: a decimal vendor id.
#[derive(Debug)]
pub struct PciVendor;

/// `pci_device`: a decimal vendor << 16 | device.
#[derive(Debug)]
pub struct PciDevice;

/// `pci_class`: a decimal class.
#[derive(Debug)]
pub struct PciClass;

/// `pci_subclass`: a decimal class << 8 | subclass.
#[derive(Debug)]
pub struct PciSubclass;

/// What the decoders answer where there is no pci.ids, even to what is no number.
const MISSING: &[u8] = b"missing pci.ids db";

impl BatchDecoder for PciVendor {
    const NAME: &'static str = "pci_vendor";
    const SUMMARY: &'static str = "a decimal PCI vendor id (after uint): the vendor's name";
    type Options = NoOptions;

    fn open(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }

    fn decode_batch(&self, kernel: &impl Kernel, input: &Cells, out: &mut Decoded) {
        decode(
            kernel,
            PciKind::Vendor,
            Self::NAME,
            input,
            out,
            |number, text| {
                push_unknown(text, b"unknown pci vendor: 0x", number, 2);
            },
        );
    }
}

impl BatchDecoder for PciDevice {
    const NAME: &'static str = "pci_device";
    const SUMMARY: &'static str =
        "a decimal PCI vendor << 16 | device (after uint): the device's name";
    type Options = NoOptions;

    fn open(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }

    fn decode_batch(&self, kernel: &impl Kernel, input: &Cells, out: &mut Decoded) {
        decode(
            kernel,
            PciKind::Device,
            Self::NAME,
            input,
            out,
            |number, text| {
                push_unknown(text, b"unknown pci device: 0x", number, 4);
            },
        );
    }
}

impl BatchDecoder for PciClass {
    const NAME: &'static str = "pci_class";
    const SUMMARY: &'static str = "a decimal PCI class (after uint): the class's name";
    type Options = NoOptions;

    fn open(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }

    fn decode_batch(&self, kernel: &impl Kernel, input: &Cells, out: &mut Decoded) {
        decode(
            kernel,
            PciKind::Class,
            Self::NAME,
            input,
            out,
            push_unknown_class,
        );
    }
}

impl BatchDecoder for PciSubclass {
    const NAME: &'static str = "pci_subclass";
    const SUMMARY: &'static str =
        "a decimal PCI class << 8 | subclass (after uint): the subclass's name";
    type Options = NoOptions;

    fn open(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }

    fn decode_batch(&self, kernel: &impl Kernel, input: &Cells, out: &mut Decoded) {
        // What is said of an unknown subclass depends on whether its class is known.
        let classes = Answers::ask(
            input
                .iter()
                .filter_map(parse_signed)
                .filter_map(|number| id(PciKind::Class, number >> 8)),
            |ids| kernel.pci_names(PciKind::Class, ids).unwrap_or_default(),
        );
        decode(
            kernel,
            PciKind::Subclass,
            Self::NAME,
            input,
            out,
            |number, text| {
                let class = number >> 8;
                if id(PciKind::Class, class)
                    .and_then(|id| classes.get(id))
                    .is_none()
                {
                    return push_unknown_class(class, text);
                }
                push_unknown(text, b"unknown pci subclass: 0x", number & 0xff, 2);
                push_unknown(text, b" (class 0x", class, 2);
                text.push(b')');
            },
        );
    }
}

/// The part that all four share; `unknown` writes what is said of a number that has no name.
fn decode(
    kernel: &impl Kernel,
    kind: PciKind,
    decoder: &str,
    input: &Cells,
    out: &mut Decoded,
    unknown: impl Fn(i64, &mut Vec<u8>),
) {
    let ids = input
        .iter()
        .filter_map(parse_signed)
        .filter_map(|number| id(kind, number));
    let mut missing = None;
    let names = Answers::ask(ids, |ids| {
        let names = kernel.pci_names(kind, ids);
        missing = Some(names.is_none());
        names.unwrap_or_default()
    });
    // A batch without a single id has not asked yet whether there is a table.
    let missing = missing.unwrap_or_else(|| kernel.pci_names(kind, &[]).is_none());
    for cell in input.iter() {
        out.row(|text| {
            if missing {
                text.extend_from_slice(MISSING);
                return Ok(Answer::Known);
            }
            let number = parse_signed(cell).ok_or_else(|| {
                format!(
                    "{decoder} wants a decimal number, got `{}`",
                    String::from_utf8_lossy(cell)
                )
            })?;
            match id(kind, number).and_then(|id| names.get(id)) {
                Some(name) => text.extend_from_slice(name.as_bytes()),
                None => unknown(number, text),
            }
            Ok(Answer::Known)
        });
    }
}

/// The number as an id of that table; None if the table cannot have it.
fn id(kind: PciKind, number: i64) -> Option<u32> {
    let last = match kind {
        PciKind::Vendor | PciKind::Subclass => 0xffff,
        PciKind::Device => u32::MAX,
        PciKind::Class => 0xff,
    };
    u32::try_from(number).ok().filter(|&id| id <= last)
}

fn push_unknown_class(class: i64, text: &mut Vec<u8>) {
    push_unknown(text, b"unknown pci class: 0x", class, 2);
}

/// Says `what` and the number in hexadecimal; as with Go's verbs a sign counts as one of the
/// digits.
fn push_unknown(text: &mut Vec<u8>, what: &[u8], number: i64, width: usize) {
    text.extend_from_slice(what);
    if number < 0 {
        text.push(b'-');
        push_hex(text, number.unsigned_abs(), width - 1);
    } else {
        push_hex(text, number.unsigned_abs(), width);
    }
}

#[cfg(test)]
mod tests {
    use exporter_guest_sdk::testing::{FakeKernel, decode};

    use super::*;
    use crate::testing::say;

    fn kernel() -> FakeKernel {
        let names = [
            ((PciKind::Vendor, 0x8086), "Intel Corporation"),
            ((PciKind::Vendor, 0x0e11), "Compaq Computer Corporation"),
            (
                (PciKind::Device, 0x8086_1533),
                "I210 Gigabit Network Connection",
            ),
            ((PciKind::Device, 0x0e11_0001), "PCI to EISA Bridge"),
            ((PciKind::Class, 0x02), "Network controller"),
            ((PciKind::Subclass, 0x0200), "Ethernet controller"),
        ];
        FakeKernel {
            pci: Some(names.into_iter().collect()),
            ..FakeKernel::default()
        }
    }

    fn text<D: BatchDecoder>(decoder: D, number: i64) -> String {
        say(&decoder, &kernel(), number.to_string().as_bytes())
    }

    #[test]
    fn vendors_and_devices() {
        assert_eq!(text(PciVendor, 0x8086), "Intel Corporation");
        assert_eq!(text(PciVendor, 0x0e11), "Compaq Computer Corporation");
        assert_eq!(text(PciVendor, 0xabcd), "unknown pci vendor: 0xabcd");
        assert_eq!(text(PciVendor, 1), "unknown pci vendor: 0x01");
        assert_eq!(text(PciVendor, 0x1_8086), "unknown pci vendor: 0x18086");
        assert_eq!(text(PciVendor, -1), "unknown pci vendor: 0x-1");
        assert_eq!(
            text(PciDevice, 0x8086_1533),
            "I210 Gigabit Network Connection"
        );
        assert_eq!(text(PciDevice, 0x0e11_0001), "PCI to EISA Bridge");
        assert_eq!(
            text(PciDevice, 0x8086_ffff),
            "unknown pci device: 0x8086ffff"
        );
        assert_eq!(text(PciDevice, 7), "unknown pci device: 0x0007");
    }

    #[test]
    fn classes_and_subclasses() {
        assert_eq!(text(PciClass, 2), "Network controller");
        assert_eq!(text(PciClass, 3), "unknown pci class: 0x03");
        assert_eq!(text(PciSubclass, 0x0200), "Ethernet controller");
        assert_eq!(
            text(PciSubclass, 0x0207),
            "unknown pci subclass: 0x07 (class 0x02)"
        );
        assert_eq!(text(PciSubclass, 0x0300), "unknown pci class: 0x03");
        assert_eq!(text(PciSubclass, 0x1_0200), "unknown pci class: 0x102");
    }

    #[test]
    fn without_pci_ids_every_answer_says_so() {
        let kernel = FakeKernel::default();
        let texts = [
            say(&PciVendor, &kernel, b"1"),
            say(&PciDevice, &kernel, b"x"),
            say(&PciClass, &kernel, b"1"),
            say(&PciSubclass, &kernel, b"1"),
        ];
        assert_eq!(texts, ["missing pci.ids db"; 4]);
    }

    #[test]
    fn one_bad_number_is_one_error() {
        let decoded = decode(&PciVendor, &kernel(), &["32902", "x", ""]);
        assert_eq!(
            decoded.cells(),
            &["Intel Corporation", "", ""].into_iter().collect()
        );
        let errors: Vec<_> = decoded
            .errors()
            .iter()
            .map(|error| error.message.as_str())
            .collect();
        assert_eq!(
            errors,
            [
                "pci_vendor wants a decimal number, got `x`",
                "pci_vendor wants a decimal number, got ``"
            ]
        );
    }
}
