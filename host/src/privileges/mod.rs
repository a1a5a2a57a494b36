//! Privileges of the host's processes: what each has, what it keeps after its start, and giving the
//! rest away.
//!
//! A host that is one process, from the most privilege to the least:
//!
//! 0. [`raise`]: what the process was permitted is in force.
//! 1. Read the config: YAML only, by our own code.
//! 2. Open what needs privilege: kallsyms, pci.ids, the cgroup tree, perf buffers.
//! 3. Load and attach the BPF programs.
//! 4. [`confine`]: change to `--user`, cut down the capabilities, set no_new_privs, then landlock,
//!    then seccomp.
//! 5. Only now run components, start threads and listen.
//!
//! A split host (host/ARCHITECTURE.md has the reasons):
//!
//! 0. [`raise`], and [`server_needs_cap_bpf`] is asked.
//! 1. The starter is forked, and [`enter_starter`] takes from it what neither servers nor compilers
//!    are to have. It has to be first: filters, landlock and no_new_privs are inherited and only
//!    add up, so a starter forked later could not start a server that has the network.
//! 2. The loader goes on as above, up to [`confine_loader`]. It runs no component and answers
//!    nobody.
//! 3. Each server and each compiler that the starter forks comes to [`confine_server`] or
//!    [`confine_compiler`] before it does anything.
//!
//! What a process may do, by [`Process`]: seccomp/calls.rs and seccomp/rules.rs (system calls),
//! landlock.rs (files, sockets, signals), server_paths.rs (the server's files).
//!
//! It is not only written here. Privileges belong to threads and are handed on to threads started
//! later, so all of these functions refuse a process with more than one. The engine that runs
//! components starts its clock's thread before it can run any, and the runtime that listens
//! consists of threads: whoever puts one of them too early has a host that does not start.
//! tests/whole/hardening/order.rs looks at the system calls of a start, too.
//!
//! Owns `--capabilities.keep`, `--user` and `--hardening.*`. Does not own what is opened before
//! (the rooms that own those handles) nor which paths a process needs afterwards: whoever calls
//! lists them in [`Access`] or [`ServerPaths`].

mod access;
mod attempts;
mod bpf_need;
mod confine;
mod drop;
mod feature;
mod keep;
mod landlock;
mod limits;
mod mode;
mod process;
mod seccomp;
mod server_paths;
mod server_user;
mod set;
mod status;
mod user;

pub(crate) use access::{Access, denied};
pub(crate) use attempts::attempt_all;
pub(crate) use confine::Hardening;
pub(crate) use drop::{DropError, check_single_threaded, raise};
pub(crate) use feature::Feature;
pub(crate) use keep::Keep;
pub(crate) use landlock::{Support, support as landlock_support};
pub(crate) use mode::Mode;
pub(crate) use process::Process;
pub(crate) use status::Privileges;
pub(crate) use user::{User, UserError};

pub(crate) use self::{
    bpf_need::server_needs_cap_bpf,
    confine::{confine_compiler, confine_loader, confine_server, confine_whole, enter_starter},
    feature::combined,
    limits::{hide_process, raise_descriptor_limit},
    server_paths::ServerPaths,
    server_user::ServerUser,
};

#[cfg(test)]
mod tests;
