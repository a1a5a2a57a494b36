//! Privileges of the process: which capabilities it has, which it keeps after start, and giving the others away.
//!
//! Owns `--capabilities.keep`, the five capability sets and no_new_privs. Does not own the decision when to drop (main: after everything is
//! opened and attached, before the first thread is started) nor what is opened before (the rooms that own those handles).

mod drop;
mod keep;
mod set;
mod status;

pub(crate) use drop::drop_to;
pub(crate) use keep::Keep;
pub(crate) use status::Privileges;

#[cfg(test)]
mod tests;
