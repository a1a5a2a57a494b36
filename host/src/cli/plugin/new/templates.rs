//! The files that projects start from: those of examples/*/languages, which are plugins themselves.

use super::{Language, World};

/// What every project is built against.
pub(super) const WIT: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../wit/plugin.wit"));

pub(super) struct Template {
    /// What the example is called: replaced by the new plugin's name.
    pub(super) name: &'static str,
    /// Path in the project, content.
    pub(super) files: &'static [(&'static str, &'static str)],
}

macro_rules! template {
    ($name:literal, $directory:literal: $($path:literal)+) => {
        Template {
            name: $name,
            files: &[$((
                $path,
                include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/", $directory, "/", $path)),
            )),+],
        }
    };
}

impl Template {
    pub(super) fn of(world: World, lang: Language) -> Self {
        use {Language::*, World::*};
        // The manifest of a Rust example is for the workspace it is in: see `rust`.
        match (world, lang) {
            (Decoder, Rust) => template!("tcp_state", "decoders/languages/rust": "src/lib.rs"),
            (Shaper, Rust) => template!("hits_misses", "shapers/languages/rust": "src/lib.rs"),
            (Collector, Rust) => {
                template!("load_average", "collectors/languages/rust": "src/lib.rs")
            }
            (Decoder, C) => template!("tcp_state", "decoders/languages/c":
                ".gitignore" "Makefile" "bindings/plugin.c" "bindings/plugin.h" "decoder.c" "decoder.h" "json.c" "json.h" "main.c" "test.c"),
            (Shaper, C) => template!("hits_misses", "shapers/languages/c":
                ".gitignore" "Makefile" "bindings/plugin.c" "bindings/plugin.h" "json.c" "json.h" "main.c" "shaper.c" "shaper.h" "test.c"),
            (Collector, C) => template!("load_average", "collectors/languages/c":
                ".gitignore" "Makefile" "bindings/plugin.c" "bindings/plugin.h" "json.c" "json.h" "loadavg.c" "loadavg.h" "main.c" "test.c"),
            (Decoder, Js) => template!("tcp_state", "decoders/languages/js":
                ".gitignore" "decoder.js" "package.json" "test.js"),
            (Shaper, Js) => template!("hits_misses", "shapers/languages/js":
                ".gitignore" "package.json" "shaper.js" "test.js"),
            (Collector, Js) => template!("load_average", "collectors/languages/js":
                ".gitignore" "collector.js" "loadavg.js" "package.json" "test.js"),
            (Decoder, Python) => template!("tcp_state", "decoders/languages/python":
                ".gitignore" "app.py" "build.sh" "decoder.py" "requirements.txt" "test_decoder.py"),
            (Shaper, Python) => template!("hits_misses", "shapers/languages/python":
                ".gitignore" "app.py" "build.sh" "requirements.txt" "shaper.py" "test_shaper.py"),
            (Collector, Python) => template!("load_average", "collectors/languages/python":
                ".gitignore" "app.py" "build.sh" "loadavg.py" "requirements.txt" "test_loadavg.py"),
        }
    }
}
