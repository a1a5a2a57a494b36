//! Which CPUs there are: the possible ones (per-CPU maps have a value for each) and those online
//! now.

use std::io;
use std::path::Path;

use crate::kernel::read_text;

const POSSIBLE: &str = "/sys/devices/system/cpu/possible";
const ONLINE: &str = "/sys/devices/system/cpu/online";

/// CPUs that may ever be online. A per-CPU map's entry has one value for each, in this order.
pub(super) fn possible() -> io::Result<Vec<u32>> {
    read(Path::new(POSSIBLE))
}

/// CPUs that are online at this moment.
pub(super) fn online() -> io::Result<Vec<u32>> {
    read(Path::new(ONLINE))
}

/// The number of each possible CPU, in this order. Empty: 0, 1, 2 and so on, or it is not known.
pub(crate) fn cpu_numbers() -> Vec<u16> {
    possible().map_or_else(|_| Vec::new(), |possible| numbers(&possible))
}

fn numbers(possible: &[u32]) -> Vec<u16> {
    let is_index = |(index, cpu): (u32, &u32)| index == *cpu;
    if (0..).zip(possible).all(is_index) {
        return Vec::new();
    }
    let numbers = possible.iter();
    numbers
        .map(|&cpu| u16::try_from(cpu).unwrap_or(u16::MAX))
        .collect()
}

fn read(path: &Path) -> io::Result<Vec<u32>> {
    let text = read_text(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    parse(text.trim()).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "{}: expected a list of CPUs such as `0-3,8`, found `{}`",
                path.display(),
                text.trim()
            ),
        )
    })
}

/// The kernel's cpulist format: numbers and inclusive ranges, separated by commas. `None` for
/// anything else, an empty list included.
fn parse(list: &str) -> Option<Vec<u32>> {
    /// Far above the kernel's NR_CPUS: only there to bound what a broken file makes us allocate.
    const MAX_CPUS: u32 = 1 << 16;
    let mut cpus = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        if first > last || last > MAX_CPUS {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges() {
        assert_eq!(parse("0").unwrap(), [0]);
        assert_eq!(parse("0-2,5,7-8").unwrap(), [0, 1, 2, 5, 7, 8]);
        for bad in ["", "a", "3-1", "1-", "-1", "0-4294967295", "0,,1"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers_are_said_where_the_mask_has_holes() {
        let of = |mask: &str| numbers(&parse(mask).unwrap());
        assert_eq!(of("0-3"), [] as [u16; 0]);
        assert_eq!(of("0-1,4-5"), [0, 1, 4, 5]);
        assert_eq!(of("2-3"), [2, 3]);
    }

    #[test]
    fn this_machine() {
        assert_eq!(
            possible().unwrap().len(),
            libbpf_rs::num_possible_cpus().unwrap()
        );
        assert!(online().unwrap().len() <= possible().unwrap().len());
    }
}
