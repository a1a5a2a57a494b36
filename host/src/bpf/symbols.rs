//! Where an object's global variables lie, from its ELF symbol table (so it works without BTF too).

use std::collections::HashSet;

use object::Object as _;
use object::ObjectSection as _;
use object::ObjectSymbol as _;
use object::elf::FileHeader64;
use object::endian::Endianness;
use object::read::elf::ElfFile;
use object::{RelocationTarget, SymbolKind};

/// A global variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Global {
    pub(super) name: String,
    /// `.rodata`, `.data`, `.bss`, or one of their kind such as `.data.counters`.
    pub(super) section: String,
    /// From the section's beginning, in bytes.
    pub(super) offset: usize,
    /// Bytes.
    pub(super) size: usize,
}

/// All global variables in sections that become maps. Empty if the file is not an ELF file: opening
/// it tells more.
pub(super) fn globals(elf: &[u8]) -> Vec<Global> {
    let Ok(file) = ElfFile::<FileHeader64<Endianness>>::parse(elf) else {
        return Vec::new();
    };
    file.symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Data)
        .filter_map(|symbol| {
            let section = file.section_by_index(symbol.section_index()?).ok()?;
            let section = section.name().ok()?;
            let becomes_a_map = [".rodata", ".data", ".bss"].iter().any(|kind| {
                section
                    .strip_prefix(kind)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            });
            becomes_a_map.then_some(())?;
            Some(Global {
                name: symbol.name().ok()?.to_owned(),
                section: section.to_owned(),
                offset: usize::try_from(symbol.address()).ok()?,
                size: usize::try_from(symbol.size()).ok()?,
            })
        })
        .collect()
}

/// Functions outside of all sections of programs that nothing calls: programs whose `SEC()` was
/// forgotten, most likely.
pub(super) fn without_section(elf: &[u8]) -> Vec<String> {
    let Ok(file) = ElfFile::<FileHeader64<Endianness>>::parse(elf) else {
        return Vec::new();
    };
    let Some(text) = file.section_by_name(".text") else {
        return Vec::new();
    };
    let mut called = HashSet::new();
    for section in file.sections() {
        let relocations = section.relocations();
        called.extend(
            relocations.filter_map(|(_, relocation)| match relocation.target() {
                RelocationTarget::Symbol(symbol) => Some(symbol),
                _ => None,
            }),
        );
    }
    let functions = file.symbols().filter(|symbol| {
        symbol.kind() == SymbolKind::Text
            && symbol.is_global()
            && symbol.section_index() == Some(text.index())
            && !called.contains(&symbol.index())
    });
    functions
        .filter_map(|symbol| Some(symbol.name().ok()?.to_owned()))
        .collect()
}

/// What a file is, if it is not a BPF object: for a sentence. `None`: it looks like one.
pub(super) fn not_bpf(file: &[u8]) -> Option<String> {
    /// From <elf.h>. Old compilers wrote no machine at all.
    const EM_NONE: u16 = 0;
    const EM_BPF: u16 = 247;
    const ET_REL: u16 = 1;
    if file.is_empty() {
        return Some("it is empty".to_owned());
    }
    if !file.starts_with(b"\x7fELF") {
        return Some("it is not an ELF file; it is made by `clang -target bpf -c`".to_owned());
    }
    let (Some(&class), Some(&order)) = (file.get(4), file.get(5)) else {
        return Some("it is cut off".to_owned());
    };
    if class != 2 {
        return Some("it is a 32-bit ELF file".to_owned());
    }
    let field = |at: usize| {
        let bytes: [u8; 2] = file.get(at..at + 2)?.try_into().ok()?;
        Some(if order == 2 {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    };
    let (Some(kind), Some(machine)) = (field(16), field(18)) else {
        return Some("it is cut off".to_owned());
    };
    if machine != EM_BPF && machine != EM_NONE {
        return Some(format!(
            "it is compiled for another machine (ELF machine {machine}, expected {EM_BPF}: add `-target bpf`)"
        ));
    }
    if kind != ET_REL {
        return Some(
            "it is a linked file: a BPF object is what the compiler makes with `-c`".to_owned(),
        );
    }
    let native = if cfg!(target_endian = "big") { 2 } else { 1 };
    (order != native).then(|| "it has the other byte order: use `-target bpf`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::testing;

    #[test]
    fn globals_of_an_object() {
        let object = testing::compile(
            "const volatile u64 kaddr_one = 0; const volatile u32 small = 3; volatile u64 counter = 0; volatile u64 filled = 7;\n\
             SEC(\"tp_btf/sched_switch\") int f(void *ctx) { counter += kaddr_one + small + filled; return 0; }",
        );
        let elf = std::fs::read(&object.path).unwrap();
        let mut globals: Vec<_> = globals(&elf)
            .into_iter()
            .map(|global| (global.name, global.section, global.size))
            .collect();
        globals.sort();
        let expected = [
            ("counter", ".bss", 8),
            ("filled", ".data", 8),
            ("kaddr_one", ".rodata", 8),
            ("small", ".rodata", 4),
        ];
        assert_eq!(
            globals,
            expected.map(|(name, section, size)| (name.to_owned(), section.to_owned(), size))
        );
        assert_eq!(not_bpf(&elf), None);
        // Cut anywhere, it is an error at most.
        for length in 0..elf.len().min(600) {
            super::globals(&elf[..length]);
            not_bpf(&elf[..length]);
        }
    }

    #[test]
    fn other_files_are_told_apart() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert!(not_bpf(&own).unwrap().contains("another machine"));
        assert!(not_bpf(b"").unwrap().contains("empty"));
        assert!(
            not_bpf(b"apiVersion: v1")
                .unwrap()
                .contains("not an ELF file")
        );
        assert!(not_bpf(b"\x7fELF\x02\x01").unwrap().contains("cut off"));
    }
}
