// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// A map that the host fills with the cgroups that match. It is a metric at the same time, for the test to see.

#include "test.bpf.h"

MAP(HASH, chosen_total, 8, 1024);
