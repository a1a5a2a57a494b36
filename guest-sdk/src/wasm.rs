//! The component's exports and imports: generated code, and the glue between it and the registry.
//! Only Wasm targets build this.

mod conversions;
mod imports;

use std::cell::RefCell;
use std::sync::Once;
use std::time::Duration;

use crate::cells::Cells;
use crate::collector::{Failure, Request};
use crate::log::Level;
use crate::registry::{
    self, Entry, Handles, OpenCollector, OpenCollectorFn, OpenDecoder, OpenDecoderFn, OpenShaper,
    OpenShaperFn,
};

use collector_world::exports::exporter::plugin::collecting;
use conversions::row_errors;
use decoder_world::exporter::plugin::{log, types};
use decoder_world::exports::exporter::plugin::decoding;
pub use imports::{HostTcpStream, HostUdpSocket};
use shaper_world::exports::exporter::plugin::{shaping, uniform_shaping};

/// Three worlds rather than one that has everything: a plugin's exports are those whose macro it
/// calls.
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
