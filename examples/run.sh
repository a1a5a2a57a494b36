#!/usr/bin/env bash
# Builds exporter-host and the example units, and serves their metrics on http://localhost:9435/metrics.
#
#   examples/run.sh            install what is missing, build, serve (needs root, or sudo)
#   examples/run.sh --build    only build: target/release/exporter-host and the config directory target/conf.d
#   examples/run.sh ARG...     further arguments go to exporter-host, e.g. --web.listen-address=:9999
#
# Works on a fresh Debian or Ubuntu with rustup's cargo, and again the second time.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=../tests/setup.sh
source tests/setup.sh

build_only=
if [ "${1:-}" = --build ]; then
    build_only=1
    shift
fi

setup_build
say "building exporter-host (the first time takes minutes)"
cargo build --release --locked -p exporter-host

say "building the example units into target/conf.d"
mkdir -p target/conf.d
examples/build-bpf.sh target/conf.d examples/conf.d
# Units that are no longer among the examples leave the directory.
for config in target/conf.d/*.yaml; do
    name=$(basename "$config")
    [ -e "examples/conf.d/$name" ] || compgen -G "examples/*/*/$name" >/dev/null || rm -f "$config" "${config%.yaml}.bpf.o" "${config%.yaml}.wasm"
done
cp examples/conf.d/*.yaml target/conf.d/

say "building the example plugins into target/conf.d"
examples/build-plugins.sh target/conf.d

if [ -n "$build_only" ]; then
    say "built: target/release/exporter-host --config.dir target/conf.d"
    exit 0
fi
setup_kernel
say "serving on http://localhost:9435/metrics, ctrl-C ends it"
if [ "$(id -u)" = 0 ]; then
    exec target/release/exporter-host --config.dir target/conf.d "$@"
fi
exec sudo target/release/exporter-host --config.dir target/conf.d "$@"
