//! stub
pub(crate) struct KernelFacts;
pub(crate) struct Symbol { pub(crate) name: String, pub(crate) offset: u64 }
pub(crate) enum PciKind { Vendor, Device, Class, Subclass }
impl KernelFacts {
    pub(crate) fn symbols(&self, _a: &[u64]) -> Vec<Option<Symbol>> { Vec::new() }
    pub(crate) fn cgroup_path(&self, _a: u64) -> Option<String> { None }
    pub(crate) fn interface_name(&self, _a: u32) -> Option<String> { None }
    pub(crate) fn block_device(&self, _a: u32) -> Option<String> { None }
    pub(crate) fn pci_names(&self, _k: PciKind, _a: &[u32]) -> Option<Vec<Option<String>>> { None }
}
