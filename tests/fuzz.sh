#!/usr/bin/env bash
# Builds the fuzz targets (tests/fuzz) and runs each over its seeds and what earlier runs have found: tests/fuzz.sh [SECONDS] [TARGET…]
#
# SECONDS each, 5 if none are given, of all targets if none are named. Prints for each its runs, coverage and corpus. Fails where one crashes,
# hangs for 10 s or takes 2 GiB. PROFILE=release takes the dependencies of a release build, else those of a debug build.
#
# cargo-fuzz is not needed, and would build wasmtime and all else anew with its instrumentation. Ours is for the workspace's own crates, which is
# what RUSTC_WORKSPACE_WRAPPER is for: cargo keeps them apart from the usual ones and shares the dependencies. It is also why tests/fuzz is a
# member of the workspace: cargo does not wrap crates of another one. `cargo fuzz run --fuzz-dir tests/fuzz TARGET` works nevertheless.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:-5}
shift $(($# > 0))
profile=${PROFILE:-debug}
target=${CARGO_TARGET_DIR:-target}
work=$target/fuzz
known=$(ls tests/fuzz/fuzz_targets)
known=${known//.rs/}

bins=()
for name in "${@:-$known}"; do for one in $name; do bins+=(--bin "$one"); done; done
flags=()
[ "$profile" = debug ] || flags+=(--profile "$profile")
RUSTC_WORKSPACE_WRAPPER=$PWD/tests/fuzz/rustc-wrapper.sh cargo build "${flags[@]}" -p exporter-host-fuzz "${bins[@]}"

failed=()
for ((at = 1; at < ${#bins[@]}; at += 2)); do
    name=${bins[at]}
    # Another build of the same target, without the wrapper, takes its place in $profile.
    mkdir -p "$work/bin" "$work/corpus/$name" "$work/found/$name"
    install "$target/$profile/$name" "$work/bin/$name"
    log=$work/$name.log
    status=0
    "$work/bin/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$work/found/$name/" "$work/corpus/$name" "tests/fuzz/seeds/$name" >"$log" 2>&1 || status=$?
    if [ "$status" -eq 0 ]; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        covered=$(grep -o 'cov: [0-9]* ft: [0-9]* corp: [0-9]*/[0-9a-zA-Z]*' "$log" | tail -1)
        echo "$name: $runs runs, $covered"
    else
        failed+=("$name")
        tail -40 "$log"
        echo "$name: failed with status $status; $log has it all, the input is in $work/found/$name"
    fi
done
[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}" >&2; exit 1; }
