//! Facts about the running kernel.

use super::HostState;
use crate::config::sidecar::KernelFact;
use crate::kernel::{KernelFacts, PciKind, machine};
use crate::plugin::bindings::exporter::plugin::kernel;
use crate::plugin::grants::Interface;

impl HostState {
    /// Asks for facts on the host's own time.
    fn ask<T>(&mut self, question: impl FnOnce(&KernelFacts) -> T) -> T {
        let started = std::time::Instant::now();
        let answer = question(&self.facts);
        self.spent_in_host(started.elapsed());
        answer
    }

    /// As `ask`, where the fact is granted.
    fn ask_granted<T>(
        &mut self,
        fact: KernelFact,
        question: impl FnOnce(&KernelFacts) -> T,
    ) -> Option<T> {
        if self.grants.kernel.contains(&fact) {
            return Some(self.ask(question));
        }
        self.deny(Interface::Kernel, fact.as_str());
        None
    }
}

/// The answers where there are none: the fact is not granted.
fn unknown<T: Clone>(questions: usize) -> Vec<Option<T>> {
    vec![None; questions]
}

impl kernel::Host for HostState {
    fn symbols(&mut self, addresses: Vec<u64>) -> Vec<Option<kernel::KernelSymbol>> {
        let symbols = self.ask_granted(KernelFact::Symbols, |facts| facts.symbols(&addresses));
        symbols
            .unwrap_or_else(|| unknown(addresses.len()))
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
        self.ask_granted(KernelFact::Cgroups, |facts| facts.cgroup_paths(&ids))
            .unwrap_or_else(|| unknown(ids.len()))
    }

    fn interface_names(&mut self, indexes: Vec<u32>) -> Vec<Option<String>> {
        self.ask_granted(KernelFact::Interfaces, |facts| {
            facts.interface_names(&indexes)
        })
        .unwrap_or_else(|| unknown(indexes.len()))
    }

    fn block_devices(&mut self, devices: Vec<u32>) -> Vec<Option<String>> {
        self.ask_granted(KernelFact::BlockDevices, |facts| {
            facts.block_devices(&devices)
        })
        .unwrap_or_else(|| unknown(devices.len()))
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
        self.ask_granted(KernelFact::Pci, |facts| facts.pci_names(kind, &ids))?
    }
}
