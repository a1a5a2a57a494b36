//! How much of a part of the hardening the operator wants.

/// Whether a part of the hardening is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// Where the kernel has it; what is missing is reported
    Auto,
    /// Not at all
    Off,
    /// A kernel without it ends the start
    Require,
}
