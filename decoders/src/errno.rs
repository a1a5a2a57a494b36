//! `errno`: the names of error numbers.

use exporter_guest_sdk::text::{parse_unsigned, push_number};
use exporter_guest_sdk::{Answer, Decoder, Error};
use serde::Deserialize;

/// A decimal number, as `uint` leaves it, becomes the constant's name.
#[derive(Debug)]
pub struct Errno {
    /// By number less 1; `-`: there is none.
    names: Vec<&'static str>,
    which: Names,
}

/// Whose name it is where there are two.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Names {
    /// That of ebpf_exporter.
    #[default]
    Compatible,
    /// The kernel's first one.
    Linux,
}

/// Options of [`Errno`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Options {
    names: Names,
}

/// Newer kernels have a second name for EUCLEAN, which ebpf_exporter prints.
const COMPATIBLE: [(u64, &str); 1] = [(117, "EFSCORRUPTED")];

/// 1 to 133, as asm-generic/errno.h has them on x86-64 and Arm. Of two names for a number the one
/// that ebpf_exporter prints: 11 EAGAIN, 35 EDEADLK, 95 ENOTSUP.
const NAMES: &str = "EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT \
    ENOTBLK EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG \
    ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY \
    ELOOP - ENOMSG EIDRM ECHRNG EL2NSYNC EL3HLT EL3RST ELNRNG EUNATCH ENOCSI EL2HLT EBADE EBADR \
    EXFULL ENOANO EBADRQC EBADSLT - EBFONT ENOSTR ENODATA ETIME ENOSR ENONET ENOPKG EREMOTE \
    ENOLINK EADV ESRMNT ECOMM EPROTO EMULTIHOP EDOTDOT EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG \
    ELIBACC ELIBBAD ELIBSCN ELIBMAX ELIBEXEC EILSEQ ERESTART ESTRPIPE EUSERS ENOTSOCK \
    EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT ENOTSUP \
    EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET \
    ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT \
    ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL \
    EISNAM EREMOTEIO EDQUOT ENOMEDIUM EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED \
    EKEYREJECTED EOWNERDEAD ENOTRECOVERABLE ERFKILL EHWPOISON";

impl Errno {
    fn name(&self, number: u64) -> Option<&'static str> {
        if self.which == Names::Compatible
            && let Some((_, name)) = COMPATIBLE.iter().find(|(known, _)| *known == number)
        {
            return Some(name);
        }
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.names.get(index).copied().filter(|name| *name != "-")
    }
}

impl Decoder for Errno {
    const NAME: &'static str = "errno";
    const SUMMARY: &'static str = "a decimal error number (after uint): its name, such as ENOENT";
    const OPTIONS_SCHEMA: &'static str =
        r#"{"type":"object","properties":{"names":{"enum":["compatible","linux"]}}}"#;
    type Options = Options;

    fn open(options: Options) -> Result<Self, Error> {
        Ok(Self {
            which: options.names,
            names: NAMES.split_ascii_whitespace().collect(),
        })
    }

    fn decode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<Answer, Error> {
        let number = parse_unsigned(input).ok_or_else(|| {
            format!(
                "errno wants a decimal number, got `{}`",
                String::from_utf8_lossy(input)
            )
        })?;
        match self.name(number) {
            Some(name) => out.extend_from_slice(name.as_bytes()),
            None => {
                out.extend_from_slice(b"unknown:");
                push_number(out, number);
            }
        }
        Ok(Answer::Known)
    }
}

#[cfg(test)]
mod tests {
    use exporter_guest_sdk::testing::{FakeKernel, open};

    use super::*;
    use crate::testing::{plain, say};

    #[test]
    fn names_by_number() {
        let cases = [
            ("1", "EPERM"),
            ("2", "ENOENT"),
            ("11", "EAGAIN"),
            ("35", "EDEADLK"),
            ("40", "ELOOP"),
            ("42", "ENOMSG"),
            ("57", "EBADSLT"),
            ("59", "EBFONT"),
            ("95", "ENOTSUP"),
            ("110", "ETIMEDOUT"),
            ("117", "EFSCORRUPTED"),
            ("133", "EHWPOISON"),
        ];
        for (number, name) in cases {
            assert_eq!(plain::<Errno>(number.as_bytes()), name);
        }
    }

    #[test]
    fn names_of_linux() {
        let linux = open::<Errno>(r#"{"names": "linux"}"#).unwrap();
        for (number, name) in [("117", "EUCLEAN"), ("35", "EDEADLK")] {
            assert_eq!(say(&linux, &FakeKernel::default(), number.as_bytes()), name);
        }
        assert!(open::<Errno>(r#"{"names": "kernel"}"#).is_err());
    }

    #[test]
    fn numbers_without_a_name() {
        for number in ["0", "41", "58", "134", "512", "18446744073709551615"] {
            assert_eq!(
                plain::<Errno>(number.as_bytes()),
                format!("unknown:{number}")
            );
        }
        for bad in ["", "-1", "+1", "x", "1 "] {
            let error = format!("! errno wants a decimal number, got `{bad}`");
            assert_eq!(plain::<Errno>(bad.as_bytes()), error);
        }
    }
}
