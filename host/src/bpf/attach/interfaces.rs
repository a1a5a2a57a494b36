//! `SEC("xdp/eth0")`, `SEC("tcx/ingress/eth*")`: a link on each interface that matches now, in this
//! network namespace.

use std::os::unix::ffi::OsStrExt as _;

use libbpf_rs::Link;
use libbpf_rs::ProgramMut;
use regex::bytes::Regex;

use crate::bpf::sys;
use crate::kernel::{interface_index, interface_list, interface_name};

/// What a program sees of an interface's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bpf) enum Hook {
    Xdp,
    TcxIngress,
    TcxEgress,
}

/// Which interfaces.
#[derive(Debug, Clone)]
pub(in crate::bpf) enum Interfaces {
    Named(String),
    /// `*` and `?` stand for any characters and any one character.
    Matching {
        pattern: String,
        regex: Regex,
    },
}

impl Interfaces {
    /// `None` for other sections: `xdp/devmap` and `xdp/cpumap` are libbpf's, and so is
    /// `tcx/ingress` alone.
    pub(super) fn parse(section: &str) -> Option<(Hook, Self)> {
        let (hook, name) = [
            ("xdp/", Hook::Xdp),
            ("tcx/ingress/", Hook::TcxIngress),
            ("tcx/egress/", Hook::TcxEgress),
        ]
        .into_iter()
        .find_map(|(prefix, hook)| Some((hook, section.strip_prefix(prefix)?)))?;
        let another = hook == Hook::Xdp && (name == "devmap" || name == "cpumap");
        if name.is_empty() || another {
            return None;
        }
        Some((hook, Self::named(name)?))
    }

    fn named(name: &str) -> Option<Self> {
        if !name.contains(['*', '?']) {
            return Some(Self::Named(name.to_owned()));
        }
        let expression = regex::escape(name).replace("\\*", ".*").replace("\\?", ".");
        let regex = Regex::new(&format!("(?s-u)^{expression}$")).ok()?;
        Some(Self::Matching {
            pattern: name.to_owned(),
            regex,
        })
    }

    /// The indexes of those that are there now. `Err`: it cannot be told which are.
    pub(super) fn indexes(&self) -> Result<Vec<u32>, String> {
        match self {
            Self::Named(name) => match interface_index(name) {
                Ok(index) => Ok(vec![index]),
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(Vec::new()),
                Err(error) => Err(format!("cannot look for interface `{name}`: {error}")),
            },
            Self::Matching { regex, .. } => {
                let names = interface_list().map_err(|error| error.to_string())?;
                let matching = names.iter().filter(|name| regex.is_match(name.as_bytes()));
                // One that was removed meanwhile is none.
                Ok(matching.flat_map(interface_index).collect())
            }
        }
    }

    /// Says that there is none of them.
    pub(super) fn absent(&self) -> String {
        match self {
            Self::Named(name) => {
                format!("there is no interface `{name}` in this network namespace")
            }
            Self::Matching { pattern, .. } => {
                format!("no interface of this network namespace matches `{pattern}`")
            }
        }
    }

    pub(super) fn attach_at(
        hook: Hook,
        program: &ProgramMut<'_>,
        index: u32,
    ) -> Result<Link, String> {
        let device = index.cast_signed();
        let link = match hook {
            Hook::Xdp => super::by_libbpf("xdp/…", || program.attach_xdp(device)),
            Hook::TcxIngress | Hook::TcxEgress => {
                super::by_libbpf("tcx/…", || sys::attach_tcx(program, device))
            }
        };
        link.map_err(|why| {
            let interface = interface_name(index).unwrap_or_else(|| format!("#{index}"));
            format!("interface `{interface}`: {why}{}", hint(&why))
        })
    }
}

fn hint(why: &str) -> &'static str {
    if why.contains(&format!("(os error {})", libc::EBUSY)) {
        " (another XDP program is attached to it)"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections() {
        for other in [
            "xdp",
            "xdp/",
            "xdp/devmap",
            "xdp/cpumap",
            "xdp.frags",
            "tp/xdp/eth0",
            "tcx/ingress",
            "tcx/ingress/",
        ] {
            assert!(Interfaces::parse(other).is_none(), "{other}");
        }
        assert!(
            matches!(Interfaces::parse("xdp/eth0"), Some((Hook::Xdp, Interfaces::Named(name))) if name == "eth0")
        );
        assert!(
            matches!(Interfaces::parse("tcx/egress/eth0"), Some((Hook::TcxEgress, Interfaces::Named(name))) if name == "eth0")
        );
        let Some((_, Interfaces::Matching { regex, .. })) = Interfaces::parse("xdp/eth?.1*") else {
            panic!()
        };
        for (name, wanted) in [
            (&b"eth0.1"[..], true),
            (b"eth0.100", true),
            (b"eth\xff.1\xfe\n", true),
            (b"eth0x100", false),
            (b"eth00.1", false),
            (b"veth0.1", false),
        ] {
            assert_eq!(regex.is_match(name), wanted, "{name:?}");
        }
    }

    #[test]
    fn those_that_are_there_have_indexes() {
        let of = |name| Interfaces::named(name).unwrap().indexes().unwrap();
        assert_eq!((of("lo"), of("l[o]"), of("l?")), (vec![1], vec![], vec![1]));
        assert_eq!((of("nosuchif0"), of("nosuch*")), (vec![], vec![]));
    }
}
