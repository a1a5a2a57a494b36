//! What programs are attached to that comes and goes while the process runs: CPUs and interfaces.

use super::attach::interfaces_present;
use super::cpus;
use super::sys;

/// The CPUs that are online and the interfaces of this network namespace, to be compared with an earlier look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    cpus: Vec<u32>,
    /// One that is made again under its name has another index.
    interfaces: Vec<(String, Option<i32>)>,
}

impl Machine {
    /// What cannot be read is as good as not there. Needs no privileges.
    pub(crate) fn look() -> Self {
        let names = interfaces_present().unwrap_or_default();
        let mut interfaces: Vec<_> = names
            .into_iter()
            .map(|name| {
                let index = sys::interface_index(&name).ok();
                (name, index)
            })
            .collect();
        interfaces.sort();
        Self {
            cpus: cpus::online().unwrap_or_default(),
            interfaces,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_cpu_and_the_loopback() {
        let machine = Machine::look();
        assert!(!machine.cpus.is_empty());
        assert!(
            machine
                .interfaces
                .iter()
                .any(|(name, index)| name == "lo" && index.is_some())
        );
        assert_eq!(machine, Machine::look());
    }
}
