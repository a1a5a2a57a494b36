//! Names of block devices by device number, from /proc/partitions.
//!
//! The file is small, so it is read in each scrape that asks at all (once): a number that went to
//! another device is noticed.

use std::collections::HashMap;

use parking_lot::Mutex;
use tracing::warn;

use super::allowance::{OncePerScrape, Scrape};
use super::text::read_text;

const PATH: &str = "/proc/partitions";
/// The kernel's `MINORBITS`.
const MINOR_BITS: u32 = 20;

#[derive(Debug, Default)]
pub(super) struct BlockDevices {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    names: HashMap<u32, String>,
    read: OncePerScrape,
    warned: bool,
}

// === impl BlockDevices ===

impl BlockDevices {
    /// `devices` are the kernel's own numbers: minor in the low 20 bits, major above.
    pub(super) fn names(&self, devices: &[u32], scrape: Scrape) -> Vec<Option<String>> {
        let mut state = self.state.lock();
        if !devices.is_empty() && state.read.take(scrape) {
            match read_text(PATH) {
                Ok(text) => state.names = parse(&text),
                Err(error) if !state.warned => {
                    state.warned = true;
                    warn!("cannot read {PATH}: {error}; block devices stay without names");
                }
                Err(_) => {}
            }
        }
        devices
            .iter()
            .map(|device| state.names.get(device).cloned())
            .collect()
    }
}

/// Lines of four columns `major minor #blocks name` below a head line.
fn parse(text: &str) -> HashMap<u32, String> {
    text.lines()
        .filter_map(|line| {
            let mut columns = line.split_ascii_whitespace();
            let major: u32 = columns.next()?.parse().ok()?;
            let minor: u32 = columns.next()?.parse().ok()?;
            let name = columns.nth(1)?;
            let fits = major < 1 << (u32::BITS - MINOR_BITS) && minor < 1 << MINOR_BITS;
            (fits && columns.next().is_none())
                .then(|| (major << MINOR_BITS | minor, name.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{BlockDevices, parse};

    const FIXTURE: &str = "\
major minor  #blocks  name

 254        0  268435456 vda
 259   131072     102400 nvme0n1p1
   8        1       1024 sda1
   8        2
4096        0          1 toolarge
   8  1048576          1 toolarge
   8        3          1 two words
";

    #[test]
    fn numbers_are_the_kernels_own() {
        let names = parse(FIXTURE);
        assert_eq!(names.get(&(254 << 20)).unwrap(), "vda");
        assert_eq!(names.get(&(259 << 20 | 131_072)).unwrap(), "nvme0n1p1");
        assert_eq!(names.get(&(8 << 20 | 1)).unwrap(), "sda1");
        assert_eq!(names.len(), 3);
    }

    #[test]
    fn an_unknown_device_has_no_name() {
        let devices = BlockDevices::default();
        assert_eq!(devices.names(&[u32::MAX], 0), [None]);
    }
}
