//! Plugins that misbehave, each in its own way, written as WAT where the test is.

mod answers;
mod calls;
mod collectors;
pub(crate) mod component;
mod imports;
mod loading;
mod logs;
mod lookup;
mod sessions;
mod shaping;
