//! The seccomp filter: system calls that a process never makes once it runs fail with EPERM.
//!
//! It names what is refused rather than what is allowed. A list of all calls that the C library,
//! libbpf, the runtime and the compiler may ever make changes with each of their versions, and a
//! wrong one breaks hosts in the field; what an attacker needs to get out of a process without
//! capabilities is a short list that does not change: other programs, other processes, other
//! namespaces, the kernel's own code.
//!
//! Which calls, by process: calls.rs; which arguments: rules.rs. Filters are inherited and only add
//! up, so that of the starter refuses what servers and compilers are both refused, and each of them
//! adds its own.

mod calls;
mod rules;

use std::collections::BTreeMap;

use rustix::thread::{SecureComputingMode, secure_computing_mode};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, sock_filter};

use super::feature::Feature;
use super::mode::Mode;
use super::process::Process;
use rules::Early;

const NAME: &str = "seccomp";

/// From here on x86-64 numbers are those of its 32-bit variant x32, under which every call has a
/// second number.
const X32: u32 = 0x4000_0000;

/// Where the kernel shows a call to a filter (`struct seccomp_data`): the number, the machine and
/// the arguments, 8 bytes each, lower half first.
const NUMBER: u32 = 0;
const MACHINE: u32 = 4;
const ARGUMENTS: u32 = 16;

const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();

/// Filters this thread and those it starts. `landlocked`: landlock restricts which files it opens.
pub(super) fn install(process: Process, mode: Mode, landlocked: bool) -> Feature {
    if mode == Mode::Off {
        return Feature::off(NAME, "off by --hardening.seccomp");
    }
    let installed =
        program(process, landlocked).and_then(|program| seccompiler::apply_filter(&program));
    if let Err(error) = installed {
        return Feature::failed(NAME, format!("the kernel takes no filter: {error}"));
    }
    match secure_computing_mode() {
        Ok(SecureComputingMode::Filter) => Feature::on(NAME, detail(process)),
        _ => Feature::failed(
            NAME,
            "the kernel took the filter, but does not say that it is there",
        ),
    }
}

fn detail(process: Process) -> String {
    let count = calls::refused(process).count();
    let further = match process {
        Process::Whole => "",
        Process::Loader => {
            ", sockets but for unix and netlink, and changes of files' owners and modes"
        }
        Process::Starter => ", bpf but for reading, perf_event_open, and changes of files",
        Process::Server => {
            ", bpf but for reading, perf_event_open, opening for writing, unix sockets, sockets' options that block or choose an interface, and signals to others"
        }
        Process::Compiler => ", bpf, opening files, sockets and signals to others",
    };
    format!(
        "{count} system calls fail with EPERM, among them execve, ptrace, mount and unshare{further}"
    )
}

/// One program, as the kernel runs all that a process has for each call that one of them looks
/// into.
fn program(process: Process, landlocked: bool) -> Result<BpfProgram, seccompiler::Error> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let mut refused: BTreeMap<i64, Vec<_>> = calls::refused(process)
        .map(|number| (number, Vec::new()))
        .collect();
    refused.extend(rules::of(process, landlocked)?);
    let filter = SeccompFilter::new(
        refused,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        architecture,
    )?;
    let mut program = prologue(rules::early(process));
    program.extend(BpfProgram::try_from(filter)?);
    Ok(program)
}

/// linux/audit.h: ELF's number of the machine, 64 bits, little-endian.
#[cfg(target_arch = "x86_64")]
const THIS_MACHINE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const THIS_MACHINE: u32 = 0xc000_00b7;

/// What `seccompiler` has no words for, in front of its program: another answer than EPERM, ranges
/// of numbers, and short ways.
fn prologue(early: Vec<(libc::c_long, Early)>) -> BpfProgram {
    let mut program = vec![
        // Numbers mean other calls on other machines, such as the 32-bit one that this machine is,
        // too.
        load(MACHINE),
        compare(libc::BPF_JEQ, THIS_MACHINE, 1, 0),
        answer(libc::SECCOMP_RET_KILL_PROCESS),
        load(NUMBER),
        // `seccompiler` goes by exact numbers.
        compare(libc::BPF_JGE, X32, 0, 1),
        answer(REFUSE),
        // Its flags are in memory, where a filter cannot see them. The C library then takes
        // clone(2).
        compare(libc::BPF_JEQ, number(libc::SYS_clone3), 0, 1),
        answer(libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()),
    ];
    for (call, early) in early {
        let block = block(&early);
        let past = u8::try_from(block.len()).unwrap_or(u8::MAX);
        program.push(compare(libc::BPF_JEQ, number(call), 0, past));
        program.extend(block);
    }
    program
}

/// Ends with an answer whatever the arguments are.
fn block(early: &Early) -> Vec<sock_filter> {
    match *early {
        Early::Allow => vec![answer(libc::SECCOMP_RET_ALLOW)],
        Early::FirstAmong(values) => {
            let count = u8::try_from(values.len()).unwrap_or(u8::MAX);
            let found = (1..=count)
                .rev()
                .zip(values)
                .map(|(left, value)| compare(libc::BPF_JEQ, *value, left, 0));
            let ends = [answer(REFUSE), answer(libc::SECCOMP_RET_ALLOW)];
            [load(argument(0))]
                .into_iter()
                .chain(found)
                .chain(ends)
                .collect()
        }
        Early::Without(index, bits) => vec![
            load(argument(index)),
            compare(libc::BPF_JSET, bits, 0, 1),
            answer(REFUSE),
            answer(libc::SECCOMP_RET_ALLOW),
        ],
    }
}

fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

/// Where the lower half of an argument is.
fn argument(index: u32) -> u32 {
    ARGUMENTS + index * 8
}

fn load(offset: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
}

fn answer(action: u32) -> sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, action)
}

/// `jt` and `jf`: how many instructions to pass over where the comparison holds, and where it does
/// not.
fn compare(how: u32, with: u32, jt: u8, jf: u8) -> sock_filter {
    instruction(libc::BPF_JMP | how | libc::BPF_K, jt, jf, with)
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    let code = code as u16;
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests;
