//! `syscall`: the names of system calls, by architecture.

mod aarch64;
mod x86_64;

use std::cell::OnceCell;

use exporter_guest_sdk::text::{parse_signed, push_number};
use exporter_guest_sdk::{Answer, BatchDecoder, Cells, Decoded, Error, Kernel};
use serde::Deserialize;

/// A decimal number, as `uint` leaves it, becomes the call's name.
#[derive(Debug)]
pub struct Syscall {
    options: Options,
    /// By number; empty: unknown. Made when the first cell comes, since the host says what machine
    /// this is.
    names: OnceCell<Vec<&'static str>>,
}

/// Which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Arch {
    /// 64-bit x86.
    #[serde(alias = "amd64")]
    X86_64,
    /// 64-bit Arm.
    #[serde(alias = "arm64")]
    Aarch64,
}

/// Whose names.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Names {
    /// Those of ebpf_exporter, which dashboards already use.
    #[default]
    Compatible,
    /// The kernel's own, newer calls included.
    Kernel,
}

/// Options of [`Syscall`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Options {
    /// None: the machine's own.
    arch: Option<Arch>,
    names: Names,
}

/// The last number ebpf_exporter knows.
const LAST_COMPATIBLE: u16 = 461;
/// What lies between the calls an architecture started with and the numbers that all share:
/// ebpf_exporter knows none of it.
const FIRST_SHARED: u16 = 424;
/// The last call of x86_64 before the gap, as far as ebpf_exporter knows.
const LAST_BEFORE_GAP: u16 = 334;

impl BatchDecoder for Syscall {
    const NAME: &'static str = "syscall";
    const SUMMARY: &'static str = "a decimal system call number (after uint): the call's name";
    const OPTIONS_SCHEMA: &'static str = r#"{"type":"object","properties":{"arch":{"enum":["x86_64","aarch64"]},"names":{"enum":["compatible","kernel"],"default":"compatible"}}}"#;
    type Options = Options;

    fn open(options: Options) -> Result<Self, Error> {
        Ok(Self {
            options,
            names: OnceCell::new(),
        })
    }

    fn decode_batch(&self, kernel: &impl Kernel, input: &Cells, out: &mut Decoded) {
        let names = self.names.get_or_init(|| {
            let arch = self.options.arch.or_else(|| machine(kernel));
            arch.map(|arch| table(arch, self.options.names))
                .unwrap_or_default()
        });
        for cell in input.iter() {
            out.row(|text| decode(names, cell, text));
        }
    }
}

/// None: a machine without a table, where every call is unknown.
fn machine(kernel: &impl Kernel) -> Option<Arch> {
    match kernel.machine().as_str() {
        "x86_64" => Some(Arch::X86_64),
        "aarch64" => Some(Arch::Aarch64),
        _ => None,
    }
}

fn table(arch: Arch, wanted: Names) -> Vec<&'static str> {
    let (kernel, compatible) = match arch {
        Arch::X86_64 => (x86_64::KERNEL, x86_64::COMPATIBLE),
        Arch::Aarch64 => (aarch64::KERNEL, aarch64::COMPATIBLE),
    };
    let mut names = Vec::new();
    for &(first, run) in kernel {
        for (number, name) in (first..).zip(run.split_ascii_whitespace()) {
            let known = (..=LAST_BEFORE_GAP).contains(&number)
                || (FIRST_SHARED..=LAST_COMPATIBLE).contains(&number);
            if known || wanted == Names::Kernel {
                set(&mut names, number, name);
            }
        }
    }
    if wanted == Names::Compatible {
        for &(number, name) in compatible {
            set(&mut names, number, name);
        }
    }
    names
}

fn decode(names: &[&str], input: &[u8], out: &mut Vec<u8>) -> Result<Answer, Error> {
    let number = parse_signed(input).ok_or_else(|| {
        format!(
            "syscall wants a decimal number, got `{}`",
            String::from_utf8_lossy(input)
        )
    })?;
    let name = usize::try_from(number)
        .ok()
        .and_then(|number| names.get(number));
    match name.filter(|name| !name.is_empty()) {
        Some(name) => out.extend_from_slice(name.as_bytes()),
        None => {
            out.extend_from_slice(b"unknown_syscall:");
            push_number(out, number.cast_unsigned());
        }
    }
    Ok(Answer::Known)
}

fn set(names: &mut Vec<&'static str>, number: u16, name: &'static str) {
    let index = usize::from(number);
    if names.len() <= index {
        names.resize(index + 1, "");
    }
    if let Some(slot) = names.get_mut(index) {
        *slot = name;
    }
}

#[cfg(test)]
mod tests {
    use exporter_guest_sdk::testing::{FakeKernel, open};

    use super::*;
    use crate::testing::say;

    fn name(options: &str, number: i64) -> String {
        let decoder: Syscall = open(options).unwrap();
        say(
            &decoder,
            &FakeKernel::default(),
            number.to_string().as_bytes(),
        )
    }

    fn known(arch: Arch) -> usize {
        let names = table(arch, Names::Compatible);
        names.iter().filter(|name| !name.is_empty()).count()
    }

    #[test]
    fn the_machine_decides_where_the_options_do_not() {
        let decoder: Syscall = open("").unwrap();
        let arm = FakeKernel {
            machine: Some("aarch64"),
            ..FakeKernel::default()
        };
        assert_eq!(say(&decoder, &arm, b"63"), "read");
        let decoder: Syscall = open("").unwrap();
        let other = FakeKernel {
            machine: Some("riscv64"),
            ..FakeKernel::default()
        };
        assert_eq!(say(&decoder, &other, b"63"), "unknown_syscall:63");
    }

    #[test]
    fn compatible_names_are_the_default() {
        let cases = [
            (0, "read"),
            (7, "poll_time64"),
            (17, "pread"),
            (94, "chown"),
            (155, "pivotroot"),
            (214, "printargs"),
            (231, "exit"),
            (257, "openat"),
            (333, "io_pgetevents_time64"),
            (334, "rseq"),
            (424, "pidfd_send_signal"),
            (435, "clone3"),
            (461, "lsm_list_modules"),
        ];
        for (number, expected) in cases {
            assert_eq!(name("{}", number), expected);
            assert_eq!(name(r#"{"arch": "x86_64"}"#, number), expected);
        }
        for number in [335, 336, 423, 462, 1000] {
            assert_eq!(name("", number), format!("unknown_syscall:{number}"));
        }
        assert_eq!(name("", -1), "unknown_syscall:18446744073709551615");
        assert_eq!(known(Arch::X86_64), 373);
    }

    #[test]
    fn the_kernels_names_are_there_for_the_asking() {
        let kernel = r#"{"names": "kernel"}"#;
        let cases = [
            (7, "poll"),
            (17, "pread64"),
            (94, "lchown"),
            (156, "_sysctl"),
            (231, "exit_group"),
            (335, "uretprobe"),
            (462, "mseal"),
            (470, "listns"),
        ];
        for (number, expected) in cases {
            assert_eq!(name(kernel, number), expected);
        }
        assert_eq!(name(kernel, 400), "unknown_syscall:400");
    }

    #[test]
    fn arm_has_a_table_of_its_own() {
        let arm = r#"{"arch": "aarch64"}"#;
        let cases = [
            (0, "io_setup"),
            (6, "setxattr"),
            (63, "read"),
            (79, "newfstatat"),
            (94, "exit"),
            (182, "mq_timedsend_time64"),
            (243, "recvmmsg_time64"),
            (260, "wait4"),
            (294, "kexec_file_load"),
            (451, "cachestat"),
            (461, "lsm_list_modules"),
        ];
        for (number, expected) in cases {
            assert_eq!(name(arm, number), expected);
        }
        for number in [244, 259, 295, 423, 462] {
            assert_eq!(name(arm, number), format!("unknown_syscall:{number}"));
        }
        assert_eq!(known(Arch::Aarch64), 317);
        assert_eq!(
            name(r#"{"arch": "arm64", "names": "kernel"}"#, 94),
            "exit_group"
        );
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        let decoder: Syscall = open("").unwrap();
        for bad in ["", "read", "0x1", "9223372036854775808"] {
            let error = format!("! syscall wants a decimal number, got `{bad}`");
            assert_eq!(say(&decoder, &FakeKernel::default(), bad.as_bytes()), error);
        }
        let error = open::<Syscall>(r#"{"arch": "mips"}"#)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("option `arch` of syscall: unknown variant `mips`"),
            "{error}"
        );
    }
}
