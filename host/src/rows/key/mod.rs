//! Keys: how their bytes divide into fields, which of them are known, and what a known one means.

mod binding;
mod layout;
mod table;

pub(super) use binding::{Again, CachedKey, Contribution, KeyBinding, NO_NUMBER, Numbers};
pub(crate) use layout::{KeyShape, Layout, MemberField, PackedField, is_cpu};
pub(super) use table::{EntryId, KeyTable};
