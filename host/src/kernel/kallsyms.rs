//! /proc/kallsyms: the open file and its format. Which symbols to read when is decided in
//! `symbols`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::RangeInclusive;

use super::from_start::FromStart;
use super::names::{Names, NamesBuilder};

pub(super) const PATH: &str = "/proc/kallsyms";

/// The kernel's symbols by address. Of several names of one address the first listed wins: that is
/// the one the kernel itself prints in a stack trace (kallsyms sorts weak names and names with more
/// leading underscores behind their better aliases).
#[derive(Debug, Default)]
pub(super) struct SymbolTable {
    names: Names<u64>,
    /// From the first to the last symbol that belongs to no module. The kernel's own image never
    /// changes while it runs, so whatever is found in here is final.
    image: Option<RangeInclusive<u64>>,
    /// Every symbol has address zero: the kernel hides them from whoever opened the file.
    hidden: bool,
}

/// What the table says about an address.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Nearest<'a> {
    pub(super) name: &'a str,
    pub(super) offset: u64,
}

/// One line: `ffffffff81000000 T _text` or `ffffffffc0201000 t function<TAB>[module]`. Lines with
/// more or fewer parts are not symbols.
fn parse_line(line: &[u8]) -> Option<(u64, &[u8])> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (address, _kind, name) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || name.is_empty() {
        return None;
    }
    let address = u64::from_str_radix(std::str::from_utf8(address).ok()?, 16).ok()?;
    Some((address, name))
}

/// The module a symbol's name ends with, `None` for the kernel's own.
fn module_of(name: &str) -> Option<&str> {
    let (_, module) = name.split_once('\t')?;
    Some(module.trim_start_matches('[').trim_end_matches(']'))
}

/// Calls `visit` with address and name of every symbol, from the start of the file.
fn scan(source: impl Read, mut visit: impl FnMut(u64, &[u8])) -> io::Result<()> {
    let mut source = BufReader::with_capacity(64 * 1024, source);
    let mut line = Vec::with_capacity(128);
    loop {
        line.clear();
        if source.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if let Some((address, name)) = parse_line(&line) {
            visit(address, name);
        }
    }
}

/// Reads the whole table. The kernel decides when a file is opened whether its reader may see
/// addresses, so the handle goes on showing them after the process gave CAP_SYSLOG away, and to a
/// process that was never allowed to see them.
pub(super) fn read_table(file: &File) -> io::Result<SymbolTable> {
    SymbolTable::parse(FromStart::new(file))
}

/// The addresses of some symbols without building a table. Of symbols with the same name the last
/// listed wins.
pub(super) fn read_addresses(file: &File, names: &[&str]) -> io::Result<Vec<Option<u64>>> {
    addresses(FromStart::new(file), names)
}

fn addresses(source: impl Read, names: &[&str]) -> io::Result<Vec<Option<u64>>> {
    let mut found = vec![None; names.len()];
    scan(source, |address, symbol| {
        for (name, slot) in names.iter().zip(&mut found) {
            if name.as_bytes() == symbol {
                *slot = Some(address);
            }
        }
    })?;
    Ok(found)
}

// === impl SymbolTable ===

impl SymbolTable {
    fn parse(source: impl Read) -> io::Result<Self> {
        let mut names = NamesBuilder::default();
        let mut image: Option<RangeInclusive<u64>> = None;
        let mut zeros = 0_usize;
        scan(source, |address, name| {
            // Zero is either a hidden address or the start of the per-CPU area, and no question's
            // answer.
            if address == 0 {
                zeros += 1;
                return;
            }
            let name = String::from_utf8_lossy(name);
            if module_of(&name).is_none() {
                image = Some(match &image {
                    Some(seen) => address.min(*seen.start())..=address.max(*seen.end()),
                    None => address..=address,
                });
            }
            names.add(address, &name);
        })?;
        let names = names.finish();
        let hidden = names.is_empty() && zeros > 0;
        Ok(Self {
            names,
            image,
            hidden,
        })
    }

    pub(super) fn nearest(&self, address: u64) -> Option<Nearest<'_>> {
        let (start, name) = self.names.at_or_below(address)?;
        Some(Nearest {
            name,
            offset: address - start,
        })
    }

    /// Could a newer table have no better answer? So it is for an exact hit, inside the kernel's
    /// image, and between two symbols of one module (each BPF program is a symbol of the one module
    /// `[bpf]`, so that one says nothing). And where addresses are hidden, as that was decided when
    /// the file was opened.
    pub(super) fn is_settled(&self, address: u64) -> bool {
        let in_image = |image: &RangeInclusive<u64>| image.contains(&address);
        if self.hidden || self.image.as_ref().is_some_and(in_image) {
            return true;
        }
        let Some((start, below)) = self.names.at_or_below(address) else {
            return false;
        };
        if start == address {
            return true;
        }
        let above = self.names.above(address).map(|(_, name)| module_of(name));
        match module_of(below) {
            Some("bpf") | None => false,
            module => above == Some(module),
        }
    }

    pub(super) fn is_hidden(&self) -> bool {
        self.hidden
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Nearest, SymbolTable, addresses};

    const FIXTURE: &str = "\
0000000000000000 A __per_cpu_start
ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000100 T do_one
ffffffff81000200 t do_two
ffffffff81000300 W weak with too many parts
ffffffff82000000 T last_of_image
ffffffffc0001000 t first_of_m\t[m]
ffffffffc0001800 t last_of_m\t[m]
ffffffffc0009000 t bpf_prog_a\t[bpf]
ffffffffc0009800 t bpf_prog_b\t[bpf]
ffffffffc0000800 t do_one\t[early]
not a line
ffffffffc0000900 t do_two
";

    fn table(text: &str) -> SymbolTable {
        SymbolTable::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn nearest_symbol_at_or_below() {
        let table = table(FIXTURE);
        let near = |address| {
            table
                .nearest(address)
                .map(|Nearest { name, offset }| (name.to_owned(), offset))
        };
        assert_eq!(near(0xffff_ffff_8000_0000), None);
        assert_eq!(near(0xffff_ffff_8100_0000), Some(("_stext".to_owned(), 0)));
        assert_eq!(
            near(0xffff_ffff_8100_0123),
            Some(("do_one".to_owned(), 0x23))
        );
        assert_eq!(
            near(0xffff_ffff_c000_1004),
            Some(("first_of_m\t[m]".to_owned(), 4))
        );
        assert_eq!(near(u64::MAX).unwrap().0, "bpf_prog_b\t[bpf]");
        assert!(!table.is_hidden());
    }

    #[test]
    fn only_what_cannot_change_is_settled() {
        let table = table(&FIXTURE.replace("ffffffffc0000900 t do_two\n", ""));
        assert!(table.is_settled(0xffff_ffff_8100_0123), "in the image");
        assert!(table.is_settled(0xffff_ffff_c000_1804 - 0x10), "inside m");
        assert!(table.is_settled(0xffff_ffff_c000_9800), "an exact hit");
        assert!(
            !table.is_settled(0xffff_ffff_c000_1900),
            "after the last of m"
        );
        assert!(
            !table.is_settled(0xffff_ffff_c000_9100),
            "between two BPF programs"
        );
        assert!(!table.is_settled(0xffff_ffff_8000_0000), "below everything");
    }

    #[test]
    fn addresses_by_name_take_the_last_duplicate_and_keep_modules_apart() {
        let found = addresses(
            FIXTURE.as_bytes(),
            &["do_two", "do_one\t[early]", "absent", "__per_cpu_start"],
        )
        .unwrap();
        assert_eq!(
            found,
            [
                Some(0xffff_ffff_c000_0900),
                Some(0xffff_ffff_c000_0800),
                None,
                Some(0)
            ]
        );
    }

    #[test]
    fn zeroed_addresses_are_noticed() {
        let table = table("0000000000000000 T _stext\n0000000000000000 T _text\n");
        assert!(table.is_hidden());
        assert_eq!(table.nearest(0xffff_ffff_8100_0000), None);
        assert!(
            table.is_settled(0xffff_ffff_8100_0000),
            "reading again is useless"
        );
    }

    #[test]
    fn a_last_line_without_newline_and_bytes_outside_utf8_do_no_harm() {
        let table = SymbolTable::parse(&b"10 T a\xff\n20 T b"[..]).unwrap();
        assert_eq!(table.nearest(0x10).unwrap().name, "a\u{fffd}");
        assert_eq!(
            table.nearest(0x21).unwrap(),
            Nearest {
                name: "b",
                offset: 1
            }
        );
    }
}
