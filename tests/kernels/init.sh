#!/bin/busybox sh
# The first and only process of the virtual machine: mounts what the host and the tests look at, runs the tests, says how they went, ends.
/bin/busybox --install -s /bin
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/shm /dev/pts
mount -t tracefs tracefs /sys/kernel/tracing
mount -t securityfs securityfs /sys/kernel/security
mount -t bpf bpf /sys/fs/bpf
mkdir -p /sys/fs/cgroup/unified 2>/dev/null
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
# Debian's default is 3, with which opening a perf event takes CAP_SYS_ADMIN.
echo 2 >/proc/sys/kernel/perf_event_paranoid
exec >/dev/ttyS1 2>&1
export HOME=/root RUST_BACKTRACE=0 EXPORTER_TEST_OBJECTS=built EXPORTER_TEST_RESULTS=/results/kinds
export EXPORTER_HOST_BIN=@HOST@ EXPORTER_TEST_PYTHON=@PYTHON@
cd @DIR@
@TESTS@ --test-threads=2 @WANTED@ @SKIPPED@ >/results/tests 2>&1
code=$?
cat /results/tests
echo "=== results"
uname -r | sed 's/^/release\t/'
cat /results/kinds
sed -n 's/^test \([^ ]*\) \.\.\. \(ok\|FAILED\).*/\1\t\2/p' /results/tests
echo "=== end"
sync
[ $code -eq 0 ] || code=1
qemu-exit $code
poweroff -f
