#!/usr/bin/env bash
# Runs examples/deploy/systemd/exporter-host.service under a systemd of its own, in a container with this machine's /usr, as root: what its
# restrictions do to a running host is not to be seen by reading them.
#
#   tests/systemd.sh [BINARY CONF_D]      default: target/release/exporter-host target/conf.d, as examples/run.sh --build makes them
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tests/setup.sh
. tests/processes.sh

binary=${1:-target/release/exporter-host}
units=${2:-target/conf.d}
name=exporter-host-systemd-$$
port=$((20000 + $$ % 10000))
root=$(mktemp -d)

[ "$(id -u)" -eq 0 ] || die "making a container that runs systemd takes root"
need podman has podman
need runc has runc
need systemd test -x /lib/systemd/systemd
need curl has curl
install_missing

finish() {
    podman rm -f -t 0 "$name" >/dev/null 2>&1 || true
    rm -rf "$root"
}
trap finish EXIT

# Its root has nothing but the unit and what it needs.
chmod 755 "$root"
mkdir -p "$root"/{usr,proc,sys,dev,run,tmp,var/lib,var/cache,var/log} "$root"/etc/{exporter-host,systemd/system/exporter-host.service.d}
for link in bin sbin lib lib64; do ln -s "usr/$link" "$root/$link"; done
cp -r /etc/{passwd,group,nsswitch.conf,ld.so.cache} "$root/etc/"
od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$root/etc/machine-id"
cp "$binary" "$root/etc/exporter-host/"
cp -r "$units" "$root/etc/exporter-host/conf.d"
cp examples/deploy/systemd/exporter-host.service "$root/etc/systemd/system/"
# The program lies elsewhere, its log goes to the container's, and the container has no limits to raise. Nothing else differs.
drop_in=$root/etc/systemd/system/exporter-host.service.d/test.conf
cat >"$drop_in" <<UNIT
[Unit]
DefaultDependencies=no
[Service]
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console
LimitNOFILE=20000
ExecStart=
ExecStart=/etc/exporter-host/exporter-host --config.dir=/etc/exporter-host/conf.d --plugin.cache-dir=/var/cache/private/exporter-host --web.listen-address=127.0.0.1:$port --hardening.check
UNIT
chmod -R a+rX "$root/etc"

# Boots into the unit and waits until it is ready.
boot() {
    podman rm -f -t 0 "$name" >/dev/null 2>&1 || true
    podman --runtime runc run -d -t --name "$name" --systemd=always --ulimit nofile=20000:20000 --ulimit nproc=32768:32768 --network host \
        --no-healthcheck --cap-add all --security-opt seccomp=unconfined -v /usr:/usr:ro --rootfs "$root" \
        /lib/systemd/systemd --system --unit=exporter-host.service --log-target=console >/dev/null
    for _ in $(seq 1200); do
        ! curl -sf "http://127.0.0.1:$port/-/ready" >/dev/null || return 0
        sleep 0.05
    done
    podman logs "$name" | tail -40
    die "it does not become ready"
}
inside() { podman --runtime runc exec "$name" "$@"; }
host_log() { podman logs "$name" | tail -60; }

say "The unit as it is"
boot
body=$(curl -sf "http://127.0.0.1:$port/metrics")
check "series from BPF" says '^ebpf_exporter_[a-z_]+(\{.*\})? [0-9.e+]*[1-9]' "$body"
check "collectors read files" says '^node_load1 ' "$body"
check_features "$body"
# Of all that runs in the container: systemd is above the loader.
boss=$(podman inspect --format '{{.State.Pid}}' "$name")
loader=$(host_process "$boss" exporter-load)
hardening_table "$loader"
check "CAP_BPF and CAP_PERFMON in the loader, and nothing anywhere else" all_confined "$loader"
check_ten_servers "$loader" "$port"
check "systemd goes on with the same loader" test "$(host_process "$boss" exporter-load)" = "$loader"
kill -9 "$(host_process "$loader" exporter-start)"
for _ in $(seq 400); do
    next=$(host_process "$boss" exporter-load)
    if [ -n "$next" ] && [ "$next" != "$loader" ] && curl -sf "http://127.0.0.1:$port/-/ready" >/dev/null; then break; fi
    sleep 0.05
done
check "systemd starts all anew without the starter" test -n "$next" -a "$next" != "$loader"
check "plugins are cached" test -n "$(ls -A "$root/var/cache/private/exporter-host")"
before=$(podman logs "$name" | grep -c 'msg=reloaded' || true)
inside systemctl reload exporter-host
for _ in $(seq 200); do
    [ "$(podman logs "$name" | grep -c 'msg=reloaded' || true)" -eq "$before" ] || break
    sleep 0.05
done
check "reloads" test "$(podman logs "$name" | grep -c 'msg=reloaded')" -gt "$before"
curl -sf "http://127.0.0.1:$port/metrics" >/dev/null
inside systemctl stop exporter-host
check "stops" says '^Result=success' "$(inside systemctl show -p Result exporter-host)"
check "has no name for kernel addresses" says 'cannot open /proc/kallsyms|names are hidden|without names' "$(podman logs "$name")"

say "With what its comments say for kernel symbols"
cat >>"$drop_in" <<UNIT
AmbientCapabilities=CAP_SYSLOG
CapabilityBoundingSet=CAP_SYSLOG
ProtectKernelLogs=no
ProtectKernelTunables=no
UNIT
boot
check "holds CAP_SYSLOG at the start" says 'capabilities kept: .*; 1 dropped' "$(podman logs "$name")"
check "kernel addresses have names" eval '! says "without names" "$(podman logs "$name")"'
