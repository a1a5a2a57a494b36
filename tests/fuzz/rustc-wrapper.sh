#!/bin/sh
# For RUSTC_WORKSPACE_WRAPPER: compiles the workspace's crates with the counters and comparison hooks that libFuzzer goes by, and with all
# checks. Dependencies are not wrapped: they are the ones that every other build has made. All flags are of stable Rust.
# An AddressSanitizer is not: our crates have next to no `unsafe`, and the C of libbpf would not be built with it.
case " $* " in
*" --crate-name build_script_"* | *" --crate-type proc-macro "*) exec "$@" ;;
*" --crate-name "*)
    exec "$@" --cfg fuzzing \
        -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
        -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
        -Copt-level=1 -Cdebug-assertions=on -Coverflow-checks=on
    ;;
# Cargo asks what this compiler is.
*) exec "$@" ;;
esac
