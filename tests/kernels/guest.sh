# Sourced by tests/kernels.sh: the virtual machine, and the initial file system that is all it has.

# The tests that a kernel can change the outcome of.
guest_tests="kinds:: probes:: attach:: capabilities:: map_types:: cpu:: histograms:: samples:: reload::replace:: reload::asked::by_signal decoders::ksym decoders::cgroup halves::identity::what_the_server halves::identity::the_server"
# Those that need what the cloud kernels have only as modules (veth), or that read all symbols within a scrape, for which emulation is too slow.
guest_skips="attach::xdp attach::kaddrs decoders::ksym"

setup_qemu() {
    need busybox-static test -x /bin/busybox
    need cpio has cpio
    need xz-utils has xz
    need lz4 has lz4
    need zstd has zstd
    need binutils has strings
    install_missing
    has qemu-system-x86_64 || install_qemu
}

# Where qemu-utils is from backports, the emulator has to be too.
install_qemu() {
    local options=() codename
    if dpkg-query -W -f '${Version}' qemu-utils 2>/dev/null | grep -q bpo; then
        codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
        mkdir -p "$cache/apt/lists/partial"
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(debian_mirror) $codename-backports main" >"$cache/apt/sources.list"
        options=(-o "Dir::Etc::sourcelist=$cache/apt/sources.list" -o "Dir::State::lists=$cache/apt/lists" -t "$codename-backports")
        as_root apt-get -q "${options[@]:0:4}" update
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" install -qq -y --no-install-recommends qemu-system-x86 </dev/null
    has qemu-system-x86_64
}

# with_libraries ROOT FILE…: copies files to the same places below ROOT, and the libraries that they need.
with_libraries() {
    local root=$1 file library
    shift
    for file; do
        mkdir -p "$root$(dirname "$file")"
        cp -L "$file" "$root$file"
        # Not all have any.
        { ldd "$file" 2>/dev/null | grep -o '/[^ ]*' || true; } | while read -r library; do
            [ -e "$root$library" ] || { mkdir -p "$root$(dirname "$library")" && cp -L "$library" "$root$library"; }
        done
    done
}

# make_guest CACHE TARGET: CACHE/initrd.cpio with the host, the tests, their objects and Python at the very places where they are here.
make_guest() {
    local cache=$1 target=$2 root=$1/root host tests python real
    host=$(realpath "${EXPORTER_HOST_BIN:-$target/release/exporter-host}")
    tests=$(realpath "${WHOLE_TESTS:-$(ls -t "$target"/release/deps/whole-* | grep -v '\.d$' | head -n 1)}")
    python=${EXPORTER_TEST_PYTHON:-$target/test-venv/bin/python}
    rm -rf "$root"
    mkdir -p "$root"/{bin,proc,sys,dev,tmp,run,results,etc,root}
    chmod 1777 "$root/tmp"
    # The objects are made by any test that needs one.
    EXPORTER_HOST_BIN=$host EXPORTER_TEST_PYTHON=$python "$tests" --exact kinds::raw_tp >/dev/null || die "the tests do not pass on this machine's own kernel"
    with_libraries "$root" "$host" "$tests" "$(command -v ip)" "$(command -v setpriv)"
    cp /bin/busybox "$root/bin/busybox"
    mkdir -p "$root$target/tmp"
    cp -r "$target/tmp/objects" "$root$target/tmp/objects"
    mkdir -p "$root$PWD/tests/whole" "$root$PWD/examples"
    cp -r tests/whole/harness "$root$PWD/tests/whole/"
    cp -r examples/probes "$root$PWD/examples/"
    # Python: the interpreter, its library less what no test needs, and the parser.
    real=$(realpath "$python")
    with_libraries "$root" "$real"
    mkdir -p "$root/usr/lib" "$root/lib64"
    "$real" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))' >"$cache/stdlib"
    mkdir -p "$root$(cat "$cache/stdlib")"
    tar -C "$(cat "$cache/stdlib")" --exclude=site-packages --exclude=dist-packages --exclude=test --exclude=idlelib --exclude=tkinter --exclude=ensurepip \
        --exclude='config-*' --exclude=__pycache__ --exclude='*.a' -c . | tar -C "$root$(cat "$cache/stdlib")" -x
    find "$root$(cat "$cache/stdlib")/lib-dynload" -name '*.so' | while read -r module; do
        with_libraries "$root" "${module#"$root"}"
    done
    mkdir -p "$root$(dirname "$python")" "$root/usr/bin"
    cp -r "$(dirname "$(dirname "$python")")/." "$root$(dirname "$(dirname "$python")")/"
    # A link to a link, in a virtual environment.
    cp -L --remove-destination "$python" "$root$python"
    ln -sf "$python" "$root/usr/bin/python3"
    cp /etc/passwd /etc/group /etc/ld.so.cache "$root/etc/"
    # A libc that dlopen and uprobes find by its name.
    with_libraries "$root" "$(ldd "$host" | grep -o '/[^ ]*libc\.so\.6')"
    cc -static -O2 -o "$root/bin/qemu-exit" tests/kernels/qemu-exit.c
    sed -e "s|@HOST@|$host|; s|@TESTS@|$tests|; s|@PYTHON@|$python|; s|@WANTED@|$guest_tests|; s|@SKIPPED@|$(printf -- '--skip %s ' $guest_skips)|; s|@DIR@|$PWD/tests|" tests/kernels/init.sh >"$root/init"
    chmod +x "$root/init"
    (cd "$root" && find . | cpio -o -H newc --quiet) >"$cache/initrd.cpio"
    echo "$(du -m "$cache/initrd.cpio" | cut -f1) MiB"
}

# run_guest KERNEL_DIRECTORY INITRD SECONDS: leaves results, log and console in KERNEL_DIRECTORY.
run_guest() {
    local dir=$1 initrd=$2 patience=$3 status=0 TIMEFORMAT='%U %S'
    rm -f "$dir"/{console,out,results,log}
    # -cpu max: the kernel's BPF JIT and Wasm code want modern instructions. bpf among the security modules: kernel 5.10 leaves it out.
    { time timeout "$patience" qemu-system-x86_64 -accel tcg -cpu max -smp 2 -m 2560 -display none -nodefaults -no-reboot \
        -serial "file:$dir/console" -serial "file:$dir/out" -device isa-debug-exit,iobase=0xf4,iosize=4 \
        -kernel "$dir/vmlinux" -initrd "$initrd" \
        -append "console=ttyS0 quiet panic=-1 lsm=lockdown,capability,bpf" </dev/null >"$dir/qemu.log" 2>&1; } 2>"$dir/time" || status=$?
    awk '{ printf "%.0f\n", $1 + $2 }' "$dir/time" >"$dir/cpu-seconds"
    tr -d '\r' <"$dir/out" | sed -n '/^=== results$/,/^=== end$/p' | sed '1d;$d' >"$dir/results" || true
    tr -d '\r' <"$dir/out" | sed '/^=== results$/,$d' >"$dir/log"
    # The guest's exit code comes back as twice itself and one; 0 means that it ended without one, 124 that time was up.
    case $status in
        1) grep '^test result' "$dir/log" || true ;;
        3) echo "some tests failed:"; sed -n '/^failures:$/,$p' "$dir/log" | grep '^    ' | sort -u ;;
        124) echo "not done within $patience seconds; the console's end:"; tail -n 20 "$dir/console"; return 1 ;;
        *) echo "the virtual machine ended with $status; the console's end:"; cat "$dir/qemu.log"; tail -n 20 "$dir/console"; return 1 ;;
    esac
    [ -s "$dir/results" ] || { echo "no results"; return 1; }
}
