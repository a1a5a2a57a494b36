//! The tables of pci.ids: names of PCI vendors, devices, classes and subclasses.
//!
//! The file is opened at start, read when somebody first asks, and is then about 1.5 MB of names.
//! Its format is described in its own head: lines of a hexadecimal number, two blanks and a name,
//! indented by tabs; classes start with `C `.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::OnceLock;

use flate2::read::GzDecoder;
use parking_lot::Mutex;
use tracing::{info, warn};

use super::from_start::FromStart;
use super::names::{Names, NamesBuilder};

/// The variable that names a pci.ids of the operator's own.
const VARIABLE: &str = "PCIDB_PATH";
const PATHS: [&str; 4] = [
    "/usr/share/hwdata/pci.ids",
    "/usr/share/misc/pci.ids",
    "/usr/share/hwdata/pci.ids.gz",
    "/usr/share/misc/pci.ids.gz",
];
/// The real one has less than 2 MB; more than this isn't a pci.ids.
const MAX_SIZE: u64 = 32 << 20;

/// What a file that gzip has made begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Which of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PciKind {
    Vendor,
    /// The id is vendor << 16 | device.
    Device,
    Class,
    /// The id is class << 8 | subclass.
    Subclass,
}

#[derive(Debug)]
pub(super) struct PciIds {
    /// Taken when the tables are read.
    source: Mutex<Option<File>>,
    tables: OnceLock<Option<Tables>>,
}

#[derive(Debug, Default)]
struct Tables {
    vendors: Names<u32>,
    devices: Names<u32>,
    classes: Names<u32>,
    subclasses: Names<u32>,
}

/// The line that the indented lines below it belong to.
enum Parent {
    Vendor(u32),
    Class(u32),
    Unknown,
}

// === impl PciIds ===

impl PciIds {
    pub(super) fn open() -> Self {
        Self::from_source(open())
    }

    pub(super) fn from_source(source: Option<File>) -> Self {
        Self {
            source: Mutex::new(source),
            tables: OnceLock::new(),
        }
    }

    /// `None`: this machine has no pci.ids.
    pub(super) fn names(&self, kind: PciKind, ids: &[u32]) -> Option<Vec<Option<String>>> {
        let tables = self.tables.get_or_init(|| self.read()).as_ref()?;
        let table = match kind {
            PciKind::Vendor => &tables.vendors,
            PciKind::Device => &tables.devices,
            PciKind::Class => &tables.classes,
            PciKind::Subclass => &tables.subclasses,
        };
        let name = |id: &u32| table.get(*id).map(str::to_owned);
        Some(ids.iter().map(name).collect())
    }

    fn read(&self) -> Option<Tables> {
        let Some(file) = self.source.lock().take() else {
            info!(
                "no pci.ids found in {VARIABLE}, /usr/share/hwdata or /usr/share/misc; PCI ids stay without names: install hwdata or pci.ids"
            );
            return None;
        };
        read_text(&file)
            .inspect_err(|error| warn!("cannot read pci.ids: {error}; PCI ids stay without names"))
            .ok()
            .map(|text| parse(&text))
    }
}

fn read_text(file: &File) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut magic = [0; 2];
    let compressed = FromStart::new(file).read_exact(&mut magic).is_ok() && magic == GZIP;
    let file = FromStart::new(file);
    if compressed {
        GzDecoder::new(file)
            .take(MAX_SIZE + 1)
            .read_to_end(&mut bytes)?;
    } else {
        file.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    }
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_SIZE) {
        return Err(io::Error::other(format!(
            "expected a pci.ids, found more than {MAX_SIZE} bytes"
        )));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The machine's pci.ids, or the operator's.
pub(crate) fn open() -> Option<File> {
    let chosen = env::var_os(VARIABLE);
    let chosen = chosen.as_deref().map(Path::new);
    let paths = chosen.into_iter().chain(PATHS.iter().map(Path::new));
    paths
        .filter_map(|path| {
            let opened = File::open(path);
            opened
                .inspect_err(|error| {
                    if chosen == Some(path) {
                        warn!("cannot open {} (from {VARIABLE}): {error}", path.display());
                    }
                })
                .ok()
        })
        .next()
}

fn parse(text: &str) -> Tables {
    let mut vendors = NamesBuilder::default();
    let mut devices = NamesBuilder::default();
    let mut classes = NamesBuilder::default();
    let mut subclasses = NamesBuilder::default();
    let mut parent = Parent::Unknown;
    for line in text.lines() {
        if line.is_empty() || line.starts_with('#') || line.starts_with("\t\t") {
            continue;
        }
        if let Some(child) = line.strip_prefix('\t') {
            match parent {
                Parent::Vendor(vendor) => {
                    if let Some((device, name)) = entry(child, 4) {
                        devices.add(vendor << 16 | device, name);
                    }
                }
                Parent::Class(class) => {
                    if let Some((subclass, name)) = entry(child, 2) {
                        subclasses.add(class << 8 | subclass, name);
                    }
                }
                Parent::Unknown => {}
            }
        } else if let Some((class, name)) = line.strip_prefix("C ").and_then(|line| entry(line, 2))
        {
            classes.add(class, name);
            parent = Parent::Class(class);
        } else if let Some((vendor, name)) = entry(line, 4) {
            vendors.add(vendor, name);
            parent = Parent::Vendor(vendor);
        } else {
            parent = Parent::Unknown;
        }
    }
    Tables {
        vendors: vendors.finish(),
        devices: devices.finish(),
        classes: classes.finish(),
        subclasses: subclasses.finish(),
    }
}

/// `1234  Name`: exactly `digits` hexadecimal digits and the rest.
fn entry(line: &str, digits: usize) -> Option<(u32, &str)> {
    let (number, name) = line.split_at_checked(digits)?;
    if !number.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let name = name.strip_prefix(' ')?.trim();
    Some((u32::from_str_radix(number, 16).ok()?, name))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::path::PathBuf;

    use super::{PciIds, PciKind};

    const FIXTURE: &str = "\
#
#\tList of PCI ID's
#
0010  Allied Telesis, Inc
\t8139  AT-2500TX V3 Ethernet
8086  Intel Corporation
\t1237  440FX - 82441FX PMC [Natoma]
\t\t1af4 1100  Qemu virtual machine
zz  not a vendor
\t1237  nobody's
C 01  Mass storage controller
\t08  Non-Volatile memory controller
\t\t02  NVM Express
C ff  Unassigned class
\t01  last subclass
";

    fn ids(file_name: &str, bytes: &[u8]) -> (tempfile::TempDir, PciIds) {
        let directory = tempfile::tempdir().unwrap();
        let path: PathBuf = directory.path().join(file_name);
        File::create(&path).unwrap().write_all(bytes).unwrap();
        let file = File::open(&path).unwrap();
        (directory, PciIds::from_source(Some(file)))
    }

    #[test]
    fn all_four_tables_are_read() {
        let (_directory, ids) = ids("pci.ids", FIXTURE.as_bytes());
        let one = |kind, id| ids.names(kind, &[id]).unwrap().remove(0);
        assert_eq!(one(PciKind::Vendor, 0x10).unwrap(), "Allied Telesis, Inc");
        assert_eq!(one(PciKind::Vendor, 0x8086).unwrap(), "Intel Corporation");
        assert_eq!(
            one(PciKind::Device, 0x10_8139).unwrap(),
            "AT-2500TX V3 Ethernet"
        );
        assert_eq!(
            one(PciKind::Device, 0x8086_1237).unwrap(),
            "440FX - 82441FX PMC [Natoma]"
        );
        assert_eq!(
            one(PciKind::Class, 0x01).unwrap(),
            "Mass storage controller"
        );
        assert_eq!(
            one(PciKind::Subclass, 0x0108).unwrap(),
            "Non-Volatile memory controller"
        );
        assert_eq!(one(PciKind::Subclass, 0xff01).unwrap(), "last subclass");
        assert_eq!(one(PciKind::Device, 0x8086_1af4), None);
        assert_eq!(one(PciKind::Vendor, 0xffff), None);
    }

    #[test]
    fn a_compressed_file_is_read_too() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(FIXTURE.as_bytes()).unwrap();
        let (_directory, ids) = ids("pci.ids.gz", &encoder.finish().unwrap());
        assert_eq!(
            ids.names(PciKind::Class, &[0xff, 2]).unwrap(),
            [Some("Unassigned class".to_owned()), None]
        );
    }

    #[test]
    fn without_a_readable_file_there_are_no_tables() {
        assert_eq!(
            PciIds::from_source(None).names(PciKind::Vendor, &[0x8086]),
            None
        );
        let (_directory, broken) = ids("pci.ids.gz", b"\x1f\x8bnot gzip");
        assert_eq!(broken.names(PciKind::Vendor, &[0x8086]), None);
    }
}
