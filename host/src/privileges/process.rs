//! The kinds of processes that the host consists of.

/// What a process is for, and so what is taken from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    /// The one process of a host that is not split: it loads programs, runs plugins and answers the
    /// network.
    Whole,
    /// Holds what needs privilege: objects, maps, links, pins.
    Loader,
    /// Forks servers and compilers, and kills them. What it gives away none of them can have.
    Starter,
    /// Runs plugins and answers the network.
    Server,
    /// Compiles one plugin and ends.
    Compiler,
}
