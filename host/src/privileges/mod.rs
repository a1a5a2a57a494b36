//! Privileges of the process: what it has, what it keeps after its start, and giving the rest away.
//!
//! The order of a start, from the most privilege to the least:
//!
//! 0. [`raise`]: what the process was permitted is in force.
//! 1. Read the config: YAML only, by our own code.
//! 2. Open what needs privilege: kallsyms, pci.ids, the cgroup tree, perf buffers.
//! 3. Load and attach the BPF programs.
//! 4. [`confine`]: change to `--user`, cut down the capabilities, set no_new_privs, then landlock, then seccomp.
//! 5. Only now run components, start threads and listen.
//!
//! It is not only written here. All of step 4 belongs to threads and is handed on to threads started later, so [`confine`] refuses a process
//! with more than one. The engine that runs components starts its clock's thread before it can run any, and the runtime that listens consists
//! of threads: whoever puts one of them before step 4 has a host that does not start.
//! tests/whole/hardening/order.rs looks at the system calls of a start, too.
//!
//! Owns `--capabilities.keep`, `--user` and `--hardening.*`. Does not own what is opened before (the rooms that own those handles) nor
//! which paths the process needs afterwards: whoever calls [`confine`] lists them in [`Access`].

mod access;
mod attempts;
mod confine;
mod drop;
mod feature;
mod keep;
mod landlock;
mod seccomp;
mod set;
mod status;
mod user;

pub(crate) use access::{Access, denied};
pub(crate) use attempts::attempt_all;
pub(crate) use confine::{Hardening, Mode, confine};
pub(crate) use drop::raise;
pub(crate) use feature::Feature;
pub(crate) use keep::Keep;
pub(crate) use landlock::{Support, support as landlock_support};
pub(crate) use status::Privileges;
pub(crate) use user::User;

#[cfg(test)]
mod tests;
