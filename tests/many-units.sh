#!/bin/sh
# What a directory of many units costs: start, scrape, and a reload of one changed unit, of none, and of a new one.
#
#   tests/many-units.sh [HOST [NUMBER]]
#
# HOST: the binary, target/release/exporter-host by default. NUMBER: 200 units by default. Needs root, clang and curl.
set -eu
cd "$(dirname "$0")/.."
. tests/processes.sh
host=${1:-target/release/exporter-host}
number=${2:-200}
work=$(mktemp -d)
pid=
end() {
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT
# Objects of their own, as units have: the same program under another name would be the same bytes.
examples/build-bpf.sh "$work/objects" tests/bpf >"$work/build.log" 2>&1 || { cat "$work/build.log" >&2; exit 1; }
mkdir "$work/conf.d" "$work/cache"
chmod 700 "$work/cache"
unit() {
    cat >"$work/conf.d/unit$1.yaml" <<YAML
namespace: unit$1
metrics:
  counters:
    - name: events_total
      help: $2
      labels:
        - {name: command, size: 16, decoders: [{name: string}]}
        - {name: argument, size: 4, decoders: [{name: uint}]}
  gauges:
    - {name: target, help: Always there., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}
YAML
}
for n in $(seq "$number"); do
    unit "$n" "Test."
    cp "$work/objects/events.bpf.o" "$work/conf.d/unit$n.bpf.o"
done
now() { date +%s%3N; }
# $1: what was done, $2: when it began.
took() { echo "$1: $(($(now) - $2)) ms"; }
launch() {
    "$host" --config.dir "$work/conf.d" --config.watch=off --web.enable-lifecycle --web.listen-address=127.0.0.1:0 \
        --plugin.cache-dir "$work/cache" 2>"$work/log" &
    pid=$!
    until address=$(sed -n 's/.*msg=listening.*address="*\([0-9.:]*\).*/\1/p' "$work/log") && [ -n "$address" ]; do
        kill -0 "$pid" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
        sleep 0.01
    done
}
halt() {
    kill "$pid"
    wait "$pid" || true
    pid=
}
reload() {
    began=$(now)
    curl -sf -X POST "http://$address/-/reload" >"$work/answer" || { cat "$work/answer" >&2; exit 1; }
    took "reload, $1 ($(head -1 "$work/answer"))" "$began"
}
echo "$number units, $host"
launch # fills the cache of compiled plugins
halt
began=$(now)
launch
took "start to listening" "$began"
for round in first second third; do
    curl -so "$work/body" -w "scrape, $round: %{time_total} s, %{size_download} bytes\n" "http://$address/metrics"
done
reload "nothing changed"
unit 1 "Changed."
reload "one YAML changed"
cp "$work/objects/events-again.bpf.o" "$work/conf.d/unit2.bpf.o"
reload "one object changed"
unit "$((number + 1))" "New."
cp "$work/objects/events.bpf.o" "$work/conf.d/unit$((number + 1)).bpf.o"
reload "one new"
# Of all processes; what they share counts once.
echo "memory: $(sum_of "$pid" smaps_rollup Pss) kB"
echo "descriptors: $(descriptors_of "$pid")"
server=$(host_process "$pid" exporter-serve)
if [ -n "$server" ]; then
    began=$(now)
    kill -9 "$server"
    # The connection may still be the dead one's.
    until curl -sfo "$work/body" "http://$address/metrics"; do sleep 0.01; done
    took "answer after the server's death" "$began"
fi
began=$(now)
halt
took "stop" "$began"
