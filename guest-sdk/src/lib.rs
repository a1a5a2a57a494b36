#![doc = include_str!("../README.md")]
#![warn(missing_docs)]
// Where things are: `decoder` and `shaper` hold the traits authors implement, `cells`, `kernel`, `options`, `text` and `log` what
// they use for it, `registry` what stands between the traits and the component's exports, `wasm` the exports themselves. Only
// `wasm` knows generated code, and only Wasm targets build it: everything else runs and is tested natively.

pub mod cells;
pub mod decoder;
mod error;
mod export;
pub mod kernel;
pub mod log;
pub mod options;
#[doc(hidden)]
pub mod registry;
pub mod shaper;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod text;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod wasm;

pub use cells::{Cells, RowError};
pub use decoder::{Answer, BatchDecoder, Decoded, Decoder};
pub use error::Error;
pub use kernel::Kernel;
pub use options::NoOptions;
pub use shaper::{Shape, Shaper};
