//! The decoders and shapers that ship inside exporter-host, as one component: ebpf_exporter's
//! decoders with its text for its bytes, and its metric types. One file each; this one only lists
//! them.
//!
//! The text of unknown things (`unknown:…`) is part of the interface: dashboards match it.

mod bytes;
mod cgroup;
mod dname;
mod errno;
mod ifname;
mod inet_ip;
mod int;
mod ksym;
mod majorminor;
mod pci;
mod regexp;
mod shapes;
mod static_map;
mod syscall;
mod uint;

pub use bytes::{Hex, Text};
pub use cgroup::Cgroup;
pub use dname::Dname;
pub use errno::Errno;
pub use ifname::Ifname;
pub use inet_ip::InetIp;
pub use int::Int;
pub use ksym::{Kstack, Ksym};
pub use majorminor::MajorMinor;
pub use pci::{PciClass, PciDevice, PciSubclass, PciVendor};
pub use regexp::Regexp;
pub use shapes::histogram::{Exp2, Exp2Zero, Fixed, Linear};
pub use shapes::value::{Counter, Gauge};
pub use static_map::StaticMap;
pub use syscall::Syscall;
pub use uint::Uint;

exporter_guest_sdk::export_plugin! {
    decoders: [
        Cgroup, Dname, Errno, Hex, Ifname, InetIp, Int, Kstack, Ksym, MajorMinor, PciClass, PciDevice, PciSubclass, PciVendor, Regexp,
        StaticMap, Text, Syscall, Uint,
    ],
    shapers: [Counter, Exp2, Exp2Zero, Fixed, Gauge, Linear],
}

#[cfg(test)]
mod testing {
    //! What the decoders' tests share.

    use exporter_guest_sdk::testing::{FakeKernel, decode_one, open};
    use exporter_guest_sdk::{Answer, BatchDecoder};

    /// What a decoder says to one cell, as text: `…` for a known answer, `~ …` for a provisional
    /// one, `-` for a dropped row and `! …` for an error.
    pub(crate) fn say<D: BatchDecoder>(decoder: &D, kernel: &FakeKernel, input: &[u8]) -> String {
        match decode_one(decoder, kernel, input) {
            Ok((Answer::Known, text)) => String::from_utf8_lossy(&text).into_owned(),
            Ok((Answer::Provisional, text)) => format!("~ {}", String::from_utf8_lossy(&text)),
            Ok((Answer::Drop, _)) => "-".to_owned(),
            Err(error) => format!("! {error}"),
        }
    }

    /// As [`say`], for a decoder that takes no options and asks nothing.
    pub(crate) fn plain<D: BatchDecoder>(input: &[u8]) -> String {
        say(&open::<D>("{}").unwrap(), &FakeKernel::default(), input)
    }
}

#[cfg(test)]
mod tests {
    use exporter_guest_sdk::{BatchDecoder, Shaper};

    use super::*;

    #[test]
    fn schemas_are_json_and_name_the_options() {
        let options = |schema: &str| {
            let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
            schema["properties"]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(options(<Regexp as BatchDecoder>::OPTIONS_SCHEMA), "regexps");
        assert_eq!(
            options(StaticMap::OPTIONS_SCHEMA),
            "allow_unknown static_map"
        );
        let schema = <Syscall as BatchDecoder>::OPTIONS_SCHEMA;
        assert_eq!(options(schema), "arch names");
        let range = "bucket_keys bucket_max bucket_min bucket_multiplier value";
        assert_eq!(options(Exp2::OPTIONS_SCHEMA), range);
        assert_eq!(options(Fixed::OPTIONS_SCHEMA), range);
    }
}
