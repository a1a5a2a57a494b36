//! Where a program or library has a static probe: its section `.note.stapsdt`.
//!
//! Only the tables are read: some libraries have hundreds of megabytes. The format is described at
//! https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use object::elf;

/// A place in the code that is the probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    /// In the file.
    pub(super) offset: usize,
    /// As linked.
    pub(super) address: u64,
    /// In the file.
    pub(super) semaphore: Option<usize>,
    /// As the compiler has written them.
    pub(super) arguments: String,
}

const NOTES: &[u8] = b".note.stapsdt";
const BASE: &[u8] = b".stapsdt.base";
const NOTE_OWNER: &[u8] = b"stapsdt\0";
const NOTE_TYPE: u32 = 3;
/// Of any table that is read: a hundred times what the largest have.
const MAX_BYTES: u64 = 64 << 20;

struct Section {
    name: u32,
    address: u64,
    offset: u64,
    size: u64,
}

struct Segment {
    executable: bool,
    offset: u64,
    address: u64,
    size: u64,
}

/// All places of a probe, and whether the file is loaded at other addresses in each process.
pub(super) fn sites(path: &Path, provider: &str, name: &str) -> Result<(Vec<Site>, bool), String> {
    let file = File::open(path).map_err(|error| format!("it cannot be read: {error}"))?;
    let file = Reader(&file);
    let damaged = |error: io::Error| format!("it is no whole ELF file: {error}");
    let header = file.bytes(0, 64).map_err(damaged)?;
    let kind = check(&header)?;
    let sections = file.sections(&header).map_err(damaged)?;
    let names = file.names(&header, &sections).map_err(damaged)?;
    let named = |wanted: &[u8]| {
        sections.iter().find(|section| {
            let name = names.get(section.name as usize..).unwrap_or_default();
            name.strip_prefix(wanted)
                .is_some_and(|rest| rest.first() == Some(&0))
        })
    };
    let Some(notes) = named(NOTES) else {
        return Err("it has no static probes (no section .note.stapsdt)".to_owned());
    };
    let base = named(BASE).map(|section| section.address);
    let segments = file.segments(&header).map_err(damaged)?;
    let notes = file.bytes(notes.offset, notes.size).map_err(damaged)?;
    let mut sites = Vec::new();
    for note in Notes(&notes) {
        let Some(note) = note else {
            return Err("its section .note.stapsdt is damaged".to_owned());
        };
        if note.provider != provider.as_bytes() || note.name != name.as_bytes() {
            continue;
        }
        sites.push(site(&note, base, &segments)?);
    }
    Ok((sites, kind == elf::ET_DYN))
}

/// Gives the kind of file.
fn check(header: &[u8]) -> Result<u16, String> {
    if !header.starts_with(&elf::ELFMAG) {
        return Err("it is no ELF file".to_owned());
    }
    if header.get(4) != Some(&elf::ELFCLASS64) {
        return Err("it is a 32-bit file: only programs of this machine can be probed".to_owned());
    }
    let order = if cfg!(target_endian = "big") {
        elf::ELFDATA2MSB
    } else {
        elf::ELFDATA2LSB
    };
    let machine = if cfg!(target_arch = "aarch64") {
        elf::EM_AARCH64
    } else {
        elf::EM_X86_64
    };
    if header.get(5) != Some(&order) || u16_at(header, 18) != Some(machine) {
        return Err("it is for another machine".to_owned());
    }
    match u16_at(header, 16) {
        Some(kind @ (elf::ET_EXEC | elf::ET_DYN)) => Ok(kind),
        _ => Err("it is neither a program nor a library".to_owned()),
    }
}

fn site(note: &Note<'_>, base: Option<u64>, segments: &[Segment]) -> Result<Site, String> {
    // Prelinking moves the section, not what the notes say.
    let address = match base {
        Some(base) if note.base != 0 => {
            let moved = base.wrapping_sub(note.base);
            note.address.wrapping_add(moved)
        }
        _ => note.address,
    };
    let position = |address: u64, executable: bool, what: &str| {
        let mut segments = segments.iter();
        segments
            .find(|segment| {
                address
                    .checked_sub(segment.address)
                    .is_some_and(|within| within < segment.size)
                    && segment.executable == executable
            })
            .and_then(|segment| (address - segment.address).checked_add(segment.offset))
            .and_then(|offset| usize::try_from(offset).ok())
            .ok_or_else(|| format!("its {what} at {address:#x} is in no segment of the file"))
    };
    let semaphore = (note.semaphore != 0)
        .then(|| position(note.semaphore, false, "semaphore"))
        .transpose()?;
    Ok(Site {
        offset: position(address, true, "probe")?,
        address,
        semaphore,
        arguments: String::from_utf8_lossy(note.arguments).into_owned(),
    })
}

struct Reader<'f>(&'f File);

impl Reader<'_> {
    fn bytes(&self, offset: u64, size: u64) -> io::Result<Vec<u8>> {
        if size > MAX_BYTES {
            return Err(io::Error::other(format!("a table has {size} bytes")));
        }
        // Nothing is set aside for what is not there.
        let length = self.0.metadata()?.len();
        if offset.checked_add(size).is_none_or(|end| end > length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; size as usize];
        self.0.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn sections(&self, header: &[u8]) -> io::Result<Vec<Section>> {
        let (start, each) = (u64_at(header, 40), u16_at(header, 58));
        let (Some(start), Some(each @ 64..), Some(count)) = (start, each, u16_at(header, 60))
        else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        if start == 0 {
            return Ok(Vec::new());
        }
        let mut count = u64::from(count);
        if count == 0 {
            // More than fit there.
            count = u64_at(&self.bytes(start, 64)?, 32).unwrap_or_default();
        }
        let size = count.saturating_mul(u64::from(each));
        let table = self.bytes(start, size)?;
        let one = |entry: &[u8]| {
            Some(Section {
                name: u32_at(entry, 0)?,
                address: u64_at(entry, 16)?,
                offset: u64_at(entry, 24)?,
                size: u64_at(entry, 32)?,
            })
        };
        Ok(table.chunks_exact(each.into()).filter_map(one).collect())
    }

    fn names(&self, header: &[u8], sections: &[Section]) -> io::Result<Vec<u8>> {
        let index = match u16_at(header, 62) {
            Some(elf::SHN_XINDEX) => {
                let start = u64_at(header, 40).unwrap_or_default();
                u32_at(&self.bytes(start, 64)?, 40).unwrap_or_default() as usize
            }
            index => index.unwrap_or_default().into(),
        };
        match sections.get(index) {
            Some(names) => self.bytes(names.offset, names.size),
            None => Ok(Vec::new()),
        }
    }

    fn segments(&self, header: &[u8]) -> io::Result<Vec<Segment>> {
        let (start, each) = (u64_at(header, 32), u16_at(header, 54));
        let (Some(start), Some(each @ 56..), Some(count)) = (start, each, u16_at(header, 56))
        else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let table = self.bytes(start, u64::from(count) * u64::from(each))?;
        let one = |entry: &[u8]| {
            (u32_at(entry, 0)? == elf::PT_LOAD).then_some(())?;
            Some(Segment {
                executable: u32_at(entry, 4)? & elf::PF_X != 0,
                offset: u64_at(entry, 8)?,
                address: u64_at(entry, 16)?,
                size: u64_at(entry, 40)?,
            })
        };
        Ok(table.chunks_exact(each.into()).filter_map(one).collect())
    }
}

struct Note<'n> {
    address: u64,
    base: u64,
    semaphore: u64,
    provider: &'n [u8],
    name: &'n [u8],
    arguments: &'n [u8],
}

/// Those of static probes. An item that is none: the section is damaged.
struct Notes<'n>(&'n [u8]);

impl<'n> Iterator for Notes<'n> {
    type Item = Option<Note<'n>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.0.is_empty() {
                return None;
            }
            let Some(any) = split(self.0) else {
                self.0 = &[];
                return Some(None);
            };
            self.0 = any.rest;
            if (any.owner, any.kind) == (NOTE_OWNER, NOTE_TYPE) {
                return Some(note(any.content));
            }
        }
    }
}

/// Any note, and what follows it.
struct AnyNote<'n> {
    owner: &'n [u8],
    kind: u32,
    content: &'n [u8],
    rest: &'n [u8],
}

fn split(bytes: &[u8]) -> Option<AnyNote<'_>> {
    let (owner, content) = (u32_at(bytes, 0)? as usize, u32_at(bytes, 4)? as usize);
    let kind = u32_at(bytes, 8)?;
    let after = bytes.get(12..)?;
    let padded = |size: usize| size.checked_next_multiple_of(4);
    let from = after.get(padded(owner)?..)?;
    // The last may lack its padding.
    let rest = from.get(padded(content)?..).unwrap_or_default();
    Some(AnyNote {
        owner: after.get(..owner)?,
        kind,
        content: from.get(..content)?,
        rest,
    })
}

fn note(content: &[u8]) -> Option<Note<'_>> {
    let mut texts = content.get(24..)?.split(|byte| *byte == 0);
    let (provider, name, arguments) = (texts.next()?, texts.next()?, texts.next()?);
    Some(Note {
        address: u64_at(content, 0)?,
        base: u64_at(content, 8)?,
        semaphore: u64_at(content, 16)?,
        provider,
        name,
        arguments: if arguments == b":" { &[] } else { arguments },
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u64::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note_bytes(owner: &[u8], content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [owner.len() as u32, content.len() as u32, NOTE_TYPE] {
            bytes.extend(number.to_ne_bytes());
        }
        for part in [owner, content] {
            bytes.extend(part);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn notes_are_read_and_damaged_ones_told() {
        let mut content = Vec::new();
        for number in [0x1010_u64, 0x3000, 0x5000] {
            content.extend(number.to_ne_bytes());
        }
        content.extend(b"p\0step\0-4@%eax\0");
        let bytes = [note_bytes(b"GNU\0", b"x"), note_bytes(NOTE_OWNER, &content)].concat();
        let found: Vec<_> = Notes(&bytes).map(Option::unwrap).collect();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].provider, found[0].name, found[0].arguments),
            (&b"p"[..], &b"step"[..], &b"-4@%eax"[..])
        );
        let segments = [
            Segment {
                executable: true,
                offset: 0x100,
                address: 0x1000,
                size: 0x1000,
            },
            Segment {
                executable: false,
                offset: 0x2000,
                address: 0x5000,
                size: 0x10,
            },
        ];
        // The library has been moved by 0x10.
        let site = super::site(&found[0], Some(0x3010), &segments).unwrap();
        assert_eq!((site.offset, site.semaphore), (0x120, Some(0x2000)));
        assert!(super::site(&found[0], None, &segments[..1]).is_err());
        for length in 0..bytes.len() {
            // Whatever is missing, it ends.
            let _ = Notes(&bytes[..length]).count();
        }
    }

    #[test]
    fn what_is_no_program_of_this_machine_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let own = std::fs::read("/proc/self/exe").unwrap();
        let mut narrow = own[..4096].to_vec();
        narrow[4] = 1;
        for (content, why) in [
            (
                &b"text, and more than an ELF file's header has, by far, to be sure"[..],
                "no ELF",
            ),
            (&own[..32], "no whole ELF file"),
            (&own[..4096], "no whole ELF file"),
            (&narrow, "32-bit"),
        ] {
            std::fs::write(&path, content).unwrap();
            let found = sites(&path, "a", "b").unwrap_err();
            assert!(found.contains(why), "{found}");
        }
        let found = sites(Path::new("/nowhere"), "a", "b").unwrap_err();
        assert!(found.contains("cannot be read"), "{found}");
    }
}
