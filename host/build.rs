//! Exports `post_attach_mark` (src/bpf/mark.rs) from the binary, so that a uprobe finds it even after `strip`.

fn main() {
    println!("cargo:rustc-link-arg-bins=-Wl,--export-dynamic-symbol=post_attach_mark");
    println!("cargo:rerun-if-changed=build.rs");
}
