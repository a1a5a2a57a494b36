//! Facts about the running kernel: symbols, cgroup paths, network interfaces, block devices, PCI
//! names, and the machine's architecture.
//!
//! Owns the handles opened at start (so that the facts stay readable after the process has given
//! its privilege away), what is remembered of each fact and for how long, and the rule that an
//! unanswered question causes at most one expensive re-read per scrape.
//!
//! Does not own: who may ask (grants, room `plugin`), what a fact is called in a label (the
//! decoders), BTF and the CPUs (room `bpf`).
//!
//! All of it is synchronous and may block: the first question about symbols takes about 0.1 s, all
//! others less than a millisecond unless a large cgroup tree has to be walked.

mod allowance;
mod arch;
mod block;
mod cgroup_tree;
mod cgroups;
mod from_start;
mod interfaces;
mod kallsyms;
mod names;
mod pci;
mod release;
mod symbols;
mod text;

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use block::BlockDevices;
use cgroups::Cgroups;
use pci::PciIds;
use symbols::Symbols;

pub(crate) use arch::machine;
pub(crate) use cgroup_tree::cgroup2_mount;
pub(crate) use interfaces::{interface_index, interface_list, interface_name};
pub(crate) use pci::{PciKind, open as open_pci_ids};
pub(crate) use release::{KernelVersion, Release};
pub(crate) use symbols::{Symbol, open as open_kallsyms};
pub(crate) use text::read_text;

/// What is known of the running kernel. One per process, shared. Questions come in batches: answer
/// i belongs to question i, and `None` means not known now.
#[derive(Debug)]
pub(crate) struct KernelFacts {
    scrape: AtomicU64,
    symbols: Symbols,
    cgroups: Cgroups,
    block: BlockDevices,
    pci: PciIds,
}

// === impl KernelFacts ===

impl KernelFacts {
    /// Opens what needs privilege to be opened, so call this before any is dropped. Nothing is read
    /// yet. What cannot be opened is logged and has no answers.
    pub(crate) fn open() -> Self {
        Self {
            scrape: AtomicU64::new(0),
            symbols: Symbols::open(),
            cgroups: Cgroups::open(),
            block: BlockDevices::default(),
            pci: PciIds::open(),
        }
    }

    /// With the files that a process with more privilege has opened. None: there is none, and no
    /// answers to questions about it.
    pub(crate) fn from_descriptors(kallsyms: Option<File>, pci_ids: Option<File>) -> Self {
        Self {
            scrape: AtomicU64::new(0),
            symbols: Symbols::from_source(kallsyms),
            cgroups: Cgroups::open(),
            block: BlockDevices::default(),
            pci: PciIds::from_source(pci_ids),
        }
    }

    /// Renews the allowances for re-reading and, once a minute, forgets cgroups that have been gone
    /// for ten. Call once at the start of each scrape.
    pub(crate) fn begin_scrape(&self) {
        let scrape = self.scrape.fetch_add(1, Ordering::Relaxed) + 1;
        self.cgroups.check(scrape, Instant::now());
    }

    /// The symbol each address lies in: the nearest at or below it. Of several at one address the
    /// first in /proc/kallsyms.
    pub(crate) fn symbols(&self, addresses: &[u64]) -> Vec<Option<Symbol>> {
        self.symbols
            .symbols(addresses, self.scrape(), Instant::now())
    }

    /// The addresses of kernel symbols by name, with `<TAB>[module]` for a module's; the last in
    /// /proc/kallsyms of that name. `Some(0)` means that the kernel hides addresses from this
    /// process. Reads the file anew each time.
    pub(crate) fn addresses_of(&self, names: &[&str]) -> io::Result<Vec<Option<u64>>> {
        self.symbols.addresses_of(names)
    }

    /// Absolute paths of cgroups (v2), also of those removed in the last ten minutes if they were
    /// asked for before.
    pub(crate) fn cgroup_paths(&self, ids: &[u64]) -> Vec<Option<String>> {
        self.cgroups.paths(ids, self.scrape(), Instant::now())
    }

    /// Names of network interfaces by index, in this process' network namespace.
    pub(crate) fn interface_names(&self, indexes: &[u32]) -> Vec<Option<String>> {
        indexes.iter().map(|index| interface_name(*index)).collect()
    }

    /// Names of block devices by the kernel's own number: minor in the low 20 bits, major above.
    pub(crate) fn block_devices(&self, devices: &[u32]) -> Vec<Option<String>> {
        self.block.names(devices, self.scrape())
    }

    /// Names from pci.ids. `None` as a whole: this machine has none.
    pub(crate) fn pci_names(&self, kind: PciKind, ids: &[u32]) -> Option<Vec<Option<String>>> {
        self.pci.names(kind, ids)
    }

    fn scrape(&self) -> u64 {
        self.scrape.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
