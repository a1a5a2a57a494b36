//! Collector for files of metrics: what other programs leave in `*.prom` files, in the text format
//! 0.0.4, as with node_exporter's textfile collector.
//!
//! `parse` reads one file, strictly or line by line; `paths` finds the files; `merge` brings the
//! families of several files together; `collector` does it all and tells how it went.

mod age;
mod collector;
#[cfg(not(target_family = "wasm"))]
#[doc(hidden)]
pub mod fuzz;
mod merge;
mod parse;
mod paths;

exporter_guest_sdk::export_plugin! { collectors: [collector::Textfile] }
