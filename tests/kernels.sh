#!/usr/bin/env bash
# Boots Debian's cloud kernels in QEMU (no acceleration needed) and runs the whole-program tests that are about the kernel in each:
#   tests/kernels.sh [KERNEL…]      KERNEL: 5.10, 6.1, 6.12 or newest; all four if none is given
# Prints one table, and fails where a kernel did something else than tests/kernels/expected says. Works on a copy of what `cargo test` has built;
# set EXPORTER_HOST_BIN and WHOLE_TESTS to the host and to the test binary to choose which (default: target/release).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tests/setup.sh
. tests/kernels/fetch.sh
. tests/kernels/guest.sh

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
cache=$target/kernels
# Seconds that one kernel may take. It takes about 60 on an idle machine with two cores.
patience=${KERNELS_TIMEOUT:-900}
[ $# -gt 0 ] || set -- 5.10 6.1 6.12 newest

setup_qemu || { echo "skipped: there is no qemu-system-x86_64 here, and no way to install it"; exit 0; }
[ "$(uname -m)" = x86_64 ] || { echo "skipped: only x86-64 kernels are booted so far, this machine is $(uname -m)"; exit 0; }
mkdir -p "$cache"
for kernel; do
    say "Fetching Linux $kernel"
    fetch_kernel "$kernel" "$cache" || die "cannot fetch Linux $kernel, see above"
    echo "Linux $(cat "$cache/$kernel/release")"
done
say "Making the initial file system"
make_guest "$cache" "$target"

failed=0
for kernel; do
    say "Booting Linux $(cat "$cache/$kernel/release")"
    run_guest "$cache/$kernel" "$cache/initrd.cpio" "$patience" || failed=1
done

say "Results"
python3 tests/kernels/table.py tests/kernels/expected "$cache" "$@" || failed=1
exit "$failed"
