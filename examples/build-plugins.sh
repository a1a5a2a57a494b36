#!/usr/bin/env bash
# Builds the example plugins as components and puts each, with its sidecar and its unit, into OUTDIR.
#
#   examples/build-plugins.sh OUTDIR [NAME...]    all of them, or those named: cpustat, procfs ...
#
# A plugin is a crate in examples/collectors, examples/decoders or examples/shapers; with it come NAME.plugin.yaml (what it may do) and
# NAME.yaml (a unit that uses it). Nothing is built that is up to date, and nothing is copied that is there already, so that a running host
# reloads only what changed.
set -euo pipefail
out=$(realpath -m "${1:?usage: build-plugins.sh OUTDIR [NAME...]}")
shift
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# The host's build has the same one for its own plugin, so that dependencies are built once.
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/guest

directories=()
packages=()
for manifest in examples/{collectors,decoders,shapers}/*/Cargo.toml; do
    [ -e "$manifest" ] || continue
    directory=$(dirname "$manifest")
    name=$(basename "$directory")
    if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
    directories+=("$directory")
    packages+=(--package "$(sed -n 's/^name = "\(.*\)"/\1/p' "$manifest" | head -1)")
done
[ ${#directories[@]} -gt 0 ] || { echo "no example plugin is called ${*:-anything}" >&2; exit 1; }

# Lints and coverage of an outer cargo are about native code.
env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS -u RUSTC_WORKSPACE_WRAPPER -u CLIPPY_ARGS -u CARGO_TARGET_DIR \
    cargo build --quiet --locked --lib --target wasm32-wasip2 --profile guest --target-dir "$target" "${packages[@]}"

# Renamed into place: the host never sees half a file.
put() {
    cmp -s "$1" "$2" && return
    cp "$1" "$2.part"
    mv "$2.part" "$2"
}

mkdir -p "$out"
index=1
for directory in "${directories[@]}"; do
    name=$(basename "$directory")
    # In this order, so that a plugin is never there without its grants nor a unit without its plugin.
    [ ! -e "$directory/$name.plugin.yaml" ] || put "$directory/$name.plugin.yaml" "$out/$name.plugin.yaml"
    put "$target/wasm32-wasip2/guest/${packages[$index]//-/_}.wasm" "$out/$name.wasm"
    [ ! -e "$directory/$name.yaml" ] || put "$directory/$name.yaml" "$out/$name.yaml"
    index=$((index + 2))
done
