//! Keys: how their bytes divide into fields, which of them are known, and what a known one means.

mod binding;
mod counted;
mod layout;
mod lives;
mod table;

pub(super) use binding::{Again, CachedKey, KeyBinding};
pub(super) use counted::{Contribution, Known, NO_NUMBER, Numbers};
pub(crate) use layout::{KeyShape, Layout, MemberField, PackedField, is_cpu};
pub(super) use lives::Lives;
pub(super) use table::{EntryId, KeyTable};
