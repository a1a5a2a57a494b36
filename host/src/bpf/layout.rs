//! Whether the entries of one map mean the same as another's: what a map is, and the types of its
//! keys and values. Counts go on only where they do.

use libbpf_rs::MapType;
use serde::{Deserialize, Serialize};

use super::map::MapInfo;
use super::types::{BitField, CType, EntryTypes, Member};

/// What is known of a map's entries.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MapLayout {
    pub(crate) info: MapInfo,
    pub(crate) types: EntryTypes,
}

/// A map whose entries begin anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BegunMap {
    pub(crate) name: String,
    /// Part of a sentence about the map.
    pub(crate) why: String,
}

impl MapLayout {
    /// Why a new version's map cannot go on with this one, as part of a sentence. None: it can.
    pub(crate) fn unshareable(&self, now: &Self) -> Option<String> {
        match now.info.kind {
            // Samples are for one reader, and its version goes on until the new one is attached.
            MapType::PerfEventArray | MapType::RingBuf | MapType::UserRingBuf => {
                return Some("its entries are samples on their way to one version".to_owned());
            }
            // libbpf fills it at load, and that may be the load of a version that is refused.
            MapType::ProgArray => {
                return Some("its entries are programs of one version".to_owned());
            }
            _ => {}
        }
        if self.types.filled_at_load || now.types.filled_at_load {
            return Some("its entries are filled in by one version when it is loaded".to_owned());
        }
        self.difference(now)
    }

    /// Why entries of this map are not entries of `now`.
    pub(super) fn difference(&self, now: &Self) -> Option<String> {
        self.info
            .difference(&now.info)
            .or_else(|| types_difference(&self.types, &now.types, ""))
    }
}

impl MapInfo {
    /// How this definition, which is the older one, differs from `now`.
    fn difference(&self, now: &Self) -> Option<String> {
        if self.kind != now.kind {
            return Some(format!("it is a {:?}, now {:?}", self.kind, now.kind));
        }
        let sizes = [
            ("keys", "bytes", self.key_size, now.key_size),
            ("values", "bytes", self.value_size, now.value_size),
            ("room for", "entries", self.max_entries, now.max_entries),
        ];
        for (what, unit, was, is) in sizes {
            if was != is {
                return Some(format!("it has {what} {was} {unit}, now {is}"));
            }
        }
        if self.flags != now.flags {
            return Some(format!(
                "it has the flags {:#x}, now {:#x}",
                self.flags, now.flags
            ));
        }
        match (&self.inner, &now.inner) {
            (None, None) => None,
            (Some(was), Some(is)) => was
                .difference(is)
                .map(|why| format!("the maps in it are defined differently: of each, {why}")),
            _ => Some("the maps in it are defined differently".to_owned()),
        }
    }
}

/// `of`: whose types they are, behind the words for the type.
fn types_difference(was: &EntryTypes, now: &EntryTypes, of: &str) -> Option<String> {
    let both = [
        (&was.key, &now.key, "key"),
        (&was.value, &now.value, "value"),
    ];
    for (was, now, what) in both {
        if let (Some(was), Some(now)) = (was, now)
            && let Some(why) = difference(was, now, &format!("its {what}{of}"))
        {
            return Some(why);
        }
    }
    let (Some(was), Some(now)) = (&was.inner, &now.inner) else {
        return None;
    };
    types_difference(was, now, " in the maps in it")
}

/// `what`: what has the type, as the beginning of a sentence.
fn difference(was: &CType, now: &CType, what: &str) -> Option<String> {
    let changed = || {
        let (was, now) = (was.describe(), now.describe());
        Some(format!("{what} was {was}, is now {now}"))
    };
    match (was, now) {
        // What is not known differs from nothing.
        (CType::Other { size: 0 }, _) | (_, CType::Other { size: 0 }) => None,
        (CType::Int(was), CType::Int(now)) => {
            // A `char` is a number of one byte, whatever it is called.
            let same = (was.size, was.boolean) == (now.size, now.boolean)
                && (was.signed == now.signed || was.character || now.character);
            if same { None } else { changed() }
        }
        (CType::Enum { int: was, values }, CType::Enum { int, values: new }) => {
            if was.size != int.size {
                return changed();
            }
            let other = |(name, value): &&(String, i128)| {
                new.iter()
                    .any(|(known, number)| (known == name) != (number == value))
            };
            let (name, value) = values.iter().find(other)?;
            Some(format!(
                "{what} was an enum in which {value} is `{name}`, and that is not so any more"
            ))
        }
        (
            CType::Array { of: was, count },
            CType::Array {
                of: now,
                count: new,
            },
        ) => {
            if count != new {
                return Some(format!(
                    "{what} was an array of {count} elements, is now one of {new}"
                ));
            }
            difference(was, now, &format!("an element of {what}"))
        }
        (
            CType::Struct { size, members },
            CType::Struct {
                size: new_size,
                members: new,
            },
        ) => {
            let at = |name: &str| format!("the member `{name}` of {what}");
            for member in members {
                let Some(now) = new.iter().find(|known| known.name == member.name) else {
                    return Some(format!("{} is gone", at(&member.name)));
                };
                if let Some(why) = member_difference(member, now, &at(&member.name)) {
                    return Some(why);
                }
            }
            let known = |name: &str| members.iter().any(|member| member.name == name);
            if let Some(added) = new.iter().find(|member| !known(&member.name)) {
                return Some(format!("{} is new", at(&added.name)));
            }
            (size != new_size)
                .then(|| format!("{what} was a struct of {size} bytes, is now one of {new_size}"))
        }
        (CType::Float { .. }, CType::Float { .. }) | (CType::Other { .. }, CType::Other { .. })
            if was.size() == now.size() =>
        {
            None
        }
        _ => changed(),
    }
}

fn member_difference(was: &Member, now: &Member, what: &str) -> Option<String> {
    let position = |member: &Member| match member.bit_field {
        None => format!("at byte {}", member.offset),
        Some(BitField { offset, width }) => format!("{width} bits at bit {offset}"),
    };
    if (was.offset, was.bit_field) != (now.offset, now.bit_field) {
        let (was, now) = (position(was), position(now));
        return Some(format!("{what} was {was}, is now {now}"));
    }
    difference(&was.ty, &now.ty, what)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::MapLayout;
    use crate::bpf::{OpenObject, testing};

    fn layout(declarations: &str) -> MapLayout {
        let object = testing::compile(&format!(
            "typedef __u8 u8; typedef __u16 u16; typedef __s64 s64; {declarations}\n\
             SEC(\"raw_tp/sched_switch\") int f(void *ctx) {{ return 0; }}"
        ));
        let path = Path::new(&object.path).to_owned();
        let open = OpenObject::open(&path, &Default::default()).unwrap();
        open.layout("m").unwrap()
    }

    fn hash(types: &str, value: &str) -> MapLayout {
        layout(&format!(
            "{types} struct {{ __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); \
             __type(key, u32); __type(value, {value}); }} m SEC(\".maps\");"
        ))
    }

    #[test]
    fn what_differs_is_named() {
        let io = |members: &str| hash(&format!("struct io {{ {members} }};"), "struct io");
        let same = [
            (io("u64 reads; u64 writes;"), io("u64 reads; __u64 writes;")),
            (io("u8 name[8];"), io("char name[8];")),
            (
                hash("enum e { A, B = 4 };", "enum e"),
                hash("enum e { A, B = 4, C };", "enum e"),
            ),
        ];
        for (was, now) in &same {
            assert_eq!(was.unshareable(now), None);
        }
        let differ = [
            (
                io("u64 reads; u64 writes;"),
                io("u64 writes; u64 reads;"),
                "the member `reads` of its value was at byte 0, is now at byte 8",
            ),
            (
                io("u64 reads; u64 writes;"),
                io("u64 reads; u64 written;"),
                "the member `writes` of its value is gone",
            ),
            (
                io("u64 a; u32 b;"),
                io("u64 a; u32 b; u32 c;"),
                "the member `c` of its value is new",
            ),
            (
                io("u64 a;"),
                io("s64 a;"),
                "the member `a` of its value was an unsigned integer of 8 bytes, is now a signed \
                 integer of 8 bytes",
            ),
            (
                io("struct { u32 x; u32 y; } at[2];"),
                io("struct { u32 y; u32 x; } at[2];"),
                "the member `x` of an element of the member `at` of its value was at byte 0, is \
                 now at byte 4",
            ),
            (
                io("u32 a[2]; u32 b[4];"),
                io("u32 a[2]; u16 b[8];"),
                "the member `b` of its value was an array of 4 elements, is now one of 8",
            ),
            (
                io("u32 a: 3; u32 b: 5;"),
                io("u32 a: 4; u32 b: 4;"),
                "the member `a` of its value was 3 bits at bit 0, is now 4 bits at bit 0",
            ),
            (
                hash("enum e { A, B };", "enum e"),
                hash("enum e { B, A };", "enum e"),
                "its value was an enum in which 0 is `A`, and that is not so any more",
            ),
            (
                hash("", "u64"),
                hash("struct io { u64 a; };", "struct io"),
                "its value was an unsigned integer of 8 bytes, is now a struct with `a`",
            ),
        ];
        for (was, now, why) in &differ {
            assert_eq!(was.unshareable(now).as_deref(), Some(*why));
            // As the running host and `plan` tell each other.
            let text = serde_json::to_string(was).unwrap();
            let read: MapLayout = serde_json::from_str(&text).unwrap();
            assert_eq!(read.unshareable(now).as_deref(), Some(*why));
        }
    }

    #[test]
    fn programs_and_maps_in_maps() {
        let outer = |inner: &str, filled: &str| {
            layout(&format!(
                "struct inner {{ __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 4); \
                 __type(key, u32); {inner} }} one SEC(\".maps\"); \
                 struct {{ __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 2); \
                 __type(key, u32); __array(values, struct inner); }} m SEC(\".maps\"){filled};"
            ))
        };
        let plain = outer("__type(value, u64);", "");
        assert_eq!(plain.unshareable(&plain), None);
        let narrow = plain.unshareable(&outer("__type(value, u32);", ""));
        assert!(
            narrow.as_deref().is_some_and(|why| why
                .starts_with("the maps in it are defined differently: of each, it has values 8")),
            "{narrow:?}"
        );
        let signed = plain.unshareable(&outer("__type(value, s64);", ""));
        assert!(
            signed
                .as_deref()
                .is_some_and(|why| why.starts_with("its value in the maps in it was an unsigned")),
            "{signed:?}"
        );
        let filled = outer("__type(value, u64);", " = { .values = { &one } }");
        assert!(
            filled
                .unshareable(&filled)
                .is_some_and(|why| why.contains("when it is loaded"))
        );
        let programs = layout(
            "int leaf(void *ctx); struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); \
             __uint(max_entries, 1); __uint(key_size, 4); __array(values, int (void *)); } m \
             SEC(\".maps\") = { .values = { [0] = (void *)&leaf } };\n\
             SEC(\"raw_tp\") int leaf(void *ctx) { return 0; }",
        );
        assert!(
            programs
                .unshareable(&programs)
                .is_some_and(|why| why.contains("programs of one version"))
        );
    }
}
