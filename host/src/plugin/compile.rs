//! From a component to machine code: what compiles, within which limits, and whoever can be asked
//! to do it.
//!
//! Cranelift is the part of this program that a hostile file can hurt most: small files can cost it
//! gigabytes and minutes, and it has panicked before. So a compiler is a process of its own where
//! there is one (`CompileLimits` are for it), and nothing here runs a component.

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
/// So what people write has a factor of 3 to spare of memory, and of time on a machine that is 3
/// times slower. Each function costs some 5 KB, however small; CPython has 14,000.
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
    /// For a component of so many bytes.
    pub(crate) fn of(bytes: usize) -> Self {
        const MIB: u64 = 1 << 20;
        let bytes = bytes as u64;
        let memory = (128 * MIB).saturating_add(bytes.saturating_mul(64));
        let cpu = Duration::from_secs(8 + bytes.saturating_mul(7) / MIB);
        Self {
            memory: memory.min(2048 * MIB),
            cpu,
            // With a quarter of one CPU, which is what containers get.
            wall: cpu.saturating_mul(4),
        }
    }
}

#[cfg(test)]
mod tests;
