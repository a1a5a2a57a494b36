#!/usr/bin/env bash
# Builds the image with buildah and runs it with podman, as little privileged as it is meant to: another user than root, three capabilities, a
# root directory that cannot be written to. Then looks from outside. As root, on Debian 12.
#
#   tests/image.sh                        build everything in the image's build stage (release: many minutes)
#   tests/image.sh BINARY CONF_D          put this binary and this config directory into it instead
#
# The base image is made with debootstrap and takes the name that the Dockerfile gives: nothing is pulled. Prints the image's size and how long a
# start takes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tests/setup.sh
. tests/processes.sh

base=docker.io/library/debian:bookworm-slim
image=localhost/exporter-host:test
name=exporter-host-test-$$
port=$((20000 + $$ % 10000))

[ "$(id -u)" -eq 0 ] || die "making a base image and giving a container capabilities takes root"
need buildah has buildah
need podman has podman
need runc has runc
need debootstrap has debootstrap
need curl has curl
install_missing

if ! podman image exists "$base"; then
    say "Making $base"
    mirror=$(grep -rhoE 'https?://[^ ]*/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d/ 2>/dev/null | head -1 || true)
    root=$(mktemp -d)
    debootstrap --variant=minbase bookworm "$root" "${mirror:-http://deb.debian.org/debian}" >/dev/null
    tar -C "$root" -c . | podman import - "$base" >/dev/null
    rm -rf "$root"
fi

arguments=()
if [ $# -eq 2 ]; then
    say "Taking $1 and $2"
    rm -rf target/image
    mkdir -p target/image
    cp "$1" target/image/exporter-host
    strip --strip-debug target/image/exporter-host
    cp -r "$2" target/image/conf.d
    arguments+=(--build-arg PREBUILT=target/image)
elif [ -n "${RUSTUP_HOME:-}" ] || [ -d "$HOME/.rustup" ]; then
    # The same toolchain and crates as outside, so that nothing is fetched twice. A build without these fetches them itself.
    arguments+=(-v "${RUSTUP_HOME:-$HOME/.rustup}:/root/.rustup" -v "${CARGO_HOME:-$HOME/.cargo}:/root/.cargo")
fi
say "Building $image"
buildah bud --layers --pull-never --isolation=chroot --network host --format docker "${arguments[@]}" -t "$image" .
rm -rf target/image

# runc: crun refuses hybrid cgroups. The ulimits: where root may not raise its own. Unconfined: Debian 12's profile asks for CAP_SYS_ADMIN for
# bpf; the host sets its own filter. No network, so that it is asked from inside as well.
flags=(--ulimit nofile=20000:20000 --ulimit nproc=32768:32768 --network host --cap-drop all --cap-add BPF,PERFMON,SETPCAP
    --no-healthcheck --read-only --read-only-tmpfs=false --security-opt seccomp=unconfined)
run() { podman --runtime runc run "${flags[@]}" "$@"; }

finish() {
    podman rm -f -t 0 "$name" >/dev/null 2>&1 || true
}
trap finish EXIT

say "Doctor"
run --cap-drop SETPCAP --rm "$image" doctor || die "the doctor finds that nothing works"

say "Running"
began=$(date +%s%N)
run -d --name "$name" "$image" --config.dir=/etc/exporter-host/conf.d --plugin.cache-dir=/var/cache/exporter-host "--web.listen-address=127.0.0.1:$port" --hardening.check >/dev/null
for _ in $(seq 600); do
    ! curl -sf "http://127.0.0.1:$port/-/ready" >/dev/null || break
    sleep 0.05
done
ready=$(date +%s%N)
podman logs "$name" 2>&1 | tail -60
body=$(curl -sf "http://127.0.0.1:$port/metrics") || die "no metrics"
pid=$(podman inspect --format '{{.State.Pid}}' "$name")

say "Checks"
check "series from BPF" says '^ebpf_exporter_[a-z_]+(\{.*\})? [0-9.e+]*[1-9]' "$body"
check "units are running" says '^exporter_host_unit_last_load_successful\{config="[a-z-]+"\} 1' "$body"
check "user 65532" test "$(for process in $(host_processes "$pid"); do field "$process" Uid; done | sort -u)" = 65532,65532,65532,65532
hardening_table "$pid"
check "CAP_BPF and CAP_PERFMON in the loader, and nothing anywhere else" all_confined "$pid"
check_features "$body"
check_ten_servers "$pid" "$port"
check "the root directory cannot be written to" says '^overlay / overlay ro' "$(cat "/proc/$pid/mounts")"
check "healthy, says the image's own program" podman --runtime runc exec "$name" /usr/bin/exporter-host healthcheck --url="http://127.0.0.1:$port/-/healthy"
check "there is no shell" test ! -e "$(podman inspect --format '{{.GraphDriver.Data.MergedDir}}' "$name")/bin/sh"
began_stop=$(date +%s%N)
podman stop -t 10 "$name" >/dev/null
stopped=$(date +%s%N)
check "stops by SIGTERM" test "$(podman inspect --format '{{.State.ExitCode}}' "$name")" = 0

say "Figures"
podman image inspect --format 'image: {{.Size}} bytes' "$image"
podman image save "$image" | gzip -1 | wc -c | sed 's/$/ bytes compressed (gzip -1, with the manifest)/'
echo "series: $(grep -c '^ebpf_exporter_' <<<"$body") of BPF units, $(grep -cE '^exporter_host_unit_last_load_successful.* 1$' <<<"$body") units running"
echo "from podman run to ready: $(((ready - began) / 1000000)) ms; podman stop: $(((stopped - began_stop) / 1000000)) ms"
