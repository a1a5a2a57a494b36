//! Memory that nobody uses any more.

/// Gives the kernel back what the C library keeps for later. Takes some milliseconds.
#[cfg(target_env = "gnu")]
pub(crate) fn give_memory_back() {
    #[expect(unsafe_code, reason = "there is no safe wrapper")]
    // SAFETY: it takes a number of bytes to keep, and touches only memory that nobody has.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other C libraries keep little.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn give_memory_back() {}
