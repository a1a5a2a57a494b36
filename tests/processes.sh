# Sourced: the processes of a running host, which are several, and what each of them may do.

# host_processes PID: the ids of all processes of exporter-host at or below this one.
host_processes() {
    # A name may have blanks in it: what follows it begins behind the last bracket.
    cat /proc/[0-9]*/stat 2>/dev/null | awk -v root="$1" '
        {
            pid = $1; name = $0; rest = $0
            sub(/^[0-9]+ \(/, "", name); sub(/\) [A-Z] .*$/, "", name)
            sub(/^.*\) /, "", rest); split(rest, field, " ")
            if (field[1] != "Z") { parent[pid] = field[2]; names[pid] = name }
        }
        END {
            for (pid in parent) {
                at = pid
                while (at != root && at in parent) at = parent[at]
                if (at == root && (pid == root || names[pid] ~ /^exporter-/)) print pid
            }
        }' | sort -n
}

# host_process PID NAME: the id of the one with this name: exporter-load, exporter-start, exporter-serve.
host_process() {
    local process
    for process in $(host_processes "$1"); do
        [ "$(cat "/proc/$process/comm" 2>/dev/null)" != "$2" ] || echo "$process"
    done
}

# field PID NAME: a field of /proc/PID/status, the different values of all threads after each other.
field() {
    cat /proc/"$1"/task/*/status 2>/dev/null | awk -v name="$2:" '
        $1 == name { value = $2; for (i = 3; i <= NF; i++) value = value "," $i; if (!seen[value]++) all = all sep value; sep = " or " }
        END { print all }'
}

# hardening_table PID: a line for each process.
hardening_table() {
    local process line name
    echo "| process | uid | CapInh | CapPrm | CapEff | CapBnd | CapAmb | NoNewPrivs | Seccomp |"
    echo "|---|---|---|---|---|---|---|---|---|"
    for process in $(host_processes "$1"); do
        line="| $(cat "/proc/$process/comm") |"
        for name in Uid CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp; do
            line="$line $(field "$process" "$name") |"
        done
        echo "$line"
    done
}

# sum_of PID FILE FIELD: kB in this field of /proc/PID/FILE, over all processes.
sum_of() {
    local process
    for process in $(host_processes "$1"); do
        cat "/proc/$process/$2" 2>/dev/null || true
    done | awk -v name="$3:" '$1 == name { sum += $2 } END { print sum + 0 }'
}

# descriptors_of PID: open descriptors of all processes.
descriptors_of() {
    local process
    for process in $(host_processes "$1"); do
        ls "/proc/$process/fd" 2>/dev/null
    done | wc -l
}

none=0000000000000000
bpf_and_perfmon=000000c000000000

# confined PID: says what is wrong with a process that is no loader.
confined() {
    local name
    for name in CapInh CapPrm CapEff CapBnd CapAmb; do
        [ "$(field "$1" "$name")" = "$none" ] || echo "$name of $1 is $(field "$1" "$name")"
    done
    [ "$(field "$1" NoNewPrivs)" = 1 ] || echo "NoNewPrivs of $1 is $(field "$1" NoNewPrivs)"
    [ "$(field "$1" Seccomp)" = 2 ] || echo "Seccomp of $1 is $(field "$1" Seccomp)"
}

# all_confined PID: whether starter and server are there, and the loader has two capabilities and everybody else none.
all_confined() {
    local loader starter server wrong process name
    loader=$(host_process "$1" exporter-load)
    starter=$(host_process "$1" exporter-start)
    server=$(host_process "$1" exporter-serve)
    wrong=$(
        for process in "$loader" "$starter" "$server"; do
            case $process in '' | *[!0-9]*) echo "not one process each: loader $loader, starter $starter, server $server" ;; esac
        done
        for name in CapPrm CapEff; do
            [ "$(field "$loader" "$name")" = "$bpf_and_perfmon" ] || echo "$name of the loader is $(field "$loader" "$name")"
        done
        [ "$(field "$loader" Seccomp)" = 2 ] || echo "the loader has no filter"
        [ "$(field "$loader" NoNewPrivs)" = 1 ] || echo "the loader could gain privileges"
        for process in $(host_processes "$1"); do
            [ "$process" = "$loader" ] || [ "$process" = "$1" ] || confined "$process"
        done
    )
    [ -z "$wrong" ] || { echo "$wrong" >&2; return 1; }
}

# check WHAT COMMAND…: goes on if the command succeeds. Else shows what host_log prints, where there is such a function.
check() {
    local what=$1
    shift
    "$@" || {
        ! declare -F host_log >/dev/null || host_log
        die "expected: $what"
    }
    echo "ok: $what"
}

# says PATTERN TEXT
says() { grep -qE "$1" <<<"$2"; }

# check_features BODY: the metrics say that every part of the hardening is in force.
check_features() {
    local feature
    for feature in capabilities no_new_privs landlock seccomp unprivileged_user server_capabilities split; do
        check "hardening: $feature" says "^exporter_host_hardening\{feature=\"$feature\"\} 1" "$1"
    done
}

# check_ten_servers PID PORT: kills ten servers of this loader, one after the other; the eleventh answers and may do as little as the first.
check_ten_servers() {
    local turn server next=
    for turn in $(seq 10); do
        server=$(host_process "$1" exporter-serve)
        kill -9 "$server"
        # An answer may still be the dead one's.
        for _ in $(seq 200); do
            next=$(host_process "$1" exporter-serve)
            if [ -n "$next" ] && [ "$next" != "$server" ] && curl -sf "http://127.0.0.1:$2/-/ready" >/dev/null; then break; fi
            sleep 0.05
        done
    done
    check "another server after $turn deaths" test "$next" != "$server"
    hardening_table "$1"
    check "the same of the server after them" all_confined "$1"
}
