//! For an author's unit tests, which run natively: opening as the host does it, files, network and
//! kernel made of tables, and the log.

mod files;
mod net;
mod text;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use crate::cells::Cells;
use crate::collector::{Collector, Failure, Request};
use crate::decoder::{Answer, BatchDecoder, Decoded};
use crate::error::Error;
use crate::files::{FileError, Files, Metadata, Usage};
use crate::kernel::{Kernel, PciKind, Symbol};
use crate::log::Level;
use crate::net::{Net, NetError};
use crate::options;
use crate::registry::{self, OpenCollector};
use crate::shaper::{Placed, Shape, Shaper};

pub use files::FakeFiles;
pub use net::{FakeNet, FakeTcp, FakeUdp, Reply};
pub use text::render;

/// A host for collectors: what its parts know.
#[derive(Debug, Default)]
pub struct FakeHost {
    /// Files.
    pub files: FakeFiles,
    /// The network.
    pub net: FakeNet,
    /// The kernel.
    pub kernel: FakeKernel,
}

/// A kernel that knows what it was told, and counts how often it was asked.
#[derive(Debug, Default)]
pub struct FakeKernel {
    /// Exact starts of symbols; an address belongs to the nearest one at or below it.
    pub symbols: Vec<(u64, &'static str)>,
    /// By cgroup id.
    pub cgroups: HashMap<u64, &'static str>,
    /// By interface index.
    pub interfaces: HashMap<u32, &'static str>,
    /// None: x86_64.
    pub machine: Option<&'static str>,
    /// By the kernel's own device number.
    pub block_devices: HashMap<u32, &'static str>,
    /// By table and id; None: there is no pci.ids.
    pub pci: Option<HashMap<(PciKind, u32), &'static str>>,
    /// Calls so far.
    pub calls: Cell<u32>,
}

/// Opens a decoder with options as JSON text, through the same checks as in the host.
pub fn open<D: BatchDecoder>(options: &str) -> Result<D, Error> {
    D::open(options::parse(D::NAME, D::OPTIONS_SCHEMA, options)?)
}

/// Decodes one column.
///
/// ```
/// # use exporter_guest_sdk::{Answer, Decoder, Error, NoOptions};
/// # struct Same;
/// # impl Decoder for Same {
/// #     const NAME: &'static str = "same";
/// #     const SUMMARY: &'static str = "";
/// #     type Options = NoOptions;
/// #     fn open(_: NoOptions) -> Result<Self, Error> { Ok(Self) }
/// #     fn decode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<Answer, Error> {
/// #         out.extend_from_slice(input);
/// #         Ok(Answer::Known)
/// #     }
/// # }
/// use exporter_guest_sdk::testing::{FakeKernel, decode, open};
///
/// let same: Same = open("{}").unwrap();
/// let decoded = decode(&same, &FakeKernel::default(), &["a", "b"]);
/// assert_eq!(decoded.cells().get(1), Some(&b"b"[..]));
/// ```
pub fn decode<D: BatchDecoder>(
    decoder: &D,
    kernel: &FakeKernel,
    column: &[impl AsRef<[u8]>],
) -> Decoded {
    let input: Cells = column.iter().collect();
    let mut out = Decoded::for_input(&input);
    decoder.decode_batch(kernel, &input, &mut out);
    out
}

/// Decodes one cell: its answer and bytes, or its error.
pub fn decode_one<D: BatchDecoder>(
    decoder: &D,
    kernel: &FakeKernel,
    input: &[u8],
) -> Result<(Answer, Vec<u8>), String> {
    let (cells, dropped, provisional, errors) = decode(decoder, kernel, &[input]).into_parts();
    if let Some(error) = errors.into_iter().next() {
        return Err(error.message);
    }
    let answer = match (dropped.is_empty(), provisional.is_empty()) {
        (false, _) => Answer::Drop,
        (_, false) => Answer::Provisional,
        _ => Answer::Known,
    };
    Ok((answer, cells.into_parts().0))
}

/// Opens a shaper with options as JSON text, `metric` included, through the same checks as in the
/// host.
pub fn open_shaper<S: Shaper>(options: &str) -> Result<(S, Shape), Error> {
    registry::open_typed_shaper(options)
}

/// Places one batch of rows, given by label columns; keys are empty.
pub fn place<S: Shaper>(shaper: &S, rows: u32, labels: &[Cells]) -> Placed {
    let mut out = Placed::with_capacity(rows);
    let keys = (0..rows).map(|_| b"").collect();
    shaper.place(rows, &keys, labels, &mut out);
    out
}

/// Opens a collector with options as JSON text, through the same checks as in the host.
pub fn open_collector<C: Collector>(options: &str) -> Result<C, Error> {
    registry::open_typed_collector(options)
}

/// Collects once: the families as text format 0.0.4, or why there are none.
pub fn collect<C: Collector>(
    collector: &C,
    host: &FakeHost,
    request: &Request,
) -> Result<String, Failure> {
    Ok(render(&OpenCollector::collect(collector, host, request)?))
}

thread_local! {
    static LOG: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn keep_log(level: Level, message: &str) {
    LOG.with_borrow_mut(|log| log.push((level, message.to_owned())));
}

/// What this thread logged since the last call.
pub fn take_log() -> Vec<(Level, String)> {
    LOG.take()
}

// === impl FakeHost ===

impl Files for FakeHost {
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        self.files.read(path)
    }

    fn metadata(&self, path: &str) -> Result<Metadata, FileError> {
        self.files.metadata(path)
    }

    fn list_dir(&self, path: &str) -> Result<Vec<String>, FileError> {
        self.files.list_dir(path)
    }

    fn file_system(&self, path: &str) -> Result<Usage, FileError> {
        self.files.file_system(path)
    }
}

impl Net for FakeHost {
    type Tcp = FakeTcp;
    type Udp = FakeUdp;

    fn connect(&self, endpoint: &str, timeout: Duration) -> Result<FakeTcp, NetError> {
        self.net.connect(endpoint, timeout)
    }

    fn open_udp(&self) -> Result<FakeUdp, NetError> {
        self.net.open_udp()
    }
}

impl Kernel for FakeHost {
    fn symbols(&self, addresses: &[u64]) -> Vec<Option<Symbol>> {
        self.kernel.symbols(addresses)
    }

    fn cgroup_paths(&self, ids: &[u64]) -> Vec<Option<String>> {
        self.kernel.cgroup_paths(ids)
    }

    fn interface_names(&self, indexes: &[u32]) -> Vec<Option<String>> {
        self.kernel.interface_names(indexes)
    }

    fn block_devices(&self, devices: &[u32]) -> Vec<Option<String>> {
        self.kernel.block_devices(devices)
    }

    fn machine(&self) -> String {
        self.kernel.machine()
    }

    fn pci_names(&self, kind: PciKind, ids: &[u32]) -> Option<Vec<Option<String>>> {
        self.kernel.pci_names(kind, ids)
    }
}

// === impl FakeKernel ===

impl FakeKernel {
    fn answer<Q, A>(&self, questions: &[Q], answer: impl Fn(&Q) -> Option<A>) -> Vec<Option<A>> {
        self.calls.set(self.calls.get() + 1);
        questions.iter().map(answer).collect()
    }
}

impl Kernel for FakeKernel {
    fn symbols(&self, addresses: &[u64]) -> Vec<Option<Symbol>> {
        self.answer(addresses, |&address| {
            let below = self.symbols.iter().filter(|(start, _)| *start <= address);
            let (start, name) = below.max_by_key(|(start, _)| *start)?;
            Some(Symbol {
                name: (*name).to_owned(),
                offset: address - start,
            })
        })
    }

    fn cgroup_paths(&self, ids: &[u64]) -> Vec<Option<String>> {
        self.answer(ids, |id| self.cgroups.get(id).map(ToString::to_string))
    }

    fn interface_names(&self, indexes: &[u32]) -> Vec<Option<String>> {
        self.answer(indexes, |index| {
            self.interfaces.get(index).map(ToString::to_string)
        })
    }

    fn block_devices(&self, devices: &[u32]) -> Vec<Option<String>> {
        self.answer(devices, |device| {
            self.block_devices.get(device).map(ToString::to_string)
        })
    }

    fn machine(&self) -> String {
        self.machine.unwrap_or("x86_64").to_owned()
    }

    fn pci_names(&self, kind: PciKind, ids: &[u32]) -> Option<Vec<Option<String>>> {
        let names = self.pci.as_ref()?;
        Some(self.answer(ids, |&id| names.get(&(kind, id)).map(ToString::to_string)))
    }
}
