//! The example plugins, built once as examples/run.sh builds them.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use super::Setup;
use super::objects::repository;

/// Where each example's component, sidecar and unit are.
pub(crate) fn components() -> &'static Path {
    static ALL: OnceLock<std::path::PathBuf> = OnceLock::new();
    ALL.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("example-plugins");
        fs::create_dir_all(&directory).unwrap();
        // Another run of the tests may be building the same.
        let lock = File::create(directory.join("lock")).unwrap();
        lock.lock().unwrap();
        let output = Command::new(repository().join("examples/build-plugins.sh"))
            .arg(&directory)
            .output()
            .expect("examples/build-plugins.sh runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        directory
    })
}

/// A file that comes with an example: `cpustat.plugin.yaml`.
pub(crate) fn of_example(file: &str) -> String {
    fs::read_to_string(components().join(file)).unwrap()
}

impl Setup {
    /// An example plugin with its grants.
    pub(crate) fn component(self, name: &str) -> Self {
        let component = format!("{name}.wasm");
        let bytes = fs::read(components().join(&component)).unwrap();
        let sidecar = format!("{name}.plugin.yaml");
        let grants = of_example(&sidecar);
        self.file(&component, bytes).file(&sidecar, grants)
    }

    /// An example plugin with its grants and its unit.
    pub(crate) fn example(self, name: &str) -> Self {
        let unit = format!("{name}.yaml");
        let yaml = of_example(&unit);
        self.component(name).file(&unit, yaml)
    }
}
