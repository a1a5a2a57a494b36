//! The fuzz targets by name. A target is a function that takes any bytes and panics where something does not hold.

use std::path::Path;

pub use exporter_host::outside::fuzz::yaml;

/// What a target is.
pub type Target = fn(&[u8]);

/// All of them. Each is a program in fuzz_targets/ and has its seeds in seeds/.
pub const TARGETS: &[(&str, Target)] = &[("yaml", yaml)];

/// The program of one target: with the workspace's wrapper a fuzzer, else one that runs the target over the files that it is given.
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
                println!("{}", seed.display());
                target(&std::fs::read(&seed).unwrap());
            }
        }
    }
}
