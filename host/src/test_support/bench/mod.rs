//! Parts of the hot path, ready to be run in a loop: each is set up once, and a method does one
//! turn.

mod bodies;
mod decode;
mod rows;
mod walk;

pub use bodies::{Bodies, Coding, Wire};
pub use decode::{Decoding, Standard};
pub use rows::{Rows, Shape};
pub use walk::Walk;
