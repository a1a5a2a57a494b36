#!/usr/bin/env bash
# Lays out the root directory of the image: image-root.sh DIRECTORY. For the Dockerfile, after the build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=${1:?expected a directory}
program=target/release/exporter-host
user=65532

mkdir -p "$root"/{usr/bin,usr/share/misc,etc/exporter-host,etc/ssl/certs,tmp,proc,sys}
cp "$program" "$root/usr/bin/"
# The libraries it was linked with, where the loader looks for them, and the loader itself.
ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done
cp -r target/conf.d "$root/etc/exporter-host/conf.d"
cp /usr/share/misc/pci.ids "$root/usr/share/misc/"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
printf 'root:x:0:0::/:/\nexporter:x:%s:%s::/:/\n' "$user" "$user" >"$root/etc/passwd"
printf 'root:x:0:\nexporter:x:%s:\n' "$user" >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
chmod 1777 "$root/tmp"
install -d -m 0700 -o "$user" -g "$user" "$root/var/cache/exporter-host"
# Plugins are compiled now, so that they need not be at each start. (On another kind of CPU they are compiled anew.) No unit is started: this is
# not the machine to be looked at.
warm=$(mktemp -d)
mkdir -m 0700 "$warm/cache"
mkdir "$warm/conf.d"
echo 'metrics: {}' >"$warm/conf.d/none.yaml"
"$program" --config.dir "$warm/conf.d" --plugin.dir target/conf.d --config.check --plugin.cache-dir "$warm/cache" 2>"$warm/log" || true
rm -f "$warm"/cache/.cleanup*
[ -n "$(find "$warm/cache" -type f)" ] || { cat "$warm/log" >&2; exit 1; }
cp -r "$warm/cache/." "$root/var/cache/exporter-host/"
chown -R "$user:$user" "$root/var/cache/exporter-host"
# Permitted, not effective: with fewer capabilities than these the program still starts, and says what it lacks. Runtimes that have ambient
# capabilities don't need it; Docker and Kubernetes give a user other than root nothing else.
setcap cap_bpf,cap_perfmon,cap_setpcap,cap_net_admin,cap_dac_read_search,cap_syslog,cap_sys_resource=p "$root/usr/bin/exporter-host"
