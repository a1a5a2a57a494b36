# Sourced by tests/kernels.sh: Debian's cloud kernels, downloaded and unpacked below a cache directory, never installed.

# The mirror that this machine's own packages come from.
debian_mirror() {
    local mirror
    mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | grep -m1 '/debian/\?$' || true)
    printf '%s\n' "${mirror:-http://deb.debian.org/debian}"
}

# kernel_suites KERNEL: the suites that have it, the first one's own first.
kernel_suites() {
    case $1 in
        5.10) echo "bullseye bullseye-security" ;;
        6.1) echo "bookworm bookworm-security" ;;
        6.12) echo "trixie trixie-security" ;;
        # The newest that can be reached.
        newest) echo "trixie-backports sid" ;;
        *) die "unknown kernel $1: expected 5.10, 6.1, 6.12 or newest" ;;
    esac
}

# private_apt DIRECTORY COMMAND…: apt with its own sources, lists and an empty status file.
private_apt() {
    local dir=$1 command=$2
    shift 2
    "$command" -q \
        -o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferences="$dir/preferences" -o Dir::Etc::preferencesparts=/dev/null \
        -o Dir::State="$dir/state" -o Dir::State::status="$dir/status" -o Dir::Cache="$dir/cache" \
        -o APT::Sandbox::User=root -o APT::Default-Release= -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none "$@"
}

# private_apt_for DIRECTORY SUITE…: makes such a configuration.
private_apt_for() {
    local dir=$1 mirror suite
    shift
    mirror=$(debian_mirror)
    mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial"
    : >"$dir/status"
    # Backports count as much as the rest: the newest version is taken.
    printf 'Package: *\nPin: release *\nPin-Priority: 500\n' >"$dir/preferences"
    : >"$dir/sources.list"
    for suite in "$@"; do
        case $suite in
            *-security) echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror%/debian*}/debian-security $suite main" ;;
            *) echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" ;;
        esac
    done >>"$dir/sources.list"
    private_apt "$dir" apt-get update >"$dir/update.log" 2>&1 || { cat "$dir/update.log" >&2; return 1; }
}

# The packages among a package's dependencies that bring a part of the kernel.
kernel_parts() {
    private_apt "$1" apt-cache depends "$2" | sed -n 's/^ *\(Pre\)\?Depends: *\(linux-\(image\|binary\|modules\)-[^ <>]*\).*/\2/p' | sort -u
}

# fetch_kernel KERNEL CACHE: leaves CACHE/KERNEL/vmlinux (an ELF file, which boots faster than the bzImage) and CACHE/KERNEL/release.
fetch_kernel() {
    local kernel=$1 dir=$2/$1 name image package
    [ ! -s "$dir/release" ] || [ ! -s "$dir/vmlinux" ] || return 0
    rm -rf "$dir"
    mkdir -p "$dir/root"
    private_apt_for "$dir" $(kernel_suites "$kernel") || return 1
    # Where several suites have the metapackage, apt takes the newest version. Newer kernels are split: image, binary, modules.
    local wanted=(linux-image-cloud-amd64) seen=" "
    while [ ${#wanted[@]} -gt 0 ]; do
        name=${wanted[0]}
        wanted=("${wanted[@]:1}")
        case $seen in *" $name "*) continue ;; esac
        seen="$seen$name "
        for package in $(kernel_parts "$dir" "$name"); do
            (cd "$dir" && private_apt "$dir" apt-get download "$package" >/dev/null) || return 1
            wanted+=("$package")
        done
    done
    for package in "$dir"/*.deb; do
        dpkg -x "$package" "$dir/root"
    done
    image=$(find "$dir/root" -name 'vmlinuz*' | head -n 1)
    [ -n "$image" ] || { echo "no vmlinuz among $(cd "$dir" && ls ./*.deb)" >&2; return 1; }
    uncompress_kernel "$image" "$dir/vmlinux" || return 1
    # The modules are not needed: all the tests' needs are built in.
    rm -rf "$dir"/*.deb "$dir/root" "$dir/state" "$dir/cache"
    strings -n 12 "$dir/vmlinux" | sed -n 's/^Linux version \([^ ]*\) .*/\1/p' | head -n 1 >"$dir/release"
}

# uncompress_kernel BZIMAGE VMLINUX: the payload is where the image's header says (Documentation/arch/x86/boot.rst: setup_sects at 0x1f1,
# payload_offset at 0x248, payload_length at 0x24c).
uncompress_kernel() {
    local image=$1 out=$2 offset length tool
    offset=$((($(number_at "$image" 0x1f1 1) + 1) * 512 + $(number_at "$image" 0x248 4)))
    length=$(number_at "$image" 0x24c 4)
    case $(tail -c "+$((offset + 1))" "$image" | head -c 4 | od -An -tx1 | tr -d ' ') in
        fd377a58) tool="xz -dc --single-stream" ;;
        28b52ffd) tool="zstd -dcq" ;;
        02214c18) tool="lz4 -dcq" ;;
        1f8b*) tool="gzip -dcq" ;;
        *) echo "$image: the kernel inside is compressed with something else than xz, zstd, lz4 or gzip" >&2; return 1 ;;
    esac
    # What follows the payload is its length, which some of the tools take for garbage: what counts is what came out.
    tail -c "+$((offset + 1))" "$image" | head -c "$length" | $tool >"$out" 2>/dev/null || true
    [ "$(head -c 4 "$out" | od -An -tx1 | tr -d ' \n')" = 7f454c46 ] || { echo "$image: what was uncompressed is no ELF file" >&2; return 1; }
}

# number_at FILE OFFSET BYTES: an unsigned little-endian number.
number_at() {
    od -An -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' '
}
