//! Facts about the running kernel.

use super::HostState;
use crate::kernel::{KernelFacts, PciKind, machine};
use crate::plugin::bindings::exporter::plugin::kernel;

impl HostState {
    /// Asks for facts on the host's own time.
    fn ask<T>(&mut self, question: impl FnOnce(&KernelFacts) -> T) -> T {
        let started = std::time::Instant::now();
        let answer = question(&self.facts);
        self.spent_in_host(started.elapsed());
        answer
    }
}

impl kernel::Host for HostState {
    fn symbols(&mut self, addresses: Vec<u64>) -> Vec<Option<kernel::KernelSymbol>> {
        let symbols = self.ask(|facts| facts.symbols(&addresses));
        symbols
            .into_iter()
            .map(|found| {
                found.map(|symbol| kernel::KernelSymbol {
                    name: symbol.name,
                    offset: symbol.offset,
                })
            })
            .collect()
    }

    fn cgroup_paths(&mut self, ids: Vec<u64>) -> Vec<Option<String>> {
        self.ask(|facts| facts.cgroup_paths(&ids))
    }

    fn interface_names(&mut self, indexes: Vec<u32>) -> Vec<Option<String>> {
        self.ask(|facts| facts.interface_names(&indexes))
    }

    fn block_devices(&mut self, devices: Vec<u32>) -> Vec<Option<String>> {
        self.ask(|facts| facts.block_devices(&devices))
    }

    fn machine(&mut self) -> String {
        machine().to_owned()
    }

    fn pci_names(&mut self, kind: kernel::PciKind, ids: Vec<u32>) -> Option<Vec<Option<String>>> {
        let kind = match kind {
            kernel::PciKind::Vendor => PciKind::Vendor,
            kernel::PciKind::Device => PciKind::Device,
            kernel::PciKind::Class => PciKind::Class,
            kernel::PciKind::Subclass => PciKind::Subclass,
        };
        self.ask(|facts| facts.pci_names(kind, &ids))
    }
}
