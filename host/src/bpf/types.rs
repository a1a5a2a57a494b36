//! The C types of an object's globals and of its maps' keys and values, out of its BTF: sizes,
//! signs and members, less names and qualifiers.

use std::collections::HashMap;
use std::sync::Arc;

use libbpf_rs::btf::types::{
    Array, Composite, DataSec, Enum, Enum64, Int, IntEncoding, MemberAttr, Var,
};
use libbpf_rs::btf::{Btf, BtfKind, BtfType, HasSize as _, TypeId};
use serde::{Deserialize, Serialize};

use crate::near::nearest;

/// A type, as far as numbers and texts can be found in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum CType {
    Int(IntType),
    Float {
        /// Bytes.
        size: usize,
    },
    Enum {
        int: IntType,
        /// Names with their values, in the order of the declaration.
        values: Vec<(String, i128)>,
    },
    Array {
        #[serde(with = "shared")]
        of: Arc<CType>,
        count: usize,
    },
    /// A struct or union.
    Struct {
        /// Bytes.
        size: usize,
        /// Those of members without a name are among them.
        members: Vec<Member>,
    },
    /// A pointer, say.
    Other {
        /// Bytes; 0 if that is not known.
        size: usize,
    },
}

/// An integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IntType {
    /// Bytes.
    pub(crate) size: usize,
    pub(crate) signed: bool,
    /// `_Bool`
    pub(crate) boolean: bool,
    /// `char` by that name: part of a text.
    pub(crate) character: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// From the beginning of the outermost struct that names it, in bytes.
    pub(crate) offset: usize,
    /// None: it fills whole bytes.
    pub(crate) bit_field: Option<BitField>,
    #[serde(with = "shared")]
    pub(crate) ty: Arc<CType>,
}

/// Where a member is that does not fill whole bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BitField {
    /// From the beginning of the struct that declares it, in bits.
    pub(crate) offset: u32,
    /// Bits; 0 if that is not known.
    pub(crate) width: u8,
}

/// A global variable.
#[derive(Debug, Clone)]
pub(crate) struct Variable {
    pub(crate) ty: Arc<CType>,
    /// `const`, but not `volatile`: the compiler has put its value into the code.
    pub(crate) folded: bool,
}

/// The types of a map's entries; none where the map is declared by sizes alone.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct EntryTypes {
    #[serde(with = "shared::optional")]
    pub(crate) key: Option<Arc<CType>>,
    #[serde(with = "shared::optional")]
    pub(crate) value: Option<Arc<CType>>,
    /// Of the maps in a map of maps.
    pub(crate) inner: Option<Box<EntryTypes>>,
    /// The object says which programs or maps are in the map when it is loaded.
    pub(crate) filled_at_load: bool,
}

/// Types that several own are written as if each owned them alone.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::CType;

    pub(super) fn serialize<S: Serializer>(ty: &Arc<CType>, to: S) -> Result<S::Ok, S::Error> {
        ty.as_ref().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<CType>, D::Error> {
        CType::deserialize(from).map(Arc::new)
    }

    pub(super) mod optional {
        use super::{Arc, CType, Deserialize, Deserializer, Serialize, Serializer};

        pub(in super::super) fn serialize<S: Serializer>(
            ty: &Option<Arc<CType>>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            ty.as_deref().serialize(to)
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<Arc<CType>>, D::Error> {
            Ok(Option::<CType>::deserialize(from)?.map(Arc::new))
        }
    }
}

impl CType {
    /// A member of a struct, nested ones with dots: its offset in bytes, and its type. `Err`: the
    /// rest of a sentence that begins with what the struct is.
    pub(crate) fn member(&self, path: &str) -> Result<(usize, &Self), String> {
        let (mut offset, mut ty) = (0, self);
        for name in path.split('.') {
            let Self::Struct { members, .. } = ty else {
                return Err(format!("is no struct, so it has no member `{name}`"));
            };
            let Some(member) = members.iter().find(|member| member.name == name) else {
                let known = || members.iter().map(|member| member.name.as_str());
                let hint = match nearest(name, known()) {
                    Some(near) => format!(", did you mean `{near}`?"),
                    None => format!(": it has {}", listed(known())),
                };
                return Err(format!("has no member `{name}`{hint}"));
            };
            if member.bit_field.is_some() {
                return Err(format!(
                    "has `{name}` as a bit-field: expected a member of whole bytes"
                ));
            }
            (offset, ty) = (offset + member.offset, &*member.ty);
        }
        Ok((offset, ty))
    }

    /// Bytes; 0 if that is not known.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Int(int) | Self::Enum { int, .. } => int.size,
            Self::Float { size } | Self::Struct { size, .. } | Self::Other { size } => *size,
            Self::Array { of, count } => of.size().saturating_mul(*count),
        }
    }

    /// For "found …".
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Int(int) => {
                let sign = if int.signed {
                    "a signed"
                } else {
                    "an unsigned"
                };
                format!("{sign} integer of {} bytes", int.size)
            }
            Self::Float { size } => format!("a float of {size} bytes"),
            Self::Enum { int, .. } => format!("an enum of {} bytes", int.size),
            Self::Array { count, .. } => format!("an array of {count}"),
            Self::Struct { members, .. } => format!(
                "a struct with {}",
                listed(members.iter().map(|member| member.name.as_str()))
            ),
            Self::Other { .. } => "something else, such as a pointer".to_owned(),
        }
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const MAX_MEMBERS: usize = 12;
    let mut shown: Vec<String> = names
        .take(MAX_MEMBERS + 1)
        .map(|name| format!("`{name}`"))
        .collect();
    if shown.is_empty() {
        return "none".to_owned();
    }
    if let Some(last) = shown.get_mut(MAX_MEMBERS) {
        *last = "…".to_owned();
    }
    shown.join(", ")
}

/// What an object's BTF says.
#[derive(Debug, Clone, Default)]
pub(super) struct Types {
    pub(super) variables: HashMap<String, Variable>,
    pub(super) maps: HashMap<String, EntryTypes>,
}

/// Where libbpf looks for maps.
const MAPS: &str = ".maps";
/// Deeper than anybody nests; types of a damaged file may go round in circles.
const MAX_DEPTH: usize = 32;
/// Of BPF's machine, in bytes.
const POINTER_SIZE: usize = 8;
/// Of types in all of an object's globals and maps.
const MAX_TYPES: usize = 20_000;

impl Types {
    pub(super) fn of(btf: &Btf<'_>) -> Self {
        let mut reader = TypeReader {
            btf,
            left: MAX_TYPES,
        };
        let mut types = Self::default();
        for section in btf.type_by_kind::<DataSec<'_>>() {
            let is_maps = section.name().is_some_and(|name| name == MAPS);
            for info in section.iter() {
                let Some(variable) = btf.type_by_id::<Var<'_>>(info.ty) else {
                    continue;
                };
                let (Some(name), Some(ty)) = (text(variable.name()), variable.next_type()) else {
                    continue;
                };
                if is_maps {
                    let mut entry = reader.entry_types(ty);
                    // Slots that are filled at load lie behind the declaration's own members.
                    let declared = plain(ty).and_then(|map| Composite::try_from(map).ok());
                    entry.filled_at_load = declared.is_some_and(|map| info.size > map.size());
                    types.maps.insert(name, entry);
                } else {
                    let folded = is_folded(btf, ty);
                    let ty = reader.read(ty, 0);
                    types.variables.insert(name, Variable { ty, folded });
                }
            }
        }
        types
    }

    /// Of the types of these numbers; 0: there is none.
    pub(super) fn of_entry(btf: &Btf<'_>, key: u32, value: u32) -> EntryTypes {
        let mut reader = TypeReader {
            btf,
            left: MAX_TYPES,
        };
        let mut one = |id: u32| (id != 0).then(|| reader.by_id(TypeId::from(id), 0));
        EntryTypes {
            key: one(key),
            value: one(value),
            ..EntryTypes::default()
        }
    }
}

struct TypeReader<'a> {
    btf: &'a Btf<'a>,
    left: usize,
}

impl<'a> TypeReader<'a> {
    /// A map is declared as a struct whose members `key` and `value` point to the types.
    fn entry_types(&mut self, map: BtfType<'a>) -> EntryTypes {
        let mut entry = EntryTypes::default();
        let Some(map) = plain(map).and_then(|map| Composite::try_from(map).ok()) else {
            return entry;
        };
        for member in map.iter() {
            let field = match member.name.and_then(|name| name.to_str()) {
                Some("key") => &mut entry.key,
                Some("value") => &mut entry.value,
                Some("values") => {
                    entry.inner = self.inner(member.ty).map(Box::new);
                    continue;
                }
                _ => continue,
            };
            let pointer = self.btf.type_by_id::<BtfType<'_>>(member.ty);
            let pointer = pointer.filter(|pointer| pointer.kind() == BtfKind::Ptr);
            if let Some(ty) = pointer.and_then(|pointer| pointer.next_type()) {
                *field = Some(self.read(ty, 0));
            }
        }
        entry
    }

    /// Of maps in a map: its `values` are an array of pointers to their declaration.
    fn inner(&mut self, values: TypeId) -> Option<EntryTypes> {
        let array = plain(self.btf.type_by_id(values)?)?;
        let array = Array::try_from(array).ok()?;
        let pointer = plain(self.btf.type_by_id(array.ty())?)?;
        let inner = plain(pointer.next_type()?)?;
        self.left = self.left.checked_sub(1)?;
        // Programs are no maps.
        (inner.kind() == BtfKind::Struct).then(|| self.entry_types(inner))
    }

    fn by_id(&mut self, id: TypeId, depth: usize) -> Arc<CType> {
        match self.btf.type_by_id(id) {
            Some(ty) => self.read(ty, depth),
            None => Arc::new(CType::Other { size: 0 }),
        }
    }

    fn read(&mut self, ty: BtfType<'a>, depth: usize) -> Arc<CType> {
        Arc::new(
            self.read_plain(ty, depth)
                .unwrap_or(CType::Other { size: 0 }),
        )
    }

    fn read_plain(&mut self, ty: BtfType<'a>, depth: usize) -> Option<CType> {
        if depth > MAX_DEPTH || self.left == 0 {
            return None;
        }
        self.left -= 1;
        let ty = plain(ty)?;
        Some(match ty.kind() {
            BtfKind::Int => {
                let int = Int::try_from(ty).ok()?;
                let character = ty.name().is_some_and(|name| name == "char");
                CType::Int(IntType {
                    size: int.size(),
                    signed: matches!(int.encoding, IntEncoding::Signed),
                    boolean: matches!(int.encoding, IntEncoding::Bool),
                    character,
                })
            }
            BtfKind::Float => {
                let float = libbpf_rs::btf::types::Float::try_from(ty).ok()?;
                CType::Float { size: float.size() }
            }
            BtfKind::Enum => {
                let of = Enum::try_from(ty).ok()?;
                let values = of
                    .iter()
                    .filter_map(|value| Some((text(value.name)?, value.value.into())));
                CType::Enum {
                    int: enum_int(of.size(), of.is_signed()),
                    values: values.collect(),
                }
            }
            BtfKind::Enum64 => {
                let of = Enum64::try_from(ty).ok()?;
                let values = of
                    .iter()
                    .filter_map(|value| Some((text(value.name)?, value.value)));
                CType::Enum {
                    int: enum_int(of.size(), of.is_signed()),
                    values: values.collect(),
                }
            }
            BtfKind::Array => {
                let array = Array::try_from(ty).ok()?;
                CType::Array {
                    of: self.by_id(array.ty(), depth + 1),
                    count: array.capacity(),
                }
            }
            BtfKind::Struct | BtfKind::Union => {
                let of = Composite::try_from(ty).ok()?;
                let mut members = Vec::new();
                self.members(&of, 0, depth, &mut members);
                CType::Struct {
                    size: of.size(),
                    members,
                }
            }
            BtfKind::Ptr => CType::Other { size: POINTER_SIZE },
            _ => return None,
        })
    }

    /// Members of structs without a name are their parent's.
    fn members(
        &mut self,
        of: &Composite<'a>,
        base: usize,
        depth: usize,
        members: &mut Vec<Member>,
    ) {
        for member in of.iter() {
            let (bits, width) = match member.attr {
                MemberAttr::Normal { offset } => (offset, (offset % 8 != 0).then_some(0)),
                MemberAttr::BitField { size, offset } => (offset, Some(size)),
            };
            let bit_field = width.map(|width| BitField {
                offset: bits,
                width,
            });
            let offset = base + bits as usize / 8;
            match text(member.name) {
                Some(name) => members.push(Member {
                    name,
                    offset,
                    bit_field,
                    ty: self.by_id(member.ty, depth + 1),
                }),
                None if depth < MAX_DEPTH && self.left > 0 => {
                    self.left -= 1;
                    let inner = self.btf.type_by_id::<BtfType<'_>>(member.ty);
                    let inner = inner.and_then(plain);
                    if let Some(inner) = inner.and_then(|inner| Composite::try_from(inner).ok()) {
                        self.members(&inner, offset, depth + 1, members);
                    }
                }
                None => {}
            }
        }
    }
}

fn enum_int(size: usize, signed: bool) -> IntType {
    IntType {
        size,
        signed,
        boolean: false,
        character: false,
    }
}

fn text(name: Option<&std::ffi::OsStr>) -> Option<String> {
    name.and_then(|name| name.to_str()).map(str::to_owned)
}

/// The type behind typedefs and qualifiers.
fn plain(ty: BtfType<'_>) -> Option<BtfType<'_>> {
    let mut ty = ty;
    for _ in 0..MAX_DEPTH {
        if !ty.is_mod() && ty.kind() != BtfKind::Typedef {
            return Some(ty);
        }
        ty = ty.next_type()?;
    }
    None
}

fn is_folded<'a>(btf: &'a Btf<'a>, ty: BtfType<'a>) -> bool {
    let (mut ty, mut constant) = (ty, false);
    for _ in 0..MAX_DEPTH {
        match ty.kind() {
            BtfKind::Volatile => return false,
            BtfKind::Const => constant = true,
            // The qualifiers of an array are its elements'.
            BtfKind::Array => {
                let array = Array::try_from(ty).ok();
                match array.and_then(|array| btf.type_by_id(array.ty())) {
                    Some(of) => ty = of,
                    None => return constant,
                }
                continue;
            }
            _ if !ty.is_mod() && ty.kind() != BtfKind::Typedef => return constant,
            _ => {}
        }
        match ty.next_type() {
            Some(next) => ty = next,
            None => return constant,
        }
    }
    constant
}
