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

    /// As `ask_granted`, in pieces, until the call's time with the host is used up: no epoch ends
    /// what the host does. The rest is not known.
    fn ask_each<Q, A>(
        &mut self,
        fact: KernelFact,
        questions: &[Q],
        ask: impl Fn(&KernelFacts, &[Q]) -> Vec<Option<A>>,
    ) -> Vec<Option<A>> {
        let mut answers = Vec::new();
        for some in questions.chunks(AT_ONCE) {
            let Some(known) = self.ask_granted(fact, |facts| ask(facts, some)) else {
                break;
            };
            answers.extend(known);
            if self.host_time_is_up() {
                break;
            }
        }
        answers.resize_with(questions.len(), || None);
        answers
    }
}

/// Questions that are asked at once: what they need is locked meanwhile, and others ask too.
const AT_ONCE: usize = 4096;

impl kernel::Host for HostState {
    fn symbols(&mut self, addresses: Vec<u64>) -> Vec<Option<kernel::KernelSymbol>> {
        let symbols = self.ask_each(KernelFact::Symbols, &addresses, KernelFacts::symbols);
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
        self.ask_each(KernelFact::Cgroups, &ids, KernelFacts::cgroup_paths)
    }

    fn interface_names(&mut self, indexes: Vec<u32>) -> Vec<Option<String>> {
        self.ask_each(
            KernelFact::Interfaces,
            &indexes,
            KernelFacts::interface_names,
        )
    }

    fn block_devices(&mut self, devices: Vec<u32>) -> Vec<Option<String>> {
        self.ask_each(
            KernelFact::BlockDevices,
            &devices,
            KernelFacts::block_devices,
        )
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
