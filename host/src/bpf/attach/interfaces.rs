//! `SEC("xdp/eth0")`, `SEC("tcx/ingress/eth*")`: a link on each interface that matches now, in this
//! network namespace.

use std::fs;

use libbpf_rs::Link;
use libbpf_rs::ProgramMut;
use regex::Regex;

use crate::bpf::sys;
use crate::kernel::{interface_index, interface_name};

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
        let regex = Regex::new(&format!("^{expression}$")).ok()?;
        Some(Self::Matching {
            pattern: name.to_owned(),
            regex,
        })
    }

    /// The indexes of those that are there now; at least one.
    pub(super) fn places(&self) -> Result<Vec<u32>, String> {
        let names = match self {
            Self::Named(name) => vec![name.clone()],
            Self::Matching { pattern, regex } => {
                let names: Vec<String> = present()?
                    .into_iter()
                    .filter(|name| regex.is_match(name))
                    .collect();
                if names.is_empty() {
                    return Err(format!(
                        "no interface of this network namespace matches `{pattern}`"
                    ));
                }
                names
            }
        };
        let index = |name: &String| {
            interface_index(name).map_err(|error| {
                format!("{error}: there is no interface `{name}` in this network namespace")
            })
        };
        names.iter().map(index).collect()
    }

    pub(super) fn attach_at(
        hook: Hook,
        program: &ProgramMut<'_>,
        place: u32,
    ) -> Result<Link, String> {
        let index = place as i32;
        let link = match hook {
            Hook::Xdp => super::by_libbpf("xdp/…", || program.attach_xdp(index)),
            Hook::TcxIngress | Hook::TcxEgress => {
                super::by_libbpf("tcx/…", || sys::attach_tcx(program, index))
            }
        };
        link.map_err(|why| {
            let interface = interface_name(place).unwrap_or_else(|| format!("#{place}"));
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

/// The interfaces of this thread's network namespace.
pub(in crate::bpf) fn present() -> Result<Vec<String>, String> {
    const PATH: &str = "/proc/thread-self/net/dev";
    let text = fs::read_to_string(PATH)
        .map_err(|error| format!("cannot list the interfaces: {PATH}: {error}"))?;
    Ok(text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim().to_owned())
        .collect())
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
        assert!(regex.is_match("eth0.1") && regex.is_match("eth0.100"));
        assert!(
            !regex.is_match("eth0x100") && !regex.is_match("eth00.1") && !regex.is_match("veth0.1")
        );
    }

    #[test]
    fn the_loopback_is_there() {
        assert!(present().unwrap().iter().any(|name| name == "lo"));
        assert!(interface_index("lo").unwrap() > 0);
        assert!(interface_index("nosuchif0").is_err());
    }
}
