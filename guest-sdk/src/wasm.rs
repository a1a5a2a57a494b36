//! The component's exports and imports: generated code, and the glue between it and the registry. Only Wasm targets build this.

use std::cell::RefCell;
use std::sync::Once;

use crate::cells::{Cells, RowError};
use crate::kernel::{Kernel, PciKind, Symbol};
use crate::log::Level;
use crate::registry::{self, Entry, Handles, OpenDecoder, OpenDecoderFn, OpenShaper, OpenShaperFn};
use crate::shaper;

use decoder_world::exporter::plugin::{kernel, log, types};
use decoder_world::exports::exporter::plugin::decoding;
use shaper_world::exports::exporter::plugin::shaping;

/// Two worlds rather than the one that has both: a plugin's exports are those whose macro it calls.
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
        world: "shaper-plugin",
        pub_export_macro: true,
        default_bindings_module: "exporter_guest_sdk::wasm::shaper_world",
        with: {
            "exporter:plugin/types@0.1.0": super::decoder_world::exporter::plugin::types,
            "exporter:plugin/log@0.1.0": super::decoder_world::exporter::plugin::log,
        },
    });
}

/// A plugin's decoders; `export_plugin!` implements it.
pub trait DecoderPlugin {
    const ENTRIES: &'static [Entry<OpenDecoderFn<HostKernel>>];
}

/// A plugin's shapers; `export_plugin!` implements it.
pub trait ShaperPlugin {
    const ENTRIES: &'static [Entry<OpenShaperFn>];
}

/// The imported kernel interface.
#[derive(Debug)]
pub struct HostKernel;

thread_local! {
    static DECODERS: RefCell<Handles<Box<dyn OpenDecoder<HostKernel>>>> =
        const { RefCell::new(Handles::new()) };
    static SHAPERS: RefCell<Handles<Box<dyn OpenShaper>>> = const { RefCell::new(Handles::new()) };
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
            Some(open) => open.decode(&HostKernel, &input),
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

// === impl HostKernel ===

impl Kernel for HostKernel {
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

impl From<shaper::Family> for shaping::Family {
    fn from(family: shaper::Family) -> Self {
        Self {
            name: family.name,
            help: family.help,
            unit: family.unit,
            kind: match family.kind {
                shaper::Kind::Counter => types::Kind::Counter,
                shaper::Kind::Gauge => types::Kind::Gauge,
                shaper::Kind::Histogram => types::Kind::Histogram,
                shaper::Kind::Info => types::Kind::Info,
                shaper::Kind::Unknown => types::Kind::Unknown,
            },
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
