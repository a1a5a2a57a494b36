#![doc = include_str!("../README.md")]
#![warn(missing_docs)]
// Where things are: `decoder`, `shaper` and `collector` hold the traits authors implement, `cells`,
// `families`, `files`, `net`, `kernel`, `options`, `text` and `log` what they use for it,
// `registry` what stands between the traits and the component's exports, `wasm` the exports
// themselves. Only `wasm` knows generated code, and only Wasm targets build it: everything else
// runs and is tested natively.

pub mod cells;
pub mod collector;
pub mod decoder;
mod error;
mod export;
pub mod families;
pub mod files;
pub mod kernel;
pub mod log;
pub mod net;
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
pub use collector::{Collector, Failure, Host, Request};
pub use decoder::{Answer, BatchDecoder, Decoded, Decoder};
pub use error::Error;
pub use families::Families;
pub use files::{FileError, Files};
pub use kernel::Kernel;
pub use net::{Net, NetError};
pub use options::NoOptions;
pub use shaper::{Shape, Shaper};
