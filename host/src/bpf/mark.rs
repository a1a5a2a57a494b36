//! The hook that ebpf_exporter calls `post_attach_mark`: an empty function that is entered once all
//! programs of all units are attached.
//!
//! A program in `SEC("uprobe//proc/self/exe:post_attach_mark")` runs at that moment, e.g. to read a
//! starting value that later events only change.

/// Call once, after the last unit has been attached.
///
/// The symbol has this very name, is never inlined, and is exported (host/build.rs), so that it is
/// found even in a stripped binary.
#[expect(
    unsafe_code,
    reason = "the name is the interface: a uprobe finds the function by its symbol"
)]
#[inline(never)]
// SAFETY: no other symbol of this name is linked into the binary.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn post_attach_mark() {
    // Without a side effect the compiler may drop the call.
    std::hint::black_box(());
}
