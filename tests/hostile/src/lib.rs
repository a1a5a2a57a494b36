//! Everything a plugin must not be able to do any harm with: a decoder, a shaper and a
//! collector called `hostile`, whose option `do` says which.
//!
//! Written against the interface itself: the SDK would not let it give such answers.
#![cfg(target_family = "wasm")]

mod collecting;
mod decoding;
mod misdeeds;
mod shaping;

#[allow(
    unsafe_code,
    missing_docs,
    clippy::all,
    unreachable_pub,
    reason = "generated code"
)]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "any-plugin" });
}

#[cfg(feature = "unknown-import")]
#[allow(
    unsafe_code,
    missing_docs,
    clippy::all,
    unreachable_pub,
    reason = "generated code"
)]
mod unknown {
    wit_bindgen::generate!({ path: "wit", world: "armed" });
}

struct Hostile;

#[allow(unsafe_code, reason = "generated code")]
mod exports {
    use super::{Hostile, bindings};

    bindings::export!(Hostile with_types_in bindings);
}

/// The option `do`, or one of others.
fn option<'a>(options: &'a serde_json::Value, name: &str) -> &'a str {
    options[name].as_str().unwrap_or_default()
}
