//! `bindings WIT DIR`: writes the C bindings of the three plugin worlds, WORLD.h and WORLD.c each,
//! into DIR/decoder, DIR/shaper and DIR/collector. tests/whole/languages.rs compares them with
//! those of the templates.

use std::path::Path;
use std::{env, fs};

use anyhow::{Context, Result};
use wit_bindgen_c::Opts;
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let (wit, out) = arguments.next().zip(arguments.next()).context("expected WIT DIR")?;
    for kind in ["decoder", "shaper", "collector"] {
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_path(&wit)?;
        let world = resolve.select_world(&[package], Some(&format!("{kind}-plugin")))?;
        // The component's type goes in when the component is made: no binary file among the
        // sources.
        let options = Opts {
            no_object_file: true,
            rename_world: Some("plugin".to_owned()),
            ..Opts::default()
        };
        let mut files = Files::default();
        options.build().generate(&mut resolve, world, &mut files)?;
        let directory = Path::new(&out).join(kind);
        fs::create_dir_all(&directory)?;
        for (name, content) in files.iter() {
            fs::write(directory.join(name), content)?;
        }
    }
    Ok(())
}
