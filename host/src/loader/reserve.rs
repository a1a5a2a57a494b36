//! What is kept back of the loader's descriptors while a unit is loaded.

use std::fs::File;
use std::io;

use crate::link::Reserve;

/// What the loader, the channel and the messages of one unit take.
const KEPT: usize = 32;

/// `Err`: the limit of open files is reached.
pub(super) fn reserve() -> io::Result<Reserve> {
    Reserve::of(File::open("/dev/null")?, KEPT)
}
