//! A look at an object's BTF before libbpf gets it: libbpf follows types without end where a
//! damaged file has them contain themselves.
//!
//! Layout: struct btf_header, btf_type and what follows each, in <linux/btf.h>.

use object::Object as _;
use object::ObjectSection as _;
use object::elf::FileHeader64;
use object::endian::Endianness;
use object::read::elf::ElfFile;

const MAGIC: u16 = 0xeb9f;
/// Deeper than anybody nests: libbpf goes down by calling itself.
const MAX_DEPTH: u32 = 200;

const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
const RESTRICT: u32 = 11;
const VAR: u32 = 14;
const TYPE_TAG: u32 = 18;

/// What is wrong with the types of an object, if they have no end. Whatever else may be wrong is
/// libbpf's to say.
pub(super) fn endless(elf: &[u8]) -> Option<String> {
    let file = ElfFile::<FileHeader64<Endianness>>::parse(elf).ok()?;
    let sections = file.sections();
    let btfs = sections.filter(|section| section.name() == Ok(".BTF"));
    btfs.filter_map(|section| endless_types(section.data().ok()?))
        .next()
}

fn endless_types(btf: &[u8]) -> Option<String> {
    if u16::from_ne_bytes(*btf.first_chunk()?) == MAGIC.swap_bytes() {
        return Some("its BTF has the other byte order: use `-target bpf`".to_owned());
    }
    let types = Types::read(btf)?;
    types.too_deep().map(|id| {
        format!(
            "in its BTF, type {id} contains itself or is nested more than {MAX_DEPTH} deep: the file is damaged, compile it again"
        )
    })
}

/// By type id less 1, the types that are part of each: not those that it points to.
struct Types(Vec<Vec<u32>>);

impl Types {
    /// As far as they can be read.
    fn read(btf: &[u8]) -> Option<Self> {
        let header = word(btf, 4)?;
        let start = header.checked_add(word(btf, 8)?)? as usize;
        let end = start.checked_add(word(btf, 12)? as usize)?;
        let mut rest = btf.get(start..end)?;
        let mut types = Vec::new();
        while let (Some(info), Some(of)) = (word(rest, 4), word(rest, 8)) {
            let (kind, count) = ((info >> 24) & 0x1f, (info & 0xffff) as usize);
            let after = rest.get(12..)?;
            let (size, parts) = match kind {
                1 | 17 => (4, Vec::new()),
                ARRAY => (12, vec![word(after, 0)?]),
                STRUCT | UNION => {
                    let members = (0..count).map_while(|at| word(after, at * 12 + 4));
                    (count * 12, members.collect())
                }
                6 | 13 => (count * 8, Vec::new()),
                TYPEDEF | VOLATILE | CONST | RESTRICT | TYPE_TAG => (0, vec![of]),
                VAR => (4, vec![of]),
                15 | 19 => (count * 12, Vec::new()),
                _ => (0, Vec::new()),
            };
            types.push(parts);
            let Some(next) = after.get(size..) else { break };
            rest = next;
        }
        Some(Self(types))
    }

    /// The first type that has no end.
    fn too_deep(&self) -> Option<u32> {
        // 0: not looked at yet; 1 and more: how deep it is.
        let mut depths = vec![0_u32; self.0.len()];
        for (index, _) in self.0.iter().enumerate() {
            // What is being looked at, and how many of its parts are done.
            let mut path = vec![(index, 0_usize)];
            while let Some((at, done)) = path.last_mut() {
                let parts = self.0.get(*at).map_or(&[][..], Vec::as_slice);
                let part = parts.get(*done).copied();
                *done += 1;
                match part {
                    Some(id) => {
                        // Type 0 is void, others may not be there.
                        let part = (id as usize).wrapping_sub(1);
                        if depths.get(part) == Some(&0) {
                            path.push((part, 0));
                            if path.len() > MAX_DEPTH as usize {
                                return u32::try_from(index + 1).ok();
                            }
                        }
                    }
                    None => {
                        let of = |id: &u32| depths.get((*id as usize).wrapping_sub(1));
                        let deepest = parts.iter().filter_map(of).max();
                        let depth = deepest.copied().unwrap_or_default() + 1;
                        if depth > MAX_DEPTH {
                            return u32::try_from(index + 1).ok();
                        }
                        if let Some(known) = depths.get_mut(*at) {
                            *known = depth;
                        }
                        path.pop();
                    }
                }
            }
        }
        None
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types of two or more words after their names.
    fn btf(types: &[&[u32]]) -> Vec<u8> {
        let words: Vec<u32> = types
            .iter()
            .flat_map(|ty| [0].into_iter().chain(ty.iter().copied()))
            .collect();
        let length = words.len() as u32 * 4;
        let mut bytes = MAGIC.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        for word in [24, 0, length, length, 1].iter().chain(&words) {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.push(0);
        bytes
    }

    #[test]
    fn types_that_contain_themselves_are_told() {
        let (typedef, pointer) = (TYPEDEF << 24, 2 << 24);
        let of_one = (STRUCT << 24) | 1;
        for (types, endless) in [
            // Each the other one.
            (&[&[typedef, 2][..], &[CONST << 24, 1]][..], true),
            // Itself.
            (&[&[typedef, 1]], true),
            // A struct with itself as a member, and with a pointer to itself.
            (&[&[of_one, 8, 0, 1, 0]], true),
            (&[&[of_one, 8, 0, 2, 0], &[pointer, 1]], false),
            // An array of itself.
            (&[&[ARRAY << 24, 0, 1, 1, 4]], true),
            // Types that are not there.
            (&[&[typedef, 9], &[of_one, 8, 0, 0, 0]], false),
            (&[], false),
        ] {
            assert_eq!(endless_types(&btf(types)).is_some(), endless, "{types:x?}");
        }
    }

    #[test]
    fn long_chains_are_too_deep_in_either_order() {
        let chain = |next: fn(u32) -> u32| -> Vec<[u32; 2]> {
            (1..=1000).map(|id| [TYPEDEF << 24, next(id)]).collect()
        };
        for chain in [chain(|id| id + 1), chain(|id| id - 1)] {
            let types: Vec<&[u32]> = chain.iter().map(<[u32; 2]>::as_slice).collect();
            assert!(endless_types(&btf(&types)).is_some());
            let few = &types[..100];
            assert!(endless_types(&btf(few)).is_none());
        }
    }

    #[test]
    fn what_is_cut_off_or_no_btf_is_left_to_libbpf() {
        let whole = btf(&[
            &[(STRUCT << 24) | 2, 8, 0, 2, 0, 0, 3, 0],
            &[1 << 24, 4, 32],
        ]);
        for length in 0..whole.len() {
            assert_eq!(endless_types(&whole[..length]), None);
        }
        assert_eq!(endless_types(b"no BTF at all, whatever it is"), None);
        let mut swapped = whole;
        swapped[..2].reverse();
        assert!(endless_types(&swapped).is_some_and(|why| why.contains("byte order")));
    }
}
