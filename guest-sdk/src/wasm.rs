//! The component's exports and imports: generated code, and the glue between it and the registry. Only Wasm targets build this.

use std::cell::RefCell;
use std::sync::Once;

use std::time::Duration;

use crate::cells::{Cells, RowError};
use crate::collector::{Failure, Request};
use crate::families::{self, Kind, Value};
use crate::files::{FileError, FileKind, FileProblem, Files, Metadata, Usage, time_of};
use crate::kernel::{Kernel, PciKind, Symbol};
use crate::log::Level;
use crate::net::{Datagram, Net, NetError, NetProblem, TcpStream, UdpSocket, milliseconds};
use crate::registry::{
    self, Entry, Handles, OpenCollector, OpenCollectorFn, OpenDecoder, OpenDecoderFn, OpenShaper,
    OpenShaperFn,
};
use crate::shaper;

use collector_world::exporter::plugin::{files, net};
use collector_world::exports::exporter::plugin::collecting;
use decoder_world::exporter::plugin::{kernel, log, types};
use decoder_world::exports::exporter::plugin::decoding;
use shaper_world::exports::exporter::plugin::{shaping, uniform_shaping};

/// Three worlds rather than one that has everything: a plugin's exports are those whose macro it calls.
#[allow(
    unsafe_code,
    missing_docs,
    clippy::all,
    unreachable_pub,
    reason = "generated code"
)]
pub mod decoder_world {
    wit_bindgen::generate!({
        path: "../wit",
        world: "decoder-plugin",
        pub_export_macro: true,
        default_bindings_module: "exporter_guest_sdk::wasm::decoder_world",
    });
}

#[allow(
    unsafe_code,
    missing_docs,
    clippy::all,
    unreachable_pub,
    reason = "generated code"
)]
pub mod shaper_world {
    wit_bindgen::generate!({
        path: "../wit",
        world: "uniform-shaper-plugin",
        pub_export_macro: true,
        default_bindings_module: "exporter_guest_sdk::wasm::shaper_world",
        with: {
            "exporter:plugin/types@0.1.0": super::decoder_world::exporter::plugin::types,
            "exporter:plugin/log@0.1.0": super::decoder_world::exporter::plugin::log,
        },
    });
}

#[allow(
    unsafe_code,
    missing_docs,
    clippy::all,
    unreachable_pub,
    reason = "generated code"
)]
pub mod collector_world {
    wit_bindgen::generate!({
        path: "../wit",
        world: "collector-plugin",
        pub_export_macro: true,
        default_bindings_module: "exporter_guest_sdk::wasm::collector_world",
        with: {
            "exporter:plugin/types@0.1.0": super::decoder_world::exporter::plugin::types,
            "exporter:plugin/log@0.1.0": super::decoder_world::exporter::plugin::log,
            "exporter:plugin/kernel@0.1.0": super::decoder_world::exporter::plugin::kernel,
        },
    });
}

/// A plugin's decoders; `export_plugin!` implements it.
pub trait DecoderPlugin {
    const ENTRIES: &'static [Entry<OpenDecoderFn<PluginHost>>];
}

/// A plugin's shapers; `export_plugin!` implements it.
pub trait ShaperPlugin {
    const ENTRIES: &'static [Entry<OpenShaperFn>];
}

/// A plugin's collectors; `export_plugin!` implements it.
pub trait CollectorPlugin {
    const ENTRIES: &'static [Entry<OpenCollectorFn<PluginHost>>];
}

/// The imported interfaces.
#[derive(Debug)]
pub struct PluginHost;

thread_local! {
    static DECODERS: RefCell<Handles<Box<dyn OpenDecoder<PluginHost>>>> =
        const { RefCell::new(Handles::new()) };
    static SHAPERS: RefCell<Handles<Box<dyn OpenShaper>>> = const { RefCell::new(Handles::new()) };
    static COLLECTORS: RefCell<Handles<Box<dyn OpenCollector<PluginHost>>>> =
        const { RefCell::new(Handles::new()) };
}

/// Without this a panic's message goes to a standard error that the host need not have.
fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            log::write(log::Level::Error, &info.to_string())
        }));
    });
}

pub(crate) fn write_log(level: Level, message: &str) {
    let level = match level {
        Level::Error => log::Level::Error,
        Level::Warn => log::Level::Warn,
        Level::Info => log::Level::Info,
        Level::Debug => log::Level::Debug,
        Level::Trace => log::Level::Trace,
    };
    log::write(level, message);
}

// === decoding ===

impl<P: DecoderPlugin> decoding::Guest for P {
    fn catalogue() -> Vec<types::Description> {
        P::ENTRIES.iter().map(types::Description::from).collect()
    }

    fn open(name: String, options: String) -> Result<u32, String> {
        install_panic_hook();
        let entry = registry::find(P::ENTRIES, &name)?;
        let decoder = (entry.open)(&options)?;
        Ok(DECODERS.with_borrow_mut(|open| open.insert(entry.name, options, decoder)))
    }

    fn decode(decoder: u32, input: types::Cells) -> decoding::Decoded {
        let input = Cells::from(input);
        let decoded = DECODERS.with_borrow(|open| match open.get(decoder) {
            Some(open) => open.decode(&PluginHost, &input),
            None => registry::decoded_without_decoder(decoder, &input),
        });
        let (cells, dropped, provisional, errors) = decoded.into_parts();
        decoding::Decoded {
            cells: cells.into(),
            dropped,
            provisional,
            errors: row_errors(errors),
        }
    }
}

// === shaping ===

impl<P: ShaperPlugin> shaping::Guest for P {
    fn catalogue() -> Vec<types::Description> {
        P::ENTRIES.iter().map(types::Description::from).collect()
    }

    fn open(name: String, options: String) -> Result<shaping::Opened, String> {
        install_panic_hook();
        let entry = registry::find(P::ENTRIES, &name)?;
        let (shaper, shape) = (entry.open)(&options)?;
        Ok(shaping::Opened {
            shaper: SHAPERS.with_borrow_mut(|open| open.insert(entry.name, options, shaper)),
            families: shape
                .families
                .into_iter()
                .map(shaping::Family::from)
                .collect(),
            numbers: shape
                .numbers
                .into_iter()
                .map(shaping::Number::from)
                .collect(),
        })
    }

    fn place(
        shaper: u32,
        rows: u32,
        keys: types::Cells,
        labels: Vec<types::Cells>,
    ) -> shaping::Placed {
        let keys = Cells::from(keys);
        let labels: Vec<Cells> = labels.into_iter().map(Cells::from).collect();
        let placed = SHAPERS.with_borrow(|open| match open.get(shaper) {
            Some(open) => open.place(rows, &keys, &labels),
            None => registry::placed_without_shaper(shaper, rows),
        });
        let (placements, labels, errors) = placed.into_parts();
        shaping::Placed {
            placements: placements
                .into_iter()
                .map(shaping::Placement::from)
                .collect(),
            labels: labels.into_iter().map(types::Cells::from).collect(),
            errors: row_errors(errors),
        }
    }
}

impl<P: ShaperPlugin> uniform_shaping::Guest for P {
    fn placements(shaper: u32) -> Vec<shaping::Placement> {
        let placements = SHAPERS.with_borrow(|open| open.get(shaper).map(|open| open.uniform()));
        let placements = placements.unwrap_or_default().into_iter();
        placements.map(shaping::Placement::from).collect()
    }
}

// === collecting ===

impl<P: CollectorPlugin> collecting::Guest for P {
    fn catalogue() -> Vec<types::Description> {
        P::ENTRIES.iter().map(types::Description::from).collect()
    }

    fn open(name: String, options: String) -> Result<u32, String> {
        install_panic_hook();
        let entry = registry::find(P::ENTRIES, &name)?;
        let collector = (entry.open)(&options)?;
        Ok(COLLECTORS.with_borrow_mut(|open| open.insert(entry.name, options, collector)))
    }

    fn collect(
        collector: u32,
        request: collecting::Request,
    ) -> Result<Vec<collecting::Family>, collecting::Failure> {
        let request = Request {
            target: request.target,
            params: request.params,
            timeout: Duration::from_millis(request.timeout_ms.into()),
        };
        let families = COLLECTORS.with_borrow(|open| match open.get(collector) {
            Some(open) => open.collect(&PluginHost, &request),
            None => Err(Failure::Invalid(format!(
                "no collector is open as {collector}"
            ))),
        })?;
        Ok(families.into_iter().map(collecting::Family::from).collect())
    }
}

// === impl PluginHost ===

impl Files for PluginHost {
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        files::read(path).map_err(|error| file_error(path, error))
    }

    fn metadata(&self, path: &str) -> Result<Metadata, FileError> {
        let metadata = files::metadata(path).map_err(|error| file_error(path, error))?;
        Ok(Metadata {
            kind: match metadata.kind {
                files::FileKind::File => FileKind::File,
                files::FileKind::Directory => FileKind::Directory,
                files::FileKind::Other => FileKind::Other,
            },
            size: metadata.size,
            modified: time_of(metadata.modified),
        })
    }

    fn list_dir(&self, path: &str) -> Result<Vec<String>, FileError> {
        files::list_dir(path).map_err(|error| file_error(path, error))
    }

    fn file_system(&self, path: &str) -> Result<Usage, FileError> {
        let usage = files::file_system(path).map_err(|error| file_error(path, error))?;
        Ok(Usage {
            total: usage.total,
            free: usage.free,
            available: usage.available,
            files: usage.files,
            files_free: usage.files_free,
            kind: usage.kind,
            read_only: usage.read_only,
        })
    }
}

/// A connection, and with whom.
#[derive(Debug)]
pub struct HostTcpStream {
    stream: net::TcpStream,
    endpoint: String,
}

/// A socket of the host's.
#[derive(Debug)]
pub struct HostUdpSocket(net::UdpSocket);

impl Net for PluginHost {
    type Tcp = HostTcpStream;
    type Udp = HostUdpSocket;

    fn connect(&self, endpoint: &str, timeout: Duration) -> Result<HostTcpStream, NetError> {
        let stream = net::TcpStream::connect(endpoint, milliseconds(timeout));
        Ok(HostTcpStream {
            stream: stream.map_err(|error| net_error(endpoint, error))?,
            endpoint: endpoint.to_owned(),
        })
    }

    fn open_udp(&self) -> Result<HostUdpSocket, NetError> {
        let socket = net::UdpSocket::open().map_err(|error| net_error("", error))?;
        Ok(HostUdpSocket(socket))
    }
}

impl TcpStream for HostTcpStream {
    fn read(&mut self, max: u32, timeout: Duration) -> Result<Vec<u8>, NetError> {
        let bytes = self.stream.read(max, milliseconds(timeout));
        bytes.map_err(|error| net_error(&self.endpoint, error))
    }

    fn write_all(&mut self, bytes: &[u8], timeout: Duration) -> Result<(), NetError> {
        let written = self.stream.write_all(bytes, milliseconds(timeout));
        written.map_err(|error| net_error(&self.endpoint, error))
    }
}

impl UdpSocket for HostUdpSocket {
    fn send_to(&mut self, endpoint: &str, bytes: &[u8]) -> Result<(), NetError> {
        let sent = self.0.send_to(endpoint, bytes);
        sent.map_err(|error| net_error(endpoint, error))
    }

    fn receive(&mut self, timeout: Duration) -> Result<Datagram, NetError> {
        let datagram = self.0.receive(milliseconds(timeout));
        let datagram = datagram.map_err(|error| net_error("", error))?;
        Ok(Datagram {
            source: datagram.source,
            bytes: datagram.bytes,
        })
    }
}

fn file_error(path: &str, error: files::FileError) -> FileError {
    let problem = match error {
        files::FileError::Denied(why) => FileProblem::Denied(why),
        files::FileError::NotFound => FileProblem::NotFound,
        files::FileError::TooLarge(limit) => FileProblem::TooLarge(limit),
        files::FileError::Io(why) => FileProblem::Io(why),
    };
    FileError::new(path, problem)
}

fn net_error(endpoint: &str, error: net::NetError) -> NetError {
    let problem = match error {
        net::NetError::Denied(why) => NetProblem::Denied(why),
        net::NetError::Timeout => NetProblem::Timeout,
        net::NetError::Closed => NetProblem::Closed,
        net::NetError::Refused => NetProblem::Refused,
        net::NetError::Other(why) => NetProblem::Other(why),
    };
    NetError::new(endpoint, problem)
}

impl Kernel for PluginHost {
    fn symbols(&self, addresses: &[u64]) -> Vec<Option<Symbol>> {
        let symbols = kernel::symbols(addresses).into_iter();
        symbols
            .map(|symbol| {
                symbol.map(|symbol| Symbol {
                    name: symbol.name,
                    offset: symbol.offset,
                })
            })
            .collect()
    }

    fn cgroup_paths(&self, ids: &[u64]) -> Vec<Option<String>> {
        kernel::cgroup_paths(ids)
    }

    fn interface_names(&self, indexes: &[u32]) -> Vec<Option<String>> {
        kernel::interface_names(indexes)
    }

    fn block_devices(&self, devices: &[u32]) -> Vec<Option<String>> {
        kernel::block_devices(devices)
    }

    fn machine(&self) -> String {
        kernel::machine()
    }

    fn pci_names(&self, kind: PciKind, ids: &[u32]) -> Option<Vec<Option<String>>> {
        let kind = match kind {
            PciKind::Vendor => kernel::PciKind::Vendor,
            PciKind::Device => kernel::PciKind::Device,
            PciKind::Class => kernel::PciKind::Class,
            PciKind::Subclass => kernel::PciKind::Subclass,
        };
        kernel::pci_names(kind, ids)
    }
}

// === conversions ===

fn row_errors(errors: Vec<RowError>) -> Vec<types::RowError> {
    let errors = errors.into_iter();
    errors
        .map(|error| types::RowError {
            row: error.row,
            message: error.message,
        })
        .collect()
}

impl From<types::Cells> for Cells {
    fn from(cells: types::Cells) -> Self {
        Self::from_parts(cells.bytes, cells.ends)
    }
}

impl From<Cells> for types::Cells {
    fn from(cells: Cells) -> Self {
        let (bytes, ends) = cells.into_parts();
        Self { bytes, ends }
    }
}

impl<F> From<&Entry<F>> for types::Description {
    fn from(entry: &Entry<F>) -> Self {
        Self {
            name: entry.name.to_owned(),
            summary: entry.summary.to_owned(),
            options_schema: entry.options_schema.to_owned(),
        }
    }
}

impl From<Kind> for types::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter,
            Kind::Gauge => Self::Gauge,
            Kind::Histogram => Self::Histogram,
            Kind::Summary => Self::Summary,
            Kind::Info => Self::Info,
            Kind::Unknown => Self::Unknown,
        }
    }
}

impl From<shaper::Family> for shaping::Family {
    fn from(family: shaper::Family) -> Self {
        Self {
            name: family.name,
            help: family.help,
            unit: family.unit,
            kind: family.kind.into(),
            labels: family.labels,
            bounds: family.bounds,
        }
    }
}

impl From<shaper::Number> for shaping::Number {
    fn from(number: shaper::Number) -> Self {
        Self {
            offset: number.offset,
            encoding: match number.encoding {
                shaper::NumberType::U64 => shaping::NumberType::U64,
                shaper::NumberType::S64 => shaping::NumberType::S64,
                shaper::NumberType::U32 => shaping::NumberType::U32,
                shaper::NumberType::S32 => shaping::NumberType::S32,
                shaper::NumberType::F64 => shaping::NumberType::F64,
            },
        }
    }
}

impl From<shaper::Placement> for shaping::Placement {
    fn from(placement: shaper::Placement) -> Self {
        Self {
            row: placement.row,
            family: placement.family,
            slot: match placement.slot {
                shaper::Slot::Value => shaping::Slot::Value,
                shaper::Slot::Bucket(index) => shaping::Slot::Bucket(index),
                shaper::Slot::Sum => shaping::Slot::Sum,
                shaper::Slot::None => shaping::Slot::None,
            },
            number: placement.number,
            scale: placement.scale,
        }
    }
}

impl From<families::Family> for collecting::Family {
    fn from(family: families::Family) -> Self {
        let samples = family.samples.into_iter();
        Self {
            name: family.name,
            help: family.help,
            unit: family.unit,
            kind: family.kind.into(),
            label_names: family.label_names,
            samples: samples
                .map(|sample| collecting::Sample {
                    label_values: sample.label_values,
                    value: sample.value.into(),
                })
                .collect(),
        }
    }
}

impl From<Value> for collecting::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Unsigned(number) => Self::Number(collecting::Number::Unsigned(number)),
            Value::Signed(number) => Self::Number(collecting::Number::Signed(number)),
            Value::Real(number) => Self::Number(collecting::Number::Real(number)),
            Value::Histogram(histogram) => {
                let buckets = histogram.buckets.into_iter();
                Self::Histogram(collecting::Histogram {
                    buckets: buckets
                        .map(|(upper_bound, cumulative_count)| collecting::Bucket {
                            upper_bound,
                            cumulative_count,
                        })
                        .collect(),
                    sum: histogram.sum,
                    count: histogram.count,
                })
            }
            Value::Summary(summary) => {
                let quantiles = summary.quantiles.into_iter();
                Self::Summary(collecting::Summary {
                    quantiles: quantiles
                        .map(|(quantile, value)| collecting::Quantile { quantile, value })
                        .collect(),
                    sum: summary.sum,
                    count: summary.count,
                })
            }
        }
    }
}

impl From<Failure> for collecting::Failure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unreachable(message) => Self::Unreachable(message),
            Failure::Timeout(message) => Self::Timeout(message),
            Failure::Invalid(message) => Self::Invalid(message),
            Failure::Denied(message) => Self::Denied(message),
        }
    }
}
