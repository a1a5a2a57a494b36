// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// What depends on the kernel's lists of mounts and of interfaces: a program at every interface, one
// at the root cgroup, and a map whose keys are cgroups.

#include "test.bpf.h"

MAP(PERCPU_HASH, received_total, 4, 8192);
MAP(HASH, egress_total, 4, 1);
MAP(HASH, cgroups_total, 8, 16);

SEC("xdp/*")
int received(struct xdp_md *ctx)
{
    u32 key = ctx->ingress_ifindex;
    increment_map(&received_total, &key, 1);
    return XDP_PASS;
}

SEC("cgroup_skb/egress")
int egress(void *ctx)
{
    u32 key = 0;
    increment_map(&egress_total, &key, 1);
    return 1;
}
