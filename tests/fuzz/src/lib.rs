//! The fuzz targets by name. A target is a function that takes any bytes and panics where something
//! does not hold.

use std::path::Path;

use exporter_host::test_support::fuzz;

pub use collector_hdhomerun::fuzz::hdhomerun;
pub use collector_textfile::fuzz::textfile;
pub use decoders::{decoders, dname, shapers};
pub use fuzz::{cells, exposition, object, request, sidecar, yaml};

mod decoders;

/// An object with maps of several kinds and globals, whose BTF is replaced.
const OBJECT: &[u8] = include_bytes!("../object.bpf.o");

/// Labels over the maps that a BTF declares.
pub fn label_layout(data: &[u8]) {
    fuzz::label_layout(OBJECT, data);
}

/// A collector's answer. As text it is one that our textfile collector takes, too.
pub fn families(data: &[u8]) {
    if let Some(text) = fuzz::families(data) {
        collector_textfile::fuzz::is_good(text.as_bytes());
    }
}

/// What a target is.
pub type Target = fn(&[u8]);

/// All of them. Each is a program in fuzz_targets/ and has its seeds in seeds/.
pub const TARGETS: &[(&str, Target)] = &[
    ("cells", cells),
    ("decoders", decoders),
    ("dname", dname),
    ("exposition", exposition),
    ("families", families),
    ("hdhomerun", hdhomerun),
    ("label_layout", label_layout),
    ("object", object),
    ("request", request),
    ("shapers", shapers),
    ("sidecar", sidecar),
    ("textfile", textfile),
    ("yaml", yaml),
];

/// The program of one target: with the workspace's wrapper a fuzzer, else one that runs the target
/// over the files that it is given.
#[macro_export]
macro_rules! target {
    ($target:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$target(data));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            std::env::args_os().skip(1).try_for_each(|file| {
                $crate::$target(&std::fs::read(file)?);
                Ok(())
            })
        }
    };
}

/// Where the seeds of a target are.
pub fn seeds(target: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("seeds")
        .join(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What once was wrong stays right, without a fuzzer.
    #[test]
    fn seeds_hold() {
        for (name, target) in TARGETS {
            let seeds: Vec<_> = std::fs::read_dir(seeds(name)).unwrap().collect();
            assert!(!seeds.is_empty(), "{name} has no seeds");
            for seed in seeds {
                let seed = seed.unwrap().path();
                let data = std::fs::read(&seed).unwrap();
                let outcome = std::panic::catch_unwind(|| target(&data));
                assert!(outcome.is_ok(), "{}", seed.display());
            }
        }
    }
}
