//! Plugins as their files have them: found, read, compiled (by whoever is asked to), and kept as
//! compiled code that another process can map.
//!
//! Nothing here runs a component, and nothing here knows what one offers: that is up to the
//! registry that is rebuilt from these parts.

mod cache;
mod files;
mod trusted;

pub(crate) use cache::{Cached, CompileCache};
pub(crate) use files::{PluginFiles, plugin_files};
pub(crate) use trusted::check as check_cache;

#[cfg(test)]
mod tests;
