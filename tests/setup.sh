# Sourced by tests/run.sh and examples/run.sh: makes a fresh Debian or Ubuntu machine ready. Nothing is done twice.

say() { printf '\n== %s\n' "$*"; }

die() { printf '%s: %s\n' "$0" "$*" >&2; exit 1; }

# As root: by itself, or with sudo.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

has() { command -v "$1" >/dev/null 2>&1; }

# Adds a PACKAGE to the list of missing ones unless the test that follows succeeds.
missing=()
need() {
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}

# Installs the packages of which something was missing.
install_missing() {
    [ ${#missing[@]} -gt 0 ] || return 0
    has apt-get || die "please install: ${missing[*]} (there is no apt-get here to do it)"
    say "Installing ${missing[*]}"
    as_root apt-get update -q
    # Packages of servers start them: what is wanted here is the program alone.
    local policy=/usr/sbin/policy-rc.d status=0
    if [ -e "$policy" ]; then policy=; else printf '#!/bin/sh\nexit 101\n' | as_root install -m 755 /dev/stdin "$policy"; fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" </dev/null || status=$?
    [ -z "$policy" ] || as_root rm "$policy"
    [ "$status" -eq 0 ] || die "apt-get could not install ${missing[*]}"
    missing=()
}

# What building takes: BPF objects, libbpf's C, and Rust with the target of our components.
setup_build() {
    need clang has clang
    need llvm has llvm-strip
    need libbpf-dev test -e /usr/include/bpf/bpf_helpers.h
    need linux-libc-dev test -e /usr/include/linux/bpf.h
    need libelf-dev test -e /usr/include/libelf.h
    need zlib1g-dev test -e /usr/include/zlib.h
    need gcc has cc
    need libc6-dev test -e /usr/include/stdio.h
    need make has make
    need pkg-config has pkg-config
    need ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
    need curl has curl
    install_missing
    setup_rust
}

# The oldest Rust that our workspace takes (as in Cargo.toml), by rustup where there is none.
setup_rust() {
    [ ! -e "$HOME/.cargo/env" ] || . "$HOME/.cargo/env"
    if ! has cargo; then
        say "Installing Rust"
        curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal -c rustfmt -c clippy
        . "$HOME/.cargo/env"
    fi
    local target=wasm32-wasip2
    if ! rustc --print target-libdir --target "$target" 2>/dev/null | xargs -r test -d; then
        has rustup || die "this Rust has no target $target: install it as you have installed Rust"
        say "Adding Rust's target $target"
        rustup target add "$target"
    fi
}

# What some programs want to see in the kernel: tracepoints by name.
setup_kernel() {
    [ -r /sys/kernel/btf/vmlinux ] || say "This kernel has no BTF: most BPF objects will not load"
    if [ ! -d /sys/kernel/tracing/events ]; then
        say "Mounting tracefs"
        as_root mount -t tracefs tracefs /sys/kernel/tracing || say "No tracefs: units with tracepoint/ sections will not attach"
    fi
}
