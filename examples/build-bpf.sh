#!/usr/bin/env bash
# Compiles BPF programs: build-bpf.sh OUTDIR SRC...
# A SRC is a NAME.bpf.c, or a directory, of which all *.bpf.c are taken. Each becomes OUTDIR/NAME.bpf.o.
# Objects that are newer than their source, the headers and this script are left alone.
# CLANG and LLVM_STRIP name other tools than clang and llvm-strip; ARCH another machine than this one (x86, arm64).
set -euo pipefail

die() { echo "build-bpf.sh: $*" >&2; exit 1; }

[ $# -ge 2 ] || die "expected OUTDIR and at least one source, got $# argument(s)"
out=$1; shift
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
include=$(cd "$here/../bpf" && pwd)
clang=${CLANG:-clang}
strip=${LLVM_STRIP:-llvm-strip}

command -v "$clang" >/dev/null || die "no $clang: install clang (11 or newer), or set CLANG"

# The names libbpf's headers know the machine by, and where Debian keeps the machine's <asm/...>.
case ${ARCH:-$(uname -m)} in
    x86_64 | x86) arch=x86 multiarch=x86_64-linux-gnu ;;
    aarch64 | arm64) arch=arm64 multiarch=aarch64-linux-gnu ;;
    *) die "machine ${ARCH:-$(uname -m)}: only x86_64 and aarch64 are known here" ;;
esac
flags=(-g -O2 -Wall -Werror -target bpf "-D__TARGET_ARCH_$arch" -I "$include")
[ ! -d "/usr/include/$multiarch" ] || flags+=(-I "/usr/include/$multiarch")
# No paths of this machine in the objects: the same source gives the same bytes anywhere.
flags+=("-ffile-prefix-map=$(cd "$here/.." && pwd)=.")

sources=()
for src in "$@"; do
    if [ -d "$src" ]; then
        found=("$src"/*.bpf.c)
        [ -e "${found[0]}" ] || die "no *.bpf.c in $src"
        sources+=("${found[@]}")
    elif [ -f "$src" ]; then
        case $src in *.bpf.c) sources+=("$src") ;; *) die "$src: expected a name that ends in .bpf.c" ;; esac
    else
        die "$src: no such file or directory"
    fi
done

# OBJECT SOURCE: whether OBJECT is newer than all that it is made of.
fresh() {
    local input
    [ -f "$1" ] || return 1
    for input in "$2" "$include"/*.h "$(dirname "$2")"/*.h "$here/build-bpf.sh"; do
        # An input of the same time as the object counts as newer: clocks of file systems are coarse.
        [ ! -e "$input" ] || [ "$1" -nt "$input" ] || return 1
    done
}

mkdir -p "$out"
built=0 kept=0
for src in "${sources[@]}"; do
    name=$(basename "$src" .bpf.c)
    object=$out/$name.bpf.o
    if fresh "$object" "$src"; then
        kept=$((kept + 1))
        continue
    fi
    # Into a temporary file first: an interrupted or failed run leaves no half object behind, and a
    # running exporter never reads one.
    "$clang" "${flags[@]}" -c "$src" -o "$object.tmp" || { rm -f "$object.tmp"; die "$src does not compile"; }
    # DWARF is of no use to the loader, which reads BTF.
    ! command -v "$strip" >/dev/null || "$strip" -g "$object.tmp"
    mv "$object.tmp" "$object"
    echo "built $object"
    built=$((built + 1))
done
[ "$built" -gt 0 ] || echo "$kept object(s) in $out are up to date"
