//! From a component to machine code: what compiles, within which limits, and whoever can be asked
//! to do it.
//!
//! Cranelift is the part of this program that a hostile file can hurt most: small files can cost it
//! gigabytes and minutes, and it has panicked before. So a compiler is a process of its own where
//! there is one (`CompileLimits` are for it), and nothing here runs a component.

use std::fmt;
use std::os::fd::OwnedFd;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::diagnosis;
use super::engine;
use super::error::{CompileError, LoadError};
use super::guard::guarded;
use crate::link::sealed;

/// Makes machine code of components.
pub(crate) trait Compile {
    /// Gives the compiled code of `bytes` as a sealed memfd. `name`: the plugin's, for logs.
    /// Blocks, for seconds with a large component.
    fn compile(&self, name: &str, bytes: &[u8]) -> Result<OwnedFd, CompileError>;
}

/// Compiles in this process, without limits on memory and time, on all CPUs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InProcess;

impl Compile for InProcess {
    fn compile(&self, name: &str, bytes: &[u8]) -> Result<OwnedFd, CompileError> {
        let code = precompile(bytes, Threads::All);
        let code = code.map_err(|error| CompileError::Refused(error.to_string()))?;
        sealed(name, &code).map_err(|error| CompileError::no_memory(&error))
    }
}

/// Machine code for a component, for `engine_version`, or what is wrong with the bytes. With one
/// thread: what it costs depends on the bytes, and not on the machine.
pub(crate) fn compile(bytes: &[u8]) -> Result<Vec<u8>, LoadError> {
    precompile(bytes, Threads::One)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Threads {
    One,
    All,
}

fn precompile(bytes: &[u8], threads: Threads) -> Result<Vec<u8>, LoadError> {
    diagnosis::check_header(bytes)?;
    let mut config = engine::config()?;
    config.parallel_compilation(threads == Threads::All);
    let engine = wasmtime::Engine::new(&config).map_err(LoadError::engine)?;
    guarded(|| engine.precompile_component(bytes))
        .map_err(LoadError::Compiler)?
        .map_err(|error| LoadError::Compile(format!("{error:#}")))
}

/// What one compiler process may use. Measured with release builds on two cores of a virtual
/// machine (2026, wasmtime 48.0.8):
///
/// | component | bytes | CPU s | RLIMIT_DATA that suffices, MiB | so its limits are: s, MiB |
/// |---|---|---|---|---|
/// | the standard plugin | 871,312 | 1.1 | 26 | 13, 181 |
/// | a decoder in JavaScript (QuickJS) | 1,105,407 | 1.5 | 49 | 15, 195 |
/// | a decoder in Python (CPython) | 18,365,539 | 13.7 | 337 | 130, 1248 |
/// | 1 function, 1,000 locals, 100,000 branches | 1,361,640 | over 24 | over 5000: refused after 1 s | 17, 211 |
/// | 100,000 functions that do nothing | 400,040 | 6.6 | some 530: refused after 2 s | 10, 152 |
///
/// So what people write has a factor of 3 to spare of memory, and of time beyond what `Slowness`
/// says. Each function costs some 5 KB, however small; CPython has 14,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CompileLimits {
    /// Bytes of private writable memory (RLIMIT_DATA).
    pub(crate) memory: u64,
    /// CPU time (RLIMIT_CPU).
    pub(crate) cpu: Duration,
    /// After which it is killed.
    pub(crate) wall: Duration,
}

impl CompileLimits {
    /// For a component of so many bytes, on a machine of this speed.
    pub(crate) fn of(bytes: usize, slowness: Slowness) -> Self {
        const MIB: u64 = 1 << 20;
        let bytes = bytes as u64;
        let memory = (128 * MIB).saturating_add(bytes.saturating_mul(64));
        let cpu = 8 + bytes.saturating_mul(7) / MIB;
        // RLIMIT_CPU counts whole seconds.
        let cpu = Duration::from_secs((cpu as f64 * slowness.0).ceil() as u64);
        Self {
            memory: memory.min(2048 * MIB),
            cpu,
            // With a quarter of one CPU, which is what containers get.
            wall: cpu.saturating_mul(4),
        }
    }
}

/// How many times longer than on the machine of the table above a compiler's work takes here: a
/// small board's CPU and an emulated one need a longer limit for the same component.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Slowness(f64);

impl Slowness {
    /// As fast as the machine of the table.
    pub(crate) const NONE: Self = Self(1.0);
    /// QEMU's emulation of x86-64 is 10 to 20 times slower.
    const MAX: f64 = 32.0;
    /// CPU time of `reference()` on the machine of the table.
    const REFERENCE: Duration = Duration::from_millis(50);

    /// From the CPU time that `reference()` took. A faster machine's limits are not lower.
    pub(crate) fn of(reference: Duration) -> Self {
        let slowness = reference.as_secs_f64() / Self::REFERENCE.as_secs_f64();
        Self(slowness.clamp(1.0, Self::MAX))
    }
}

impl fmt::Display for Slowness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}", self.0)
    }
}

/// A component whose compiling tells how fast this machine is: 600 functions that do nothing.
pub(crate) fn reference() -> Vec<u8> {
    const FUNCTIONS: usize = 600;
    let count = leb128(FUNCTIONS);
    let types = vec![0; FUNCTIONS];
    // Two bytes each: no locals, end.
    let bodies = [2, 0, 0x0b].repeat(FUNCTIONS);
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        // One type: no parameters, no results.
        section(1, &[1, 0x60, 0, 0]),
        section(3, &[&count[..], &types].concat()),
        section(10, &[&count[..], &bodies].concat()),
    ];
    let component = b"\0asm\x0d\0\x01\0".to_vec();
    [component, section(1, &module.concat())].concat()
}

/// A section of a binary: its number, and its size before its content.
pub(super) fn section(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number], &leb128(content.len())[..], content].concat()
}

/// Of a size, or of a type's index, which is signed.
pub(super) fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x40 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[cfg(test)]
mod tests;
