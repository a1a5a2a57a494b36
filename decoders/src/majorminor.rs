//! `majorminor`: block devices by number.

use exporter_guest_sdk::kernel::Answers;
use exporter_guest_sdk::text::{push_number, read_u32};
use exporter_guest_sdk::{Answer, BatchDecoder, Cells, Decoded, Error, Kernel, NoOptions};

/// The first 4 bytes are a device number as user space has it (`st_dev`; the kernel's
/// new_encode_dev).
#[derive(Debug)]
pub struct MajorMinor;

/// A device by its two numbers.
#[derive(Clone, Copy)]
struct Device {
    major: u32,
    minor: u32,
}

impl Device {
    /// Major: bits 8 to 19. Minor: its low 8 bits in bits 0 to 7, the rest in bits 20 to 31.
    fn from_user(number: u32) -> Self {
        Self {
            major: (number >> 8) & 0xfff,
            minor: (number & 0xff) | ((number >> 12) & 0xf_ff00),
        }
    }

    /// As the kernel itself has it: the minor in the low 20 bits, the major above.
    fn to_kernel(self) -> u32 {
        (self.major << 20) | self.minor
    }
}

impl BatchDecoder for MajorMinor {
    const NAME: &'static str = "majorminor";
    const SUMMARY: &'static str = "4 bytes, a device number: the block device's name";
    type Options = NoOptions;

    fn open(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }

    fn decode_batch(&self, kernel: &impl Kernel, input: &Cells, out: &mut Decoded) {
        let device = |cell: &[u8]| read_u32(cell).map(Device::from_user);
        let questions = input.iter().filter_map(device).map(Device::to_kernel);
        let names = Answers::ask(questions, |devices| kernel.block_devices(devices));
        for cell in input.iter() {
            out.row(|text| {
                let device = device(cell)
                    .ok_or_else(|| format!("majorminor wants 4 bytes, got {}", cell.len()))?;
                if let Some(name) = names.get(device.to_kernel()) {
                    text.extend_from_slice(name.as_bytes());
                    return Ok(Answer::Known);
                }
                text.extend_from_slice(b"unknown:");
                push_number(text, device.major);
                text.push(b':');
                push_number(text, device.minor);
                Ok(Answer::Provisional)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use exporter_guest_sdk::testing::FakeKernel;

    use super::*;
    use crate::testing::say;

    #[test]
    fn the_number_is_asked_as_the_kernel_has_it() {
        let kernel = FakeKernel {
            block_devices: [(8 << 20 | 1, "sda1"), (259 << 20 | 0x123, "nvme3n1p5")].into(),
            ..FakeKernel::default()
        };
        let say = |number: u32| say(&MajorMinor, &kernel, &number.to_ne_bytes());
        assert_eq!(say(8 << 8 | 1), "sda1");
        assert_eq!(say(0x1 << 20 | 259 << 8 | 0x23), "nvme3n1p5");
        assert_eq!(say(253 << 8 | 4), "~ unknown:253:4");
        assert_eq!(say(u32::MAX), "~ unknown:4095:1048575");
    }

    #[test]
    fn short_input_is_an_error() {
        let kernel = FakeKernel::default();
        assert_eq!(
            say(&MajorMinor, &kernel, &[1, 2, 3]),
            "! majorminor wants 4 bytes, got 3"
        );
    }
}
