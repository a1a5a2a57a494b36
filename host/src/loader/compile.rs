//! Having plugins compiled, each in a process of its own that ends with it.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::de::DeserializeOwned;

use super::ends::Ends;
use crate::compiler::CompilerAnswer;
use crate::link::{self, Next, ReceiveError, Receiver};
use crate::plugin::{self, Compile, CompileError, CompileLimits, MAX_COMPILED, Slowness};
use crate::starter::{self, How, Starter};

/// How long the end of a compiler that has said nothing may take to be told.
const END_LIMIT: Duration = Duration::from_secs(2);
/// Bytes of a compiler's words.
const MAX_ANSWER: usize = 1 << 20;

/// Compilers by way of the starter.
pub(super) struct Compilers {
    starter: Arc<Starter>,
    ends: Arc<Ends>,
    slowness: OnceLock<Slowness>,
}

impl Compile for Compilers {
    fn compile(&self, name: &str, bytes: &[u8]) -> Result<OwnedFd, CompileError> {
        let limits = CompileLimits::of(bytes.len(), self.slowness());
        let (code, cpu) = self.compile_within(limits, name, bytes)?;
        tracing::debug!(plugin = name, ?cpu, "compiled a plugin");
        Ok(code)
    }
}

impl Compilers {
    pub(super) fn new(starter: Arc<Starter>, ends: Arc<Ends>) -> Self {
        Self {
            starter,
            ends,
            slowness: OnceLock::new(),
        }
    }

    /// How slow this machine is: measured once, before the first plugin is compiled. Blocks.
    fn slowness(&self) -> Slowness {
        *self.slowness.get_or_init(|| {
            let reference = plugin::reference();
            let limits = CompileLimits::of(reference.len(), Slowness::NONE);
            match self.compile_within(limits, "reference", &reference) {
                Ok((_, cpu)) => {
                    let slowness = Slowness::of(cpu);
                    tracing::debug!(?cpu, %slowness, "measured how long compiling takes here");
                    slowness
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot measure how long compiling takes here");
                    Slowness::NONE
                }
            }
        })
    }

    /// The code, and the CPU time that compiling it took.
    fn compile_within(
        &self,
        limits: CompileLimits,
        name: &str,
        bytes: &[u8],
    ) -> Result<(OwnedFd, Duration), CompileError> {
        let lost = |why: String| CompileError::Lost(format!("it cannot be compiled now: {why}"));
        let component =
            link::sealed("component", bytes).map_err(|error| lost(error.to_string()))?;
        let compiler = self
            .starter
            .start_compiler(component.as_fd(), starter_limits(limits))
            .map_err(|error| lost(error.to_string()))?;
        tracing::debug!(plugin = name, pid = compiler.pid, "compiling a plugin");
        // One message, with the code in a descriptor.
        let mut answer = Receiver::limited(compiler.answer, MAX_ANSWER, 1);
        let outcome = next_within::<CompilerAnswer>(&mut answer, limits.wall);
        // Whatever it does now is for nobody.
        self.starter.kill(compiler.child);
        match outcome {
            Ok(Next::Received(received)) => {
                match (received.message, received.descriptors.into_iter().next()) {
                    (CompilerAnswer::Done { cpu }, Some(code)) => {
                        match link::check_sealed(&code, MAX_COMPILED) {
                            Ok(_) => Ok((code, cpu)),
                            Err(error) => Err(lost(error.to_string())),
                        }
                    }
                    (CompilerAnswer::Done { .. }, None) => {
                        Err(lost("the code did not arrive".into()))
                    }
                    (CompilerAnswer::Refused(why), _) => Err(CompileError::Refused(why)),
                    (CompilerAnswer::Failed(why), _) => Err(lost(why)),
                }
            }
            Ok(Next::Nothing) => Err(CompileError::Refused(format!(
                "compiling it takes longer than {} s: is it one huge function?",
                limits.wall.as_secs()
            ))),
            Ok(Next::Closed) => match self.ends.of(compiler.child, END_LIMIT) {
                // Somebody else did: the kernel for want of memory, perhaps.
                Some(How::Signal(libc::SIGKILL)) => Err(lost(
                    "the compiler was killed, perhaps for want of memory".into(),
                )),
                how => Err(CompileError::Refused(format!(
                    "compiling it takes more than {} MiB or {} s of CPU time ({}): is it one huge function?",
                    limits.memory >> 20,
                    limits.cpu.as_secs(),
                    how.map_or_else(|| "the compiler ended".to_owned(), |how| how.to_string()),
                ))),
            },
            Err(error) => Err(lost(error.to_string())),
        }
    }
}

fn starter_limits(limits: CompileLimits) -> starter::CompileLimits {
    starter::CompileLimits {
        memory: limits.memory,
        cpu: limits.cpu,
    }
}

/// The next message, or that there is none within `limit`, or never will be.
fn next_within<M: DeserializeOwned>(
    receiver: &mut Receiver,
    limit: Duration,
) -> Result<Next<M>, ReceiveError> {
    let end = Instant::now() + limit;
    loop {
        let next = receiver.receive_ready::<M>()?;
        let left = end.saturating_duration_since(Instant::now());
        if !matches!(next, Next::Nothing) || left.is_zero() {
            return Ok(next);
        }
        let Ok(left) = Timespec::try_from(left) else {
            return Ok(next);
        };
        // Interrupted, or whatever it is: looked at again.
        let _ = poll(&mut [PollFd::new(receiver, PollFlags::IN)], Some(&left));
    }
}
